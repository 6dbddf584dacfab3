"""What captions say of a choice: what was measured, on how much of which data, and with which corrections."""

from __future__ import annotations

from lmc.charts.style import network_label
from lmc.experiments import Experiment, dataset_info, get_architecture
from lmc.result import Result


def noun(config: Experiment) -> str:
    """`images` or `points`."""
    return dataset_info(config.dataset).kind


def measured(config: Experiment, split: str) -> int:
    """How many inputs of `split` are measured on."""
    return min(_total(config, split), config.eval_images)


def measured_on(config: Experiment, split: str) -> str:
    """`360 test images`, or `10,000 of the 50,000 train images, a fixed draw with equal classes`."""
    total, count, things = _total(config, split), measured(config, split), noun(config)
    if count == total:
        return f"{total:,} {split} {things}"
    return f"{count:,} of the {total:,} {split} {things}, a fixed draw with equal classes"


def barrier_caption(config: Experiment, result: Result, split: str, measure: str, above: str) -> str:
    """Definition, data, resolution, the check of the permutations and the device."""
    return f"Barrier: the most by which the curve rises above {above}. {_made(config, result, split, measure)}"


def excess_caption(config: Experiment, result: Result, split: str, measure: str) -> str:
    """The same for mixtures of three networks and more."""
    return (
        f"Each mixture is compared with the {measure} of the networks in it, weighted as they are mixed: what it has "
        f"more is its excess, and the highest excess is the barrier. {_made(config, result, split, measure)}"
    )


def mean_caption(groups: int, kind: str) -> str:
    """What is shown of several groups of a `kind`, empty for one."""
    if groups == 1:
        return ""
    interval = " with its 95% interval, never narrower than one answer" * (groups > 2)
    return f"The mean over {groups} {kind}{interval}. They share networks, so they are less independent than it seems."


def correction_caption(config: Experiment) -> str:
    """What was done to the networks on the path, empty if nothing."""
    count = min(config.reset_images, dataset_info(config.dataset).train_images)
    taken = f"{count:,} training {noun(config)}"
    if config.correction == "repair":
        return (
            f"With REPAIR the path is no longer the straight line: at every point, each unit's mean and deviation on "
            f"{taken} are set between those of the two ends."
        )
    if config.norm == "batch":
        return (
            f"BatchNorm: in every mixture, the networks themselves included, its statistics are measured anew on "
            f"{taken}."
        )
    return ""


def narrow_caption(config: Experiment) -> str:
    """A word on networks that are known to stay apart, empty for others."""
    if config.arch != "resnet" or config.norm != "batch" or config.width >= 512:
        return ""
    return (
        "Narrow ResNets with BatchNorm are known to stay unconnected: ResNet-20 on CIFAR-10 needed 32 times the usual "
        "width of 16 until the barrier was gone (Ainsworth et al. 2022)."
    )


def wider(config: Experiment) -> int | None:
    """A width to try next, None where the networks are given or cannot be wider."""
    high = get_architecture(config.arch).widths[1]
    if config.load or config.width >= high:
        return None
    least = 128 if config.arch == "mlp" else 0
    return min(high, max(least, 2 * config.width))


def ends(config: Experiment, members: tuple[int, int]) -> tuple[str, str]:
    """The labels of A and B."""
    networks = config.networks()
    return networks[members[0]].label, networks[members[1]].label


def named(config: Experiment, members: tuple[int, int]) -> str:
    """`A (seed 0) and B (seed 1)`."""
    a, b = ends(config, members)
    return f"{network_label('A', a)} and {network_label('B', b)}"


def _made(config: Experiment, result: Result, split: str, measure: str) -> str:
    step = f": 0.01 of error is {measured(config, split) / 100:.4g} of them" if measure == "error" else ""
    return (
        f"Measured on {measured_on(config, split)}{step}. "
        f"Reordering changes no logit by more than {result.metrics['check.max_logit_difference']:.0e} (checked in "
        f"double precision). Computed on {result.made_with.get('device', 'an unknown device')}."
    )


def _total(config: Experiment, split: str) -> int:
    info = dataset_info(config.dataset)
    return info.test_images if split == "test" else info.train_images
