"""From a spec to its trials, and what they cost."""
