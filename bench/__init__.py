"""Scripted ablation benchmarks for image models."""

__version__ = "0.1.0"
