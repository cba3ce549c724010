"""Submissions: receive, check, decide, accept; and the record store."""
