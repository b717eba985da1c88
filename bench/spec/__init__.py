"""Reading a spec: YAML to checked settings."""
