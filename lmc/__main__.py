"""The command line: `python -m lmc EXPERIMENT [options]`."""

import sys

from lmc.cli import main

if __name__ == "__main__":
    sys.exit(main())
