"""Histories that other programs logged: read, checked, and recorded beside our own trials."""
