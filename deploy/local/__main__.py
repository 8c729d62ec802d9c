"""`python -m deploy.local demo` and `python -m deploy.local up`, as the Makefile calls them."""

import sys

from deploy.local.stopping import interruptible


def main() -> int:
    """Run the command that the arguments name, and return the exit code."""
    with interruptible():
        # Imported late: these imports take a second, and an interrupt must work from the first moment.
        if sys.argv[1:] == ["demo"]:
            from deploy.local import demo

            return demo.run()
        if sys.argv[1:] == ["up"]:
            from deploy.local import up

            return up.run()
    print("usage: python -m deploy.local demo|up", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
