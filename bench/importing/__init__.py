"""Histories that other programs logged: read, checked, and recorded among our own trials."""
