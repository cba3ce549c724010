"""Check a CJIT dataset Q file: the library behind the `cjit` command."""
