"""`python -m lmc load`: keep networks from files in the store."""

from __future__ import annotations

import json
import sys
from typing import Any

from lmc.cli.options import CHOICES, add_output
from lmc.experiments.importing import Gathered, import_files
from lmc.progress import Lines
from lmc.store import Store


def add(commands: Any) -> None:
    """The command `load`."""
    text = (
        "Keep networks from files in the store: safetensors, or what torch.save wrote of a state dict. Each is "
        "recognised, checked and printed with its id, which --load of an experiment takes as well as the file."
    )
    one = commands.add_parser(
        "load", help="keep networks from files in the store", description=text, allow_abbrev=False
    )
    one.add_argument("files", nargs="+", metavar="FILE", help="a .safetensors, .pt or .pth file")
    one.add_argument(
        "--label",
        action="append",
        default=[],
        help="what to call a network; once for each file, in their order (default: the files' names)",
    )
    one.add_argument(
        "--activation",
        metavar="ACTIVATION",
        help=f"their activation function, one of: {', '.join(CHOICES['activation'])} (default: what a file of this "
        "program says, else the usual one of the architecture)",
    )
    add_output(one)
    one.set_defaults(command=_load)


def _load(options: dict[str, Any]) -> int:
    """Load files into the store; one that is refused is named, and the others are loaded all the same."""
    lines = Lines()
    try:
        store, labels = Store(options["store"]), options["label"]
        found = import_files(options["files"], store, labels, options["activation"], lines)
    finally:
        lines.close()
    loaded = [one for one in found if one.network]
    refused = [one for one in found if not one.network]
    if options["json"]:
        content = {"networks": [one.to_json() for one in loaded], "refused": [one.to_json() for one in refused]}
        print(json.dumps(content))
    else:
        print("".join(f"{line}\n" for one in loaded for line in _about_loaded(one)), end="")
    for one in refused:
        print(f"lmc: {one.refused}", file=sys.stderr)
    return 2 if refused else 0


def _about_loaded(one: Gathered) -> list[str]:
    assert one.network
    fits = ", ".join(one.network.datasets) or "none of the published ones; a folder of images may fit"
    sentences = (*one.network.report, f"Data sets that fit: {fits}")
    return [f"{one.network.id}  {one.network.label}", *(f"  {sentence}." for sentence in sentences)]
