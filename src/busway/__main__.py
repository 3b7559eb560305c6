"""`python -m busway`."""

import sys

from busway.cli import main

if __name__ == "__main__":
    sys.exit(main())
