"""`python -m quell` is the command `quell`."""

import sys

from .experiments.interruption import INTERRUPTED, ended_at_once

with ended_at_once():  # loading everything takes a second
    from .experiments import cli


def main() -> None:
    """The command line; a Ctrl-C that nobody else has heard ends it without a traceback."""
    try:
        cli.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
