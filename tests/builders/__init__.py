"""Builders of made-up specs, trials, records and searches, for all tests."""
