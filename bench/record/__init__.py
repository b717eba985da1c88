"""The files under results/, and their mirror in MLflow."""
