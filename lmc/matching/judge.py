"""The loss of mixtures of networks on the training images: a part of them to learn from, the rest to choose by."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from lmc.interpolation import evaluate
from lmc.normalization import has_statistics, reset
from lmc.seeds import generator
from lmc.simplex import Weights, combine
from lmc.stacking import State, buffer_names, channels_last, cross_entropy, is_small
from lmc.symmetry import Traced

HELD = 4  # one in so many images of every class is held back
MOST_HELD = 2_000
RESET = 1_000  # images on which statistics of BatchNorm are measured
BATCH = 256  # images a step


class Judge:
    """Losses (nats) of mixtures of networks of one shape, on images `inputs` `[N, ...]` with `labels` `[N]`.

    A fixed quarter of every class is held back: `held` measures on it, `draw` takes minibatches of the others. The
    networks were trained on both parts; held back they are from the choice between permutations.

    Stored statistics of BatchNorm do not fit a mixture. On the way it normalises by its minibatch, as in training;
    for `held` its statistics are measured anew on images that are not held back, as they are along every path.

    Raises:
        ValueError: there are no labels.
    """

    def __init__(self, traced: Traced, inputs: Tensor, labels: Tensor | None) -> None:
        if labels is None:
            raise ValueError("this method descends a loss, so the task needs the labels of its images.")
        self.traced, self.inputs = traced, inputs
        self.model = copy.deepcopy(traced.model).to(inputs.device, inputs.dtype)
        self._learner = copy.deepcopy(self.model)
        for module in self._learner.modules():
            module.train(isinstance(module, _BatchNorm) or module.training)
        shared = itertools.chain(self._learner.named_parameters(), self._learner.named_buffers())
        self._names = [name for name, _ in shared]  # a tensor with two names goes by the first one
        self._buffers = frozenset(buffer_names(self.model))
        learned, held = (places.to(inputs.device) for places in _parted(labels))
        self._x, self._y, self._held_x, self._held_y = inputs[learned], labels[learned], inputs[held], labels[held]

    def draw(self, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """A minibatch of images and their labels, drawn with replacement."""
        places = torch.randint(len(self._y), (BATCH,), generator=draws).to(self._y.device)
        return self._x[places], self._y[places]

    def sample(self, count: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Different images and their labels, `count` of them if there are as many."""
        places = torch.randperm(len(self._y), generator=draws)[:count].to(self._y.device)
        return self._x[places], self._y[places]

    def gradient(self, state: State, names: Sequence[str], batch: tuple[Tensor, Tensor]) -> list[Tensor]:
        """The derivative of a network's mean loss on a minibatch by the parameters `names`; `state` is not changed."""
        leaves = {name: state[name].detach().requires_grad_() for name in names}
        own = {name: tensor.clone() if name in self._buffers else tensor for name, tensor in state.items()} | leaves
        x, y = batch
        logits = functional_call(self._learner, {name: channels_last(own[name]) for name in self._names}, (x,))
        found = torch.autograd.grad(
            cross_entropy(logits, y).mean(), list(leaves.values()), allow_unused=True, materialize_grads=True
        )
        return list(found)

    @torch.no_grad()
    def losses(self, states: State, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Mean loss of each of stacked networks on a minibatch, float64 `[stack]`; `states` are not changed."""
        x, y = batch
        own = {name: states[name].clone() if name in self._buffers else states[name] for name in self._names}
        if is_small(self.model):
            logits = vmap(lambda state: functional_call(self._learner, state, (x,)))(own)
        else:
            count = len(own[self._names[0]])
            each = ({name: channels_last(tensor[k]) for name, tensor in own.items()} for k in range(count))
            logits = torch.stack([functional_call(self._learner, state, (x,)) for state in each])
        picked = logits.gather(-1, y.expand(logits.shape[:-1])[..., None])[..., 0]
        return (logits.logsumexp(-1) - picked).mean(-1, dtype=torch.float64)

    def held(self, states: Sequence[State], weights: Weights) -> float:
        """Mean loss of the mixtures Σ w_i θ_i, a row of `weights` each, on the images that are held back."""
        step = len(weights) if is_small(self.model) else 1
        losses = []
        for start in range(0, len(weights), step):
            mixed = combine(states, weights[start : start + step])
            if has_statistics(self.model):
                mixed = reset(self.model, mixed, self._x[:RESET])
            losses.append(evaluate(self.model, mixed, self._held_x, self._held_y)[0])
        return float(torch.cat(losses).mean())


def _parted(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Places in a fixed mixed order: those to learn from, and those held back."""
    count = len(labels)
    mixed = torch.randperm(count, generator=generator("held back"))
    by_class = mixed[labels.cpu()[mixed].argsort(stable=True)]
    every = max(HELD, -(-count // MOST_HELD))
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[by_class[::every]] = True
    return mixed[~chosen[mixed]], mixed[chosen[mixed]]
