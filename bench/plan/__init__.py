"""From a spec to its trials, and what they cost.

As `bench.plan(spec)` it can be called: see `bench.api.running.plan`.
"""

from bench.callable_module import make_callable

make_callable(__name__)
