"""`python -m bench`. Kept almost empty: every worker process imports this module again."""

import io
import sys


def main() -> None:
    """Run the command line."""
    from bench.cli import main as run_cli

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a file's name may be no text
    run_cli()


if __name__ == "__main__":
    main()
