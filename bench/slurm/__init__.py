"""Slurm: job arrays that share an experiment's trials by its leases."""
