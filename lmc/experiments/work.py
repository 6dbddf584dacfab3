"""What an experiment needs while it runs: the store, the device, progress, and trained networks."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmc.errors import CheckFailed, InputError
from lmc.experiments.networks import Loaded, Network, Shape
from lmc.progress import part as part
from lmc.shelf import Keeper, kept
from models import MAX_PARAMETERS

if TYPE_CHECKING:
    import torch
    from torch import nn

    from lmc.data import Dataset
    from lmc.stacking import State
    from lmc.symmetry import Traced

Report = Callable[[float, str], None]
"""Called with the share done (0 to 1) and what is being done; it may raise `lmc.Stopped`."""


def quiet(share: float, text: str) -> None:
    """A report that nobody reads."""


Recorded = Callable[[str, list[dict[str, Any]]], None]
"""Called with the id of a network in training and the new rows of its learning curves, see `lmc.training.Trained`, and
with the name of a search and its new steps."""


def unheard(name: str, rows: list[dict[str, Any]]) -> None:
    """What hears rows when nobody draws them."""


def naming(what: str, report: Report) -> Report:
    """A report for a piece of work that does not know what it is part of."""
    return lambda share, text: report(share, f"{what}: {text}")


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


@dataclass(frozen=True)
class Work:
    """The surroundings of one run."""

    store: Keeper
    device: torch.device
    data_dir: Path | None = None
    report: Report = field(default=quiet)
    recorded: Recorded = field(default=unheard)

    def reporting(self, report: Report) -> Work:
        """The same work that reports elsewhere."""
        return replace(self, report=report)

    def model(self, network: Shape) -> nn.Module:
        """A template of the network's architecture on the device; its numbers mean nothing."""
        return _template(*_named(network), self.device, torch_dtype(network))

    def traced(self, network: Shape) -> Traced:
        """The symmetries of the network's architecture, traced once per process."""
        return traced(network)

    def dataset(self, network: Shape, report: Report = quiet) -> Dataset:
        """The network's data on the device, in its dtype; downloaded if it is not on disk."""
        return _dataset(network.dataset, self.data_dir, report).to(self.device, torch_dtype(network))

    def checkpoints(
        self, networks: Iterable[Network], epochs: Iterable[int], report: Report = quiet
    ) -> dict[str, dict[int, State]]:
        """Network id → epoch → state on the device; trains what the store does not hold, and stores it.

        A network that another process is training is waited for, not trained twice.
        """
        from lmc.experiments.trainer import Trainer

        unique = {network.id: network for network in networks}
        wanted = sorted(set(epochs))
        found = {id: self.held(id, wanted) for id in unique}
        if missing := sorted(id for id, states in found.items() if states is None):
            with contextlib.ExitStack() as locks:
                for id in missing:
                    locks.enter_context(self.store.lock("network", id))
                found |= {id: self.held(id, wanted) for id in missing}  # others may have trained some meanwhile
                Trainer(self).train([unique[id] for id, states in found.items() if states is None], wanted, report)
                found |= {id: self.held(id, wanted) for id, states in found.items() if states is None}
        return {id: states for id, states in found.items() if states is not None}

    def train(self, wanted: Sequence[tuple[Network, tuple[int, ...]]], report: Report = quiet) -> None:
        """See to it that the store holds these networks at these epochs."""
        by_epochs: dict[tuple[int, ...], list[Network]] = {}
        for network, epochs in wanted:
            by_epochs.setdefault(epochs, []).append(network)
        for i, (epochs, networks) in enumerate(by_epochs.items()):
            self.checkpoints(networks, epochs, part(report, i / len(by_epochs), (i + 1) / len(by_epochs)))

    def final_states(self, networks: Sequence[Network | Loaded], report: Report = quiet) -> dict[str, State]:
        """Network id → state on the device after training, or as it was loaded."""
        trained = [network for network in networks if isinstance(network, Network)]
        if trained:
            last = trained[0].last_epoch
            return {id: states[last] for id, states in self.checkpoints(trained, [last], report).items()}
        return {network.id: self._loaded(network) for network in networks if isinstance(network, Loaded)}

    def _loaded(self, network: Loaded) -> State:
        """Its state on the device; InputError if the store does not hold it or it does not fit."""
        states = self.held(network.id, [network.last_epoch])
        if states is None:
            raise InputError("load", network.id, "the store holds no such network; load its file again")
        return self._fitting(network, states[network.last_epoch])

    def _fitting(self, network: Loaded, state: State) -> State:
        import torch

        with torch.device("meta"):
            expected = {name: tuple(tensor.shape) for name, tensor in build(network).state_dict().items()}
        for name in dict.fromkeys((*expected, *state)):
            given = tuple(state[name].shape) if name in state else None
            if given != expected.get(name):
                described = f"{network.arch} of width {network.width}, depth {network.depth}, norm {network.norm}"
                data = network.dataset.split(":")[0]
                right = f"its {name} is {given}, and that of {described} on {data} {expected.get(name)}"
                raise InputError("load", network.label, right)
        dtype = torch_dtype(network)
        return {name: t.to(dtype) if t.is_floating_point() else t for name, t in state.items()}

    def held(self, id: str, epochs: list[int]) -> dict[int, State] | None:
        """The checkpoints of a network on the device, None if one of them or its description is missing."""
        import torch

        found = kept(self.store, id, epochs)
        if found is None:
            return None
        return {
            epoch: {name: torch.from_numpy(value).to(self.device) for name, value in arrays.items()}
            for epoch, arrays in found.checkpoints.items()
        }


