"""What runs and searches of an experiment share: trials are claimed, recorded, mirrored."""
