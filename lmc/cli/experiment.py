"""`python -m lmc EXPERIMENT`: run an experiment and say what came out."""

from __future__ import annotations

import argparse
import json
from dataclasses import Field
from typing import Any

from lmc.cli.options import CHOICES, add_data_dir, add_output
from lmc.cli.summary import summary
from lmc.engine import run
from lmc.experiments import EXPERIMENTS, get_architecture, list_models
from lmc.experiments.base import Experiment
from lmc.experiments.files import with_files
from lmc.experiments.options import check_number
from lmc.experiments.spelling import option_fields, parse, takes_many, value_of
from lmc.progress import Lines
from lmc.store import Store


def add(commands: Any) -> None:
    """One command for each experiment, with the fields of its config as options."""
    for name, cls in EXPERIMENTS.items():
        one = commands.add_parser(name, help=_first_line(cls), description=cls.__doc__, allow_abbrev=False)
        for spec in option_fields(cls):
            _add_option(one, spec)
        one.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto, a GPU when there is one)")
        one.add_argument(
            "--workers", metavar="N", help="run on so many processes of this machine (default: in this process)"
        )
        one.add_argument(
            "--scheduler",
            metavar="ADDRESS",
            help="run on the Dask cluster of this address, such as tls://host:8786 (default: in this process)",
        )
        add_data_dir(one)
        add_output(one)
        one.set_defaults(command=_run)


def _run(options: dict[str, Any]) -> int:
    what, as_json, folder = (options.pop(name) for name in ("what", "json", "store"))
    device, data_dir, scheduler, workers = (
        options.pop(name) for name in ("device", "data_dir", "scheduler", "workers")
    )
    words = {name: [value] if isinstance(value, str) else value for name, value in options.items() if value is not None}
    store = Store(folder)
    lines = Lines()
    try:
        config = parse(EXPERIMENTS[what], with_files(words, store, data_dir, lines))
        surroundings = {"device": device, "data_dir": data_dir, "scheduler": scheduler, "workers": _count(workers)}
        result = run(config, store=store, report=lines, **surroundings)
    finally:
        lines.close()
    print(json.dumps(result.to_json()) if as_json else summary(result, config))
    return 0


def _count(workers: str | None) -> int | None:
    """The number of processes that was asked for."""
    limits = {"low": 1, "high": 1024}
    return None if workers is None else int(check_number("workers", value_of(workers), limits, whole=True))


def _add_option(parser: argparse.ArgumentParser, spec: Field[Any]) -> None:
    """Values stay words here: the config itself checks them, with the same sentence everywhere."""
    many = takes_many(spec)
    value: Any = spec.default
    default = " ".join(map(str, value)) if many else _own_defaults(spec.name) if value is None else value
    note = f" (default: {default})" if default != "" else ""
    choices = spec.metadata["choices"] or CHOICES.get(spec.name, ())
    text = spec.metadata["help"] + (f"; {'any' if many else 'one'} of: {', '.join(choices)}" if choices else "")
    parser.add_argument(
        f"--{spec.name.replace('_', '-')}",
        nargs="+" if many else None,
        metavar=spec.name.upper() if not many else spec.name.rstrip("s").upper(),
        help=(text + note).replace("%", "%%"),
    )


def _own_defaults(name: str) -> str:
    """The default of an option that every architecture has its own of: the usual one, then who differs."""
    own = {arch: str(getattr(get_architecture(arch), f"default_{name}")) for arch in list_models()}
    first = own[list_models()[0]]
    others = [f"{value} for {arch}" for arch, value in own.items() if value != first]
    return ", ".join([first, *others])


def _first_line(cls: type[Experiment]) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]
