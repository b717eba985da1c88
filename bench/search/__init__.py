"""Optuna: which point of a space next, and what became of the ones before."""
