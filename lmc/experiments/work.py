"""What an experiment needs while it runs: the store, the device, progress, and trained networks."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from lmc.errors import InputError
from lmc.experiments.base import Network
from lmc.result import versions
from lmc.store import Store

if TYPE_CHECKING:
    import torch
    from torch import nn

    from lmc.data import Dataset
    from lmc.stacking import State
    from lmc.symmetry import Traced
    from lmc.training import Trained

Report = Callable[[float, str], None]
"""Called with the share done (0 to 1) and what is being done; it may raise `lmc.Stopped`."""

MAX_PARAMETERS = 200_000_000


def quiet(share: float, text: str) -> None:
    """A report that nobody reads."""


def part(report: Report, start: float, end: float) -> Report:
    """A report for a piece of work that takes the share `start` to `end` of the whole."""
    return lambda share, text: report(start + (end - start) * share, text)


def check_device(name: str) -> str:
    """`name` if it is spelled like a device, else an InputError."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise InputError("device", name, "auto, cpu or cuda would be right")
    return name


def resolve_device(name: str) -> torch.device:
    """`auto` is CUDA when there is one, else the CPU; raises InputError for a device that is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(check_device(name))
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError("device", name, "this machine has no such GPU that torch can use; cpu would work")
    return device


@dataclass(frozen=True, kw_only=True)
class Work:
    """The surroundings of one run."""

    store: Store
    device: torch.device
    report: Report = field(default=quiet)

    def model(self, network: Network) -> nn.Module:
        """A template of the network's architecture on the device; its numbers mean nothing."""
        return build(network).to(self.device, torch_dtype(network))

    def traced(self, network: Network) -> Traced:
        """The symmetries of the network's architecture, traced once per process."""
        return traced(network)

    def dataset(self, network: Network) -> Dataset:
        """The network's data on the device, in its dtype."""
        return _loaded(network.dataset).to(self.device, torch_dtype(network))

    def checkpoints(
        self, networks: Iterable[Network], epochs: Iterable[int], report: Report = quiet
    ) -> dict[str, dict[int, State]]:
        """Network id → epoch → state on the device; trains what the store does not hold, and stores it.

        A network that another process is training is waited for, not trained twice.
        """
        import torch

        unique = list({network.id: network for network in networks}.values())
        wanted = sorted(set(epochs))
        if missing := self._missing(unique, wanted):
            with contextlib.ExitStack() as locks:
                for id in sorted(network.id for network in missing):
                    locks.enter_context(self.store.lock("network", id))
                self._train(self._missing(missing, wanted), wanted, report)  # others may have trained some meanwhile
        found: dict[str, dict[int, State]] = {}
        for network in unique:
            for epoch in wanted:
                arrays = self.store.load_checkpoint(network.id, epoch)
                assert arrays is not None
                state = {name: torch.from_numpy(value).to(self.device) for name, value in arrays.items()}
                found.setdefault(network.id, {})[epoch] = state
        return found

    def _missing(self, networks: list[Network], epochs: list[int]) -> list[Network]:
        def there(network: Network) -> bool:
            checkpoints = (self.store.load_checkpoint(network.id, epoch) for epoch in epochs)
            return all(state is not None for state in checkpoints) and self.store.load_about(network.id) is not None

        return [network for network in networks if not there(network)]

    def _train(self, networks: list[Network], epochs: list[int], report: Report) -> None:
        from lmc.training import initial_state, train

        families: dict[tuple[Any, ...], list[Network]] = {}
        for network in networks:
            families.setdefault(network.family, []).append(network)
        for i, family in enumerate(families.values()):
            first = family[0]
            starts = [initial_state(partial(build, first), n.seed, torch_dtype(first)) for n in family]
            train(
                self.model(first),
                [{name: t.to(self.device) for name, t in start.items()} for start in starts],
                [n.order_seed for n in family],
                self.dataset(first),
                first.recipe,
                checkpoints=epochs,
                report=part(report, i / len(families), (i + 1) / len(families)),
                finished=partial(self._keep, family),
            )

    def _keep(self, family: list[Network], place: int, trained: Trained) -> None:
        network = family[place]
        if not math.isfinite(trained.curves[-1]["loss"]):
            right = f"network {network.label} diverged under it; a smaller rate would be right"
            raise InputError("lr", network.recipe.lr, right)
        about = {
            "id": network.id,
            "label": network.label,
            "config": network.to_json(),
            "curves": trained.curves,
            "made_with": versions(str(self.device), network.dtype),
        }
        arrays = {e: {n: t.cpu().numpy() for n, t in state.items()} for e, state in trained.checkpoints.items()}
        self.store.save_network(network.id, about, arrays)


def torch_dtype(network: Network) -> torch.dtype:
    """The dtype that the network's config names."""
    import torch

    return torch.float64 if network.dtype == "float64" else torch.float32


def build(network: Network) -> nn.Module:
    """The network's architecture, freshly initialised from torch's global generator."""
    return _build(network.dataset, network.arch, network.width, network.depth, network.norm, network.activation)


def traced(network: Network) -> Traced:
    """The symmetries of the network's architecture, traced once per process."""
    return _traced(network.dataset, network.arch, network.width, network.depth, network.norm, network.activation)


def check_size(network: Network) -> None:
    """Raise InputError if the network has more than 2·10⁸ parameters; nothing is allocated."""
    import torch

    with torch.device("meta"):
        count = sum(p.numel() for p in build(network).parameters())
    if count > MAX_PARAMETERS:
        raise InputError(
            "width",
            network.width,
            f"the network would have {count:,} parameters, at most {MAX_PARAMETERS:,} are allowed",
        )


def _build(dataset: str, arch: str, width: int, depth: int, norm: str, activation: str) -> nn.Module:
    from lmc.data import dataset_info
    from models import get_model

    info = dataset_info(dataset)
    return get_model(
        arch,
        input_shape=info.input_shape,
        classes=len(info.classes),
        width=width,
        depth=depth,
        norm=norm,
        activation=activation,
    )


@lru_cache(maxsize=32)
def _traced(dataset: str, arch: str, width: int, depth: int, norm: str, activation: str) -> Traced:
    import torch

    from lmc.data import dataset_info
    from lmc.symmetry import trace

    with torch.random.fork_rng(devices=[]):
        model = _build(dataset, arch, width, depth, norm, activation)
    return trace(model, torch.zeros(2, *dataset_info(dataset).input_shape))


@lru_cache(maxsize=4)
def _loaded(dataset: str) -> Dataset:
    from lmc.data import load

    return load(dataset)
