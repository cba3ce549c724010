"""The check of records against a rule book: two engines, plain Python and Polars, with the same findings."""
