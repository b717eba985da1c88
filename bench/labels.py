"""The one label that every mask may have besides its classes."""

IGNORE_LABEL = 255
"""Pixels with it are neither trained on nor scored."""
