"""Make what ships with the project: tiny networks, and the results that the app opens with (`make pretrained`).

What ships already stays as it is, to the bit; with --anew everything is trained and computed again.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import lmc
from lmc.experiments import INSTANT, Pair, Pruning, Trajectory, Triple, make_recipe
from lmc.store import SHIPPED, Store

SEEDS = (0, 1, 2)
CONFIGS = (
    *(Pair(seeds=seeds, method=INSTANT) for seeds in (SEEDS, (0, 1), (0, 2), (1, 2))),  # all three are one stack
    Pair(dataset="moons", method=INSTANT),
    Pair(arch="cnn", recipe=make_recipe(epochs=20), method=INSTANT),
    Triple(),
    Trajectory(),
    Pruning(),
)


def main() -> None:
    """Add what is missing in `models/pretrained`, and remove what is of no use."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anew", action="store_true", help="train every network again")
    if parser.parse_args().anew:
        shutil.rmtree(SHIPPED, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        results = [lmc.run(config, store=store, device="cpu") for config in CONFIGS]
        for kind in ("networks", "results"):
            shutil.copytree(
                Path(folder) / kind, SHIPPED / kind, ignore=shutil.ignore_patterns("used"), dirs_exist_ok=True
            )
    keep_only(SHIPPED / "results", [result.id for result in results])
    keep_only(SHIPPED / "networks", [id for result in results for id in result.networks])
    for result in results:
        print(result.id, result.config["dataset"], result.config["arch"], result.config["seeds"])


def keep_only(folder: Path, names: Iterable[str]) -> None:
    """Remove every other entry of the folder."""
    for entry in folder.iterdir():
        if entry.name not in set(names):
            shutil.rmtree(entry)


if __name__ == "__main__":
    main()
