"""A dataset as people and programs read it: fields, codes, rules."""
