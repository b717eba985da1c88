"""Augmentations, drawn per sample, image and mask always moved together."""
