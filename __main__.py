"""`python -m quell` is the command `quell`."""

from .experiments.cli import main

if __name__ == "__main__":
    main()
