"""Copies of a file that was checked: annotated with its findings, or corrected."""
