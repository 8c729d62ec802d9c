"""`python -m deploy.local demo` and `python -m deploy.local up`, as the Makefile calls them."""

import sys

from deploy.local.stopping import interruptible


def main() -> int:
    """The exit code."""
    with interruptible():
        # Imported late: they take a second, and an interrupt should be heard from the first moment.
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
