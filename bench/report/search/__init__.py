"""What a report says of a search: its results, sections, tables and figures."""
