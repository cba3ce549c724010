"""Files of records: bytes are opened, looked over, parsed, and written whole to their place."""
