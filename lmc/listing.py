"""What the command line lists, as lines of aligned columns: data sets, networks, results."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from lmc.data import Listed, list_data
from lmc.library import Entry, Library
from lmc.store import Kept, Store


def data_lines(data_dir: str | None) -> list[str]:
    """The data sets, and where each lies or whence it comes."""
    heads = ("name", "data set", "training", "test", "where")
    return aligned(heads, [_data_row(row) for row in list_data(data_dir)], right=(2, 3))


def network_lines(store: Store) -> list[str]:
    """The networks of the store, the newest first, shipped ones last."""
    heads = ("id", "name", "from", "data set", "arch", "width", "depth", "norm", "accuracy", "epochs", "date")
    rows = [_network_row(entry) for entry in Library(store).networks()]
    return [f"store: {store.root}", *aligned(heads, rows, right=(5, 6, 8, 9))]


def run_lines(store: Store) -> list[str]:
    """The results of the store, the newest first, and how much of its limit is full."""
    kept = store.inventory()
    results = [(one, store.load_result_text(one.id)) for one in kept if one.kind == "results"]
    rows = [(one.id, moment(one.written), size(one.size), _pin(one), _what(text)) for one, text in results if text]
    networks = len(kept) - len(results)
    total = (
        f"{len(results)} result{'s' * (len(results) != 1)} and {networks} network{'s' * (networks != 1)} of its own: "
        f"{size(store.size())} of at most {size(store.limit)}"
    )
    heads = ("id", "date", "size", "pinned", "experiment")
    return [f"store: {store.root}", *aligned(heads, rows, right=(2,)), total]


def size(count: int) -> str:
    """A number of bytes in three digits: `950 bytes`, `1.23 MB`, `20 GB`."""
    if count < 1000:
        return f"{count} bytes"
    power = min((len(str(count)) - 1) // 3, 4)
    return f"{float(f'{count / 1000**power:.3g}'):g} {('', 'kB', 'MB', 'GB', 'TB')[power]}"


def moment(seconds: float) -> str:
    """A time, given in seconds since the epoch, to the minute."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def _pin(one: Kept) -> str:
    return "pinned" if one.pinned else ""


def _what(text: dict[str, Any]) -> str:
    config = text["config"]
    networks = " ".join(map(str, config.get("labels") or config["seeds"]))
    return f"{text['experiment']}  {config['dataset']}  {config['arch']}  width {config['width']}  networks {networks}"


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lines whose columns stand below each other; the columns numbered in `right` end below each other."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    ]


def _data_row(row: Listed) -> tuple[str, ...]:
    counts = tuple(f"{count:,}" if count else "" for count in (row.train_images, row.test_images))
    where = row.where
    if row.train_images and not row.on_disk:
        where = f"not here yet; the first use downloads it to {row.where}"
    return (row.name, row.title, *counts, where)


def _network_row(entry: Entry) -> tuple[str, ...]:
    config = entry.config
    return (
        entry.id,
        entry.name,
        entry.origin,
        entry.dataset.split(":")[0],
        *(str(config[name]) for name in ("arch", "width", "depth", "norm")),
        "" if entry.error is None else f"{1 - entry.error:.1%}",
        "" if entry.epochs is None else str(entry.epochs),
        "" if entry.origin == "shipped" else moment(entry.written),
    )
