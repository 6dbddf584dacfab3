"""Print the table of the README: every method on the digits, at several widths, with intervals."""

import argparse
import os

import lmc
from lmc.charts.style import METHOD_LABELS, percent
from lmc.charts.summary import Interval, mean_interval
from lmc.experiments import METHODS
from lmc.progress import Lines
from lmc.result import Result

WIDTHS = (16, 32, 64)
SEEDS = tuple(range(6))


def main() -> None:
    """Run the experiments, or find them in the store, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", help="folder of networks and results")
    store = parser.parse_args().store
    results = []
    for width in WIDTHS:
        lines = Lines()
        results.append(lmc.run(lmc.Methods(width=width, seeds=SEEDS), store=store, device="cpu", report=lines))
        lines.close()
    pairs = results[0].frame("methods")["pair"].nunique()
    print(f"{pairs} pairs of {len(SEEDS)} seeds, {results[0].made_with['device']}, {os.cpu_count()} cores\n")
    print("| | " + " | ".join(f"width {width} | time" for width in WIDTHS) + " |")
    print("|---" * (1 + 2 * len(WIDTHS)) + "|")
    for method in METHODS:
        cells = [cell for result in results for cell in (barrier(result, method), took(result, method))]
        print(f"| {METHOD_LABELS[method]} | " + " | ".join(cells) + " |")


def barrier(result: Result, method: str) -> str:
    """The mean test error barrier, with its interval."""
    rows = result.frame("barriers")
    chosen = rows[(rows["method"] == method) & (rows["split"] == "test")]
    found = mean_interval(chosen["error_barrier"].to_numpy())
    return f"{percent(found.mean)} [{percent(max(0.0, found.low))}, {percent(found.high)}]"


def took(result: Result, method: str) -> str:
    """The mean time of a match, with its interval."""
    rows = result.frame("methods")
    found: Interval = mean_interval(rows.loc[rows["method"] == method, "seconds"].to_numpy())
    if method == "none":
        return "–"
    unit, scale = ("ms", 1000) if found.mean < 1 else ("s", 1)
    return f"{scale * found.mean:.2g} ± {scale * (found.high - found.mean):.1g} {unit}"


if __name__ == "__main__":
    main()
