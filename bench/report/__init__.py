"""From records to tables, figures and pages; imports neither torch nor MLflow."""
