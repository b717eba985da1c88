"""`python -m bench`. Kept almost empty: every worker process imports this module again."""

import os
import sys
from pathlib import Path


def main() -> None:
    """Run the command line."""
    from bench.interruption import ending_at_once, set_up_streams

    with ending_at_once():
        _leave_working_folder()
        set_up_streams()
        from bench.home import find_home

        find_home()
        from bench.cli.main import main as run_cli

        run_cli()


def _leave_working_folder() -> None:
    """`python -m` searches the working folder first, where a foreign `torch.py` may lie.

    `bench.registry.load_target` searches it last, for `target:`. A checkout that is not installed
    is found by it, and keeps it.
    """
    try:
        here = str(Path.cwd())
    except FileNotFoundError:
        print("error: the working folder is no longer there: change to another", file=sys.stderr)
        sys.exit(2)
    if sys.path and sys.path[0] in ("", here):
        del sys.path[0]
    if here == str(Path(__file__).parents[1]):
        sys.path.append(here)
    else:  # the fork server and its like are started by `python -c`, which searches there as well
        os.environ.setdefault("PYTHONSAFEPATH", "1")


if __name__ == "__main__":
    main()
