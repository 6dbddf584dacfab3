"""What came out of an experiment, in a few lines."""

from __future__ import annotations

from collections.abc import Callable

from lmc.experiments import Experiment
from lmc.result import Result

COLUMN = 13  # characters


def summary(result: Result, config: Experiment) -> str:
    """What was run, its headline numbers on the test split, the check of the permutations and the time."""
    widths = getattr(config, "widths", (config.width,))
    width = f"width{'s' * (len(widths) > 1)} {' '.join(map(str, widths))}"
    rows = [f"{result.experiment} {result.id}: {config.dataset}, {config.arch}, {width}, depth {config.depth}"]
    rows += _BODIES[result.experiment](result, config)
    rows.append(f"largest change of a logit by a permutation: {result.metrics['check.max_logit_difference']:.1e}")
    rows.append(f"{result.seconds:.1f} s on {result.made_with['device']}")
    return "\n".join(rows)


def _pair(result: Result, config: Experiment) -> list[str]:
    pairs = len(dict.fromkeys(result.tables["barriers"]["pair"]))
    over = f"mean barrier over {pairs} pair{'s' * (pairs > 1)}"
    rows = [f"{over}: the most by which the segment exceeds the line between its ends"]
    for method in config.method:
        test, train = (result.metrics[f"error_barrier.{method}.direct.{split}"] for split in ("test", "train"))
        loss = result.metrics[f"loss_barrier.{method}.direct.test"]
        rows.append(f"  {method:16} test error {test:6.1%}   train error {train:6.1%}   test loss {loss:.3f} nats")
    return rows


def _compared(result: Result, config: Experiment) -> list[str]:
    rows = _pair(result, config)
    rows.append("mean time, and mean inner product of A and B in its new order")
    for method in config.method:
        seconds, objective = (result.metrics[f"{quantity}.{method}.direct"] for quantity in ("seconds", "objective"))
        rows.append(f"  {method:16} {seconds:9.4f} s   {objective:10.2f}")
    return rows


def _triple(result: Result, config: Experiment) -> list[str]:
    triples = len(dict.fromkeys(result.tables["barriers"]["triple"]))
    over = f"mean test error barriers over {triples} triple{'s' * (triples > 1)}"
    columns = {
        "direct": "1-2 direct",
        "via": "1-2 via 0",
        "simplex": "triangle",
        "centroid": "its middle",
    }
    return [f"{over}; 1-2 via 0: both matched to network 0", *_methods(result, config, "error_barrier", columns)]


def _many(result: Result, config: Experiment) -> list[str]:
    barriers = {"simplex": "simplex", "centroid": "its middle"}
    errors = {"merged": "merged", "parents": "parents", "ensemble": "ensemble"}
    return [
        "test error barriers",
        *_methods(result, config, "error_barrier", barriers),
        "test errors of the mean of all networks, of the networks on average, and of their ensemble",
        *_methods(result, config, "error", errors),
    ]


def _width(result: Result, config: Experiment) -> list[str]:
    columns = {"direct": "1-2 direct", "via": "1-2 via 0", "simplex": "triangle", "centroid": "its middle"}
    rows = [
        "mean test error barriers at the largest width",
        *_methods(result, config, "error_barrier", columns),
        "width at which the mean test error barrier would be 2 points (-: the data do not say)",
    ]
    return rows + _methods(result, config, "connecting_width", columns, lambda value: f"{value:.0f}")


def _landscape(result: Result, config: Experiment) -> list[str]:
    columns = {"lowest": "lowest", "highest": "highest"}
    methods = [method for method in config.method if f"error.{method}.lowest.test" in result.metrics]
    return ["test error over the plane", *_methods(result, config, "error", columns, methods=methods)]


def _trajectory(result: Result, config: Experiment) -> list[str]:
    columns = {"last": "last epoch", "every": "worst epoch", "first": "first fit"}
    rows = [
        "mean test error barriers: under the last epoch's permutation there and at its worst epoch, and at the last",
        "epoch under the permutation of the first trained checkpoint",
        *_methods(result, config, "error_barrier", columns),
    ]
    for method in config.method[1:]:
        epoch = result.metrics.get(f"stable_epoch.{method}.fit.test")
        said = "no epoch" if epoch is None else f"epoch {epoch:.0f}"
        rows.append(f"{method}: the permutation of {said} leaves at most 2 points from then on")
    return rows


def _pruning(result: Result, config: Experiment) -> list[str]:
    columns = {"direct": "none", "dense": "dense's", "sparse": "level's own"}
    return [
        f"mean test error barriers at the last level, where {result.metrics['density']:.1%} of the weights are left",
        *_methods(result, config, "error_barrier", columns),
        "density down to which that is at most 2 points (-: not even of the dense networks)",
        *_methods(result, config, "connected_density", columns),
    ]


def _transport(result: Result, config: Experiment) -> list[str]:
    columns = {"own": "own mask", "transported": "A's, moved", "unpermuted": "A's as it is", "random": "random"}
    return ["mean test error of B trained under each mask", *_methods(result, config, "error", columns)]


def _instability(result: Result, config: Experiment) -> list[str]:
    forks = getattr(config, "forks", ())
    found = [(fork, result.metrics[f"error_barrier.none.fork{fork}.test"]) for fork in forks]
    return [
        "mean test error barrier between a network and its copy that sees another data order from an epoch on",
        *(f"  epoch {fork:5} {value:6.1%}" for fork, value in found),
    ]


def _methods(
    result: Result,
    config: Experiment,
    quantity: str,
    columns: dict[str, str],
    written: Callable[[float], str] = lambda value: f"{value:.1%}",
    methods: list[str] | None = None,
) -> list[str]:
    """A small table: methods down, the metrics `<quantity>.<method>.<column>.test` across."""
    rows = ["  " + " " * 17 + "".join(f"{title:>{COLUMN}}" for title in columns.values())]
    for method in methods or config.method:
        found = [result.metrics.get(f"{quantity}.{method}.{name}.test") for name in columns]
        rows.append(
            f"  {method:17}" + "".join(f"{'-' if value is None else written(value):>{COLUMN}}" for value in found)
        )
    return rows


_BODIES: dict[str, Callable[[Result, Experiment], list[str]]] = {
    "pair": _pair,
    "triple": _triple,
    "many": _many,
    "width": _width,
    "trajectory": _trajectory,
    "pruning": _pruning,
    "transport": _transport,
    "instability": _instability,
    "landscape": _landscape,
    "methods": _compared,
    "partial": _pair,
}
