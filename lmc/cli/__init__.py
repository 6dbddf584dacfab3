"""The command line's options, output and exit status: 0 done, 1 failed, 2 input that cannot be run, 130 interrupted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from lmc.cli import experiment, files, runs
from lmc.cli.options import Command, Parser, add_data_dir, add_store
from lmc.errors import CheckFailed, EngineError, InputError, Stopped, StoreError
from lmc.listing import data_lines, network_lines
from lmc.store import Store


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = vars(_parser().parse_args(argv))
    command: Command = options.pop("command")
    try:
        return command(options)
    except InputError as error:
        return _refused(error.for_command_line())
    except StoreError as error:
        return _refused(f"--store: {error}")
    except (CheckFailed, EngineError) as error:
        return _refused(str(error), status=1)
    except (KeyboardInterrupt, Stopped):
        print("interrupted; networks that were finished are kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lmc", description="Linear mode connectivity modulo permutation.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="what", required=True, metavar="EXPERIMENT", parser_class=Parser)
    experiment.add(commands)
    files.add(commands)
    data = commands.add_parser("data", help="list the data sets and which are on disk", allow_abbrev=False)
    add_data_dir(data)
    data.set_defaults(command=_data)
    networks = commands.add_parser("networks", help="list the networks of the store", allow_abbrev=False)
    add_store(networks)
    networks.set_defaults(command=_networks)
    runs.add(commands)
    return parser


def _data(options: dict[str, Any]) -> int:
    print("\n".join(data_lines(options["data_dir"])))
    return 0


def _networks(options: dict[str, Any]) -> int:
    print("\n".join(network_lines(Store(options["store"]))))
    return 0


def _refused(sentence: str, status: int = 2) -> int:
    print(f"lmc: {sentence}", file=sys.stderr)
    return status