def require_preserved(difference: float, what: str) -> None:
    """Raise CheckFailed if a permutation, described by `what`, changed some logit by `difference` > 1e-10."""
    from lmc.symmetry import TOLERANCE

    if not difference <= TOLERANCE:
        raise CheckFailed(
            f"{what} changes the logits by {difference:.1e}, more than {TOLERANCE:g}: nothing is shown, "
            "as the symmetries were traced wrongly"
        )


def together(network: Network) -> int:
    """How many networks of this family are trained in one stack. Raises InputError for one that is too large."""
    import torch

    from lmc.training import stack_size

    check_size(network)
    with torch.device("meta"):
        return stack_size(build(network))


def torch_dtype(network: Shape) -> torch.dtype:
    """The dtype that the network's config names."""
    import torch

    return torch.float64 if network.dtype == "float64" else torch.float32


def build(network: Shape) -> nn.Module:
    """The network's architecture, freshly initialised from torch's global generator."""
    return _build(*_named(network))


def traced(network: Shape) -> Traced:
    """The symmetries of the network's architecture, traced once per process."""
    return _traced(*_named(network))


def check_size(network: Shape) -> None:
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


def _named(network: Shape) -> tuple[str, str, int, int, str, str]:
    return network.dataset, network.arch, network.width, network.depth, network.norm, network.activation


@lru_cache(maxsize=4)
def _template(
    dataset: str,
    arch: str,
    width: int,
    depth: int,
    norm: str,
    activation: str,
    device: torch.device,
    dtype: torch.dtype,
) -> nn.Module:
    """Kept, as the step of training is traced for one module."""
    return _build(dataset, arch, width, depth, norm, activation).to(device, dtype)


@lru_cache(maxsize=32)
def _traced(dataset: str, arch: str, width: int, depth: int, norm: str, activation: str) -> Traced:
    import torch

    from lmc.data import dataset_info
    from lmc.symmetry import trace

    with torch.random.fork_rng(devices=[]):
        model = _build(dataset, arch, width, depth, norm, activation)
    return trace(model, torch.zeros(2, *dataset_info(dataset).input_shape))


_DATA: dict[tuple[str, Path | None], Dataset] = {}


def _dataset(dataset: str, data_dir: Path | None, report: Report) -> Dataset:
    """The data set as it was loaded last; only one is kept, large ones fill memory."""
    from lmc.data import load

    if (dataset, data_dir) not in _DATA:
        _DATA.clear()
        _DATA[dataset, data_dir] = load(dataset, data_dir=data_dir, report=report)
    return _DATA[dataset, data_dir]
