"""Trains the networks that an experiment needs: from their first weights, or pruned from level to level."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from lmc.errors import InputError
from lmc.experiments.networks import Network, content_id
from lmc.experiments.work import Report, Work, build, part, quiet, torch_dtype
from lmc.result import versions

if TYPE_CHECKING:
    import torch

    from lmc.pruning import Mask
    from lmc.stacking import State
    from lmc.training import Trained

SAVE_EVERY = 20.0  # seconds of training between two saved states, unless $LMC_SAVE_EVERY says otherwise
READING = 0.02  # of the share of a training: reading its data, which may have to be fetched


class Trainer:
    """Trains networks of any families and keeps them in the work's store."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def train(self, networks: Sequence[Network], checkpoints: Sequence[int], report: Report = quiet) -> None:
        """Train networks and keep them at these epochs or, if they are pruned, levels.

        Raises InputError for one that diverges; the others are kept.
        """
        families: dict[tuple[Any, ...], list[Network]] = {}
        for network in networks:
            families.setdefault(network.family, []).append(network)
        for i, family in enumerate(families.values()):
            share = part(report, i / len(families), (i + 1) / len(families))
            if family[0].pruning:
                self._levels(family, checkpoints, share)
            else:
                self._family(family, checkpoints, share)

    def _family(self, family: list[Network], epochs: Sequence[int], report: Report) -> None:
        diverged: list[Network] = []
        self.run(
            family,
            [self._start(network) for network in family],
            checkpoints=epochs,
            saved_as=lambda places: state_name([family[place].id for place in places], epochs),
            recorded=lambda place, rows: self.work.recorded(family[place].id, rows),
            finished=lambda place, trained: self._keep(
                family[place], trained, trained.checkpoints, trained.curves, diverged
            ),
            report=report,
        )
        _require_finite(diverged)

    def _levels(self, family: list[Network], levels: Sequence[int], report: Report) -> None:
        """Prune and train again, level after level, each network from the last level that there is."""
        left = {network: self._left(network, levels) for network in family}
        every = sorted({level for found in left.values() for level in found})
        for k, level in enumerate(every):
            share = part(report, k / len(every), (k + 1) / len(every))
            self._level([network for network in family if level in left[network]], level, share)

    def _left(self, network: Network, levels: Sequence[int]) -> set[int]:
        """The levels that have to be trained for the network to have these."""
        left: set[int] = set()
        for level in levels:
            while level > 0 and level not in left and self.work.held(network.id, [level]) is None:
                left.add(level)
                level -= 1  # down to one that is there
        return left

    def _level(self, family: list[Network], level: int, report: Report) -> None:
        from lmc.pruning import masked

        pruning, diverged = family[0].pruning, list[Network]()
        assert pruning
        masks = [self.mask(network, level) for network in family]

        def keep(place: int, trained: Trained) -> None:
            states = {level: masked(trained.checkpoints[family[place].last_epoch], masks[place])}
            self._keep(family[place], trained, states, [], diverged)

        self.run(
            family,
            [masked(self.rewound(network), mask) for network, mask in zip(family, masks, strict=True)],
            begin=pruning.rewind,
            masks=masks,
            saved_as=lambda places: state_name([family[place].id for place in places], (level,)),
            finished=keep,
            report=lambda share, text: report(share, f"level {level}: {text}"),
        )
        _require_finite(diverged)

    def mask(self, network: Network, level: int) -> Mask:
        """The mask of a pruned network at a level, from the network of the level before."""
        from lmc.pruning import everything, mask_of, prunable, pruned_further

        pruning = network.pruning
        assert pruning
        names = prunable(self.work.model(network), pruning.last_layer)
        if level == 1:
            before = self.work.final_states([network.dense])[network.dense.id]
            return pruned_further(before, everything(before, names), pruning.share)
        before = self.work.checkpoints([network], [level - 1])[network.id][level - 1]
        return pruned_further(before, mask_of(before, names), pruning.share)

    def rewound(self, network: Network) -> State:
        """The weights that every level of a pruned network begins with, before they are masked."""
        assert network.pruning
        dense, epochs = network.dense, sorted({network.pruning.rewind, network.last_epoch})
        return self.work.checkpoints([dense], epochs)[dense.id][network.pruning.rewind]

    def run(
        self,
        family: Sequence[Network],
        starts: Sequence[State],
        *,
        saved_as: Callable[[Sequence[int]], str],
        checkpoints: Sequence[int] = (),
        begin: int = 0,
        masks: Sequence[Mask] = (),
        recorded: Callable[[int, Any], None] | None = None,
        finished: Callable[[int, Trained], None] | None = None,
        report: Report = quiet,
    ) -> list[Trained]:
        """Train networks of one family from `starts`; `saved_as(places)` names the state of a stack under way."""
        from lmc.training import Resume, train

        first, store, names = family[0], self.work.store, set()

        def name(places: Sequence[int]) -> str:
            names.add(found := saved_as(places))
            return found

        trained = train(
            self.work.model(first),
            [{name: t.to(self.work.device) for name, t in start.items()} for start in starts],
            [network.order_seed for network in family],
            self.work.dataset(first, part(report, 0.0, READING)),
            first.recipe,
            checkpoints=checkpoints,
            begin=begin,
            masks=masks,
            forks=[network.fork for network in family],
            report=part(report, READING, 1.0),
            recorded=recorded,
            finished=finished,
            resume=Resume(
                lambda places: store.load_state(name(places)),
                lambda places, content: store.save_state(name(places), content),
                every=_save_every(),
            ),
        )
        for done in names:
            store.delete_state(done)
        return trained

    def _start(self, network: Network) -> State:
        """Its first weights."""
        from lmc.training import initial_state

        start = initial_state(partial(build, network), network.seed, torch_dtype(network))
        if network.twin is None:
            return start
        from lmc.permutation import apply_permutation

        return apply_permutation(self.work.traced(network).spec, twin_order(self.work, network), start)

    def _keep(
        self,
        network: Network,
        trained: Trained,
        states: Mapping[int, State],
        curves: list[dict[str, Any]],
        diverged: list[Network],
    ) -> None:
        """Store a network whose numbers are finite, and note one whose are not."""
        if not math.isfinite(trained.curves[-1]["loss"]):
            diverged.append(network)
            return
        about = {
            "id": network.id,
            "label": network.label,
            "config": network.to_json(),
            "curves": curves,
            "made_with": versions(str(self.work.device), network.dtype),
        }
        arrays = {epoch: {name: t.cpu().numpy() for name, t in state.items()} for epoch, state in states.items()}
        self.work.store.save_network(network.id, about, arrays)


def twin_order(work: Work, network: Network) -> dict[str, torch.Tensor]:
    """The order that the units of a twin's first weights are put in."""
    from lmc.permutation import random_permutation
    from lmc.seeds import generator

    assert network.twin is not None
    return random_permutation(work.traced(network).spec, generator("twin", network.twin))


def _require_finite(diverged: Sequence[Network]) -> None:
    if diverged:
        right = f"network {diverged[0].label} diverged under it; a smaller rate would be right"
        raise InputError("lr", diverged[0].recipe.lr, right)


def _save_every() -> float:
    """Seconds of training between two saved states."""
    given = os.environ.get("LMC_SAVE_EVERY", str(SAVE_EVERY))
    try:
        return max(0.0, float(given))
    except ValueError:
        raise InputError("LMC_SAVE_EVERY", given, "a number of seconds would be right") from None


def state_name(networks: Sequence[str], epochs: Sequence[int]) -> str:
    """Under which the state of an unfinished training of these networks is kept, with checkpoints at these epochs."""
    return content_id("training", 1, {"networks": list(networks), "epochs": list(epochs)})
