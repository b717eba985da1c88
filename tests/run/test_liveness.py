from __future__ import annotations

import subprocess
import sys
import textwrap


def beats(work: str) -> int:
    """How often a process tells during `work` that it gets on."""
    program = textwrap.dedent("""
        import time
        from bench.run.liveness import watch
        beaten = []
        end = time.monotonic() + 20
        watch(lambda: beaten.append(1), 0.02)
        {work}
        print(len(beaten))
    """).format(work=work)
    command = [sys.executable, "-c", program]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_thread_that_works_is_alive_though_it_tells_nothing() -> None:
    assert beats("while len(beaten) < 3 and time.monotonic() < end: sorted([3, 2]); str(1.5)") >= 3


def test_a_call_that_does_not_come_back_is_not() -> None:
    assert beats("time.sleep(0.5)") <= 1  # the way into it
