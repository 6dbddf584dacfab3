"""The command line's options, output and exit status: 0 done, 2 input that cannot be run, 130 interrupted."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any, NoReturn

from lmc.data import list_datasets
from lmc.errors import CheckFailed, InputError, Stopped, StoreError
from lmc.experiments import EXPERIMENTS, RECIPES, get_architecture, list_models, run
from lmc.experiments.base import Experiment
from lmc.experiments.files import with_files
from lmc.experiments.importing import Gathered, import_files
from lmc.experiments.spelling import option_fields, parse, takes_many
from lmc.listing import data_lines, network_lines, run_lines
from lmc.progress import Lines, ProgressFile
from lmc.result import Result
from lmc.store import Store


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage block."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = vars(_parser().parse_args(argv))
    what = options.pop("what")
    file = None
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_progress(options.pop("progress_file", None)))
            if what in EXPERIMENTS:
                return _run(what, options, file)
            if what == "load":
                return _load(options, file)
            print("\n".join(_lines(what, options)))
            return 0
        except InputError as error:
            return _refused(error.for_command_line(), file)
        except StoreError as error:
            return _refused(f"--store: {error}", file)
        except CheckFailed as error:
            return _refused(str(error), file, status=1)
        except (KeyboardInterrupt, Stopped):
            print("interrupted; networks that were finished are kept", file=sys.stderr)
            if file:
                file.end("stopped")
            return 130


def _run(what: str, options: dict[str, Any], file: ProgressFile | None) -> int:
    as_json, folder, device, data_dir = (options.pop(name) for name in ("json", "store", "device", "data_dir"))
    words = {name: [value] if isinstance(value, str) else value for name, value in options.items() if value is not None}
    store = Store(folder)
    lines = Lines()
    report = file or lines
    try:
        config = parse(EXPERIMENTS[what], with_files(words, store, data_dir, report))
        result = run(config, store=store, device=device, data_dir=data_dir, report=report)
    finally:
        lines.close()
    if file:
        file.end("done")
    print(json.dumps(result.to_json()) if as_json else _summary(result, config))
    return 0


def _load(options: dict[str, Any], file: ProgressFile | None) -> int:
    """Load files into the store; one that is refused is named, and the others are loaded all the same."""
    lines = Lines()
    try:
        store, labels = Store(options["store"]), options["label"]
        found = import_files(options["files"], store, labels, options["activation"], file or lines)
    finally:
        lines.close()
    loaded = [one for one in found if one.network]
    refused = [one for one in found if not one.network]
    if options["json"]:
        content = {"networks": [one.to_json() for one in loaded], "refused": [one.to_json() for one in refused]}
        print(json.dumps(content))
    else:
        print("".join(f"{line}\n" for one in loaded for line in _about_loaded(one)), end="")
    sys.stdout.flush()  # who waits for the end reads it then
    if file:
        file.end("done")
    for one in refused:
        print(f"lmc: {one.refused}", file=sys.stderr)
    return 2 if refused else 0


def _about_loaded(one: Gathered) -> list[str]:
    assert one.network
    fits = ", ".join(one.network.datasets) or "none of the published ones; a folder of images may fit"
    sentences = (*one.network.report, f"Data sets that fit: {fits}")
    return [f"{one.network.id}  {one.network.label}", *(f"  {sentence}." for sentence in sentences)]


def _lines(what: str, options: dict[str, Any]) -> list[str]:
    if what == "data":
        return data_lines(options["data_dir"])
    return {"runs": run_lines, "networks": network_lines}[what](Store(options["store"]))


def _refused(sentence: str, file: ProgressFile | None, status: int = 2) -> int:
    print(f"lmc: {sentence}", file=sys.stderr)
    if file:
        file.end("failed", sentence)
    return status


@contextlib.contextmanager
def _progress(folder: str | None) -> Iterator[ProgressFile | None]:
    if folder is None:
        yield None
        return
    try:
        file = ProgressFile(Path(folder))
    except OSError as error:
        raise InputError(
            "progress_file", folder, f"a folder that can be written would be right ({error.strerror})"
        ) from None
    with file:
        yield file


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lmc", description="Linear mode connectivity modulo permutation.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="what", required=True, metavar="EXPERIMENT", parser_class=_Parser)
    for name, cls in EXPERIMENTS.items():
        one = commands.add_parser(name, help=_first_line(cls), description=cls.__doc__, allow_abbrev=False)
        for spec in option_fields(cls):
            _add_option(one, spec)
        one.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto, a GPU when there is one)")
        _add_data_dir(one)
        _add_output(one)
    _add_load(commands)
    _add_data_dir(commands.add_parser("data", help="list the data sets and which are on disk", allow_abbrev=False))
    _add_store(commands.add_parser("networks", help="list the networks of the store", allow_abbrev=False))
    _add_store(commands.add_parser("runs", help="list the results of the store", allow_abbrev=False))
    return parser


def _add_load(commands: Any) -> None:
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
        help=f"their activation function, one of: {', '.join(_CHOICES['activation'])} (default: what a file of this "
        "program says, else the usual one of the architecture)",
    )
    _add_output(one)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument(
        "--progress-file", metavar="DIR", help="keep progress.json in this folder; a file `stop` there stops the run"
    )
    _add_store(parser)


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="where data sets lie (default: $LMC_DATA or a folder of your data folder); with --dataset folder, the "
        "folder that holds train/CLASS/* and test/CLASS/*",
    )


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store", metavar="DIR", help="folder of networks and results (default: $LMC_STORE or your data folder)"
    )


def _add_option(parser: argparse.ArgumentParser, spec: Field[Any]) -> None:
    """Values stay words here: the config itself checks them, with the same sentence everywhere."""
    many = takes_many(spec)
    value: Any = spec.default
    default = " ".join(map(str, value)) if many else _own_defaults(spec.name) if value is None else value
    note = f" (default: {default})" if default != "" else ""
    choices = spec.metadata["choices"] or _CHOICES.get(spec.name, ())
    text = spec.metadata["help"] + (f"; {'any' if many else 'one'} of: {', '.join(choices)}" if choices else "")
    parser.add_argument(
        f"--{spec.name.replace('_', '-')}",
        nargs="+" if many else None,
        metavar=spec.name.upper() if not many else spec.name.rstrip("s").upper(),
        help=(text + note).replace("%", "%%"),
    )


_CHOICES = {
    "dataset": list_datasets(),
    "arch": list_models(),
    "recipe": list(RECIPES),
    "norm": sorted({norm for name in list_models() for norm in get_architecture(name).norms}),
    "activation": sorted({a for name in list_models() for a in get_architecture(name).activations}),
}


def _own_defaults(name: str) -> str:
    """The default of an option that every architecture has its own of: the usual one, then who differs."""
    own = {arch: str(getattr(get_architecture(arch), f"default_{name}")) for arch in list_models()}
    first = own[list_models()[0]]
    others = [f"{value} for {arch}" for arch, value in own.items() if value != first]
    return ", ".join([first, *others])


def _first_line(cls: type[Experiment]) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]


def _summary(result: Result, config: Experiment) -> str:
    rows = [
        f"{result.experiment} {result.id}: {config.dataset}, {config.arch}, width {config.width}, depth {config.depth}"
    ]
    pairs = len(dict.fromkeys(result.tables["barriers"]["pair"]))
    over = f"mean barrier over {pairs} pair{'s' * (pairs > 1)}"
    rows.append(f"{over}: the most by which the segment exceeds the line between its ends")
    for method in config.method:
        test, train = (result.metrics[f"error_barrier.{method}.direct.{split}"] for split in ("test", "train"))
        loss = result.metrics[f"loss_barrier.{method}.direct.test"]
        rows.append(f"  {method:12} test error {test:6.1%}   train error {train:6.1%}   test loss {loss:.3f} nats")
    rows.append(f"largest change of a logit by a permutation: {result.metrics['check.max_logit_difference']:.1e}")
    rows.append(f"{result.seconds:.1f} s on {result.made_with['device']}")
    return "\n".join(rows)
