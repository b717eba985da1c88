"""Values of targets besides their classes."""

IGNORE_LABEL = 255
"""Pixels with it are neither trained on nor scored; every mask may have it."""
MISSING_LABEL = -1
"""Where an image can have several labels, of 0 and 1: it is not known whether it has this one."""
