"""What several commands share: the parser, and options that mean the same everywhere."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from lmc.data import list_datasets
from lmc.experiments import RECIPES, get_architecture, list_models

Command = Callable[[dict[str, Any]], int]
"""Runs a command with its options; returns the exit status."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage block."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


CHOICES = {
    "dataset": list_datasets(),
    "arch": list_models(),
    "recipe": list(RECIPES),
    "norm": sorted({norm for name in list_models() for norm in get_architecture(name).norms}),
    "activation": sorted({a for name in list_models() for a in get_architecture(name).activations}),
}


def add_output(parser: argparse.ArgumentParser) -> None:
    """`--json` and `--store`, for what runs for a while and prints something."""
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    add_store(parser)


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """`--data-dir`."""
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="where data sets lie (default: $LMC_DATA or a folder of your data folder); with --dataset folder, the "
        "folder that holds train/CLASS/* and test/CLASS/*",
    )


def add_store(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """`--store`. Below a command that has it already, the default is argparse.SUPPRESS: what was said there holds."""
    parser.add_argument(
        "--store",
        metavar="DIR",
        default=default,
        help="folder of networks and results (default: $LMC_STORE or your data folder)",
    )
