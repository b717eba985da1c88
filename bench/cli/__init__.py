"""The command line: wiring only. Whatever is slow to import is imported inside a command."""
