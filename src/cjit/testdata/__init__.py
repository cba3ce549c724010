"""Made-up records: histories of clients, and faults put into them."""
