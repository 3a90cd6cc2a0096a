"""The `wizsim` command: says what is missing if it was installed without what a simulated tenant needs."""

import sys


def main() -> None:
    """Run the command, or name the packages that it lacks."""
    try:
        from wizsim import cli  # noqa: PLC0415 - its imports are what may be missing
    except ModuleNotFoundError as missing:
        if missing.name in {"graphql", "starlette", "uvicorn"}:
            sys.exit(
                "wizsim: a simulated tenant needs more packages. Type in the checkout: uv tool install '.[demo]' "
                "(or with pip: pip install '.[demo]')"
            )
        raise
    cli.main()


if __name__ == "__main__":
    main()
