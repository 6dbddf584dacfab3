"""The command line: `python -m lmc EXPERIMENT [options]`."""

import signal
import sys

from lmc.cli import main

if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):  # a reader that closes early, as `head` does, ends us quietly
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
