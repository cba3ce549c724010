"""Organisations, the agency register, people and roles, the audit trail."""
