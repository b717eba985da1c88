"""What a model costs and on what machine."""
