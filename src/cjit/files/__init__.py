"""Files of records: opened, surveyed, parsed to rows of cells, and written whole."""
