"""Train the networks that ship with the project and compute the results that the app opens with: `make pretrained`."""

import shutil
import tempfile
from pathlib import Path

import lmc
from lmc.experiments import METHODS, Pair, Triple, make_recipe
from lmc.store import SHIPPED, Store

SEEDS = (0, 1, 2)
PRESETS = (
    Pair(dataset="moons", method=METHODS),
    Pair(arch="cnn", recipe=make_recipe(epochs=20), method=METHODS),
    Triple(),
)


def main() -> None:
    """Rebuild `models/pretrained` from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder, shipped=None)
        groups = (SEEDS, (0, 1), (0, 2), (1, 2))  # all three first: they are trained in one stack
        configs = [*(Pair(seeds=seeds, method=METHODS) for seeds in groups), *PRESETS]
        results = [lmc.run(config, store=store, device="cpu") for config in configs]
        shutil.rmtree(SHIPPED, ignore_errors=True)
        for kind in ("networks", "results"):
            shutil.copytree(Path(folder) / kind, SHIPPED / kind, ignore=shutil.ignore_patterns("used"))
        for result in results:
            print(result.id, result.config["dataset"], result.config["arch"], result.config["seeds"], result.metrics)


if __name__ == "__main__":
    main()
