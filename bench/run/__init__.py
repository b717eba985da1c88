"""Carrying out a plan: which trial next, where, and what happens when one fails."""
