"""Carrying out a plan: which trial next, where, and what happens when one fails.

As `bench.run(spec)` it can be called: see `bench.api.running.run`.
"""

from bench.callable_module import make_callable

make_callable(__name__)
