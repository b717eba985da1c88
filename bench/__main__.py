"""`python -m bench`. Kept almost empty: every worker process imports this module again."""


def main() -> None:
    """Run the command line."""
    from bench.cli import main as run_cli

    run_cli()


if __name__ == "__main__":
    main()
