"""Data sets: decoded and resized once into a cache of uint8 arrays, then read from memory."""
