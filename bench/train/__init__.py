"""One trial's training."""
