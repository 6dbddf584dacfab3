"""Matching as a straightforward script does it: full sweeps, SciPy's assignments, whole networks copied."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch.func import functional_call
from torch.nn import functional

from lmc.matching import Task
from lmc.permutation import apply_permutation, identity
from lmc.seeds import generator

BATCH = 128


def scores_of(task, group, b):
    """Inner products of A's units with those of `b`, tensor by tensor."""
    size = task.spec.groups[group]
    scores = torch.zeros(size, size)
    for name in task.spec.parameters:
        for piece in task.spec.pieces(name):
            for axis, moved in enumerate(piece.groups):
                if moved == group:
                    one, other = (piece.take(s[name]).movedim(axis, 0).reshape(size, -1) for s in (task.a, b))
                    scores += one @ other.T
    return scores


def weight_matching(task, start=None, draws=None):
    """Every group in every sweep, in the order that ours goes in."""
    spec, permutation = task.spec, dict(start or identity(task.spec))
    draws, groups = draws or generator("weight_matching", 0, 0), list(spec.groups)
    for _ in range(100):
        before = task.objective(permutation)
        for group in [groups[k] for k in torch.randperm(len(groups), generator=draws).tolist()]:
            b = apply_permutation(spec, permutation, {name: tensor.clone() for name, tensor in task.b.items()})
            scores = scores_of(task, group, b)
            _, order = linear_sum_assignment(scores.numpy(), maximize=True)
            if float(scores[torch.arange(len(order)), order].sum()) > float(scores.trace()):
                permutation[group] = permutation[group][torch.from_numpy(order)]
        if task.objective(permutation) <= before + 1e-7 * abs(before):
            return permutation
    return permutation


def dense_gain(task, permutation):
    """The most that a dense assignment of one group alone would gain, relative to the objective."""
    b = apply_permutation(task.spec, permutation, task.b)
    gains = []
    for group in task.spec.groups:
        scores = scores_of(task, group, b).double()
        rows, columns = linear_sum_assignment(scores.numpy(), maximize=True)
        gains.append(float(scores[rows, columns].sum() - scores.trace()))
    return max(gains) / task.objective(permutation)


def activation_matching(task):
    """All activations of both networks kept, then correlated and assigned group by group."""
    kept = []
    for state in (task.a, task.b):
        batches = [task.traced.activations(state, x) for x in task.inputs.split(BATCH)]
        kept.append({group: torch.cat([batch[group] for batch in batches]).double().numpy() for group in batches[0]})
    permutation = identity(task.spec)
    for group, units in task.spec.groups.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            together = np.corrcoef(kept[0][group].T, kept[1][group].T)[:units, units:]
        _, order = linear_sum_assignment(np.nan_to_num(together), maximize=True)
        permutation[group] = torch.from_numpy(order)
    return permutation


def midpoint_loss(task, tensors, batch):
    """The loss of the network halfway between A and `tensors`, on a minibatch."""
    x, y = batch
    middle = {n: (task.a[n] + tensors[n]) / 2 if t.is_floating_point() else t for n, t in task.a.items()}
    return functional.cross_entropy(functional_call(task.traced.model, middle, (x,)), y)


def batches(task, steps):
    draws = torch.Generator().manual_seed(0)
    for _ in range(steps):
        places = torch.randint(len(task.labels), (256,), generator=draws)
        yield task.inputs[places], task.labels[places]


def straight_through(task, steps):
    """Every step projects by full sweeps; the permutation with the lowest loss on its own minibatch is taken."""
    start = weight_matching(task)
    free = {n: task.a[n].clone().requires_grad_() for n in task.spec.parameters}
    optimizer = torch.optim.Adam(free.values(), lr=1e-2)
    best, lowest = start, np.inf
    for batch in batches(task, steps):
        there = Task(task.traced, {**task.a, **{n: t.detach() for n, t in free.items()}}, task.b, task.inputs)
        start = weight_matching(there, start)
        fixed = apply_permutation(task.spec, start, task.b)
        through = {n: free[n] + (fixed[n] - free[n]).detach() if n in free else t for n, t in fixed.items()}
        loss = midpoint_loss(task, through, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < lowest:
            best, lowest = start, loss.item()
    return best


def sinkhorn(task, steps, iterations=20):
    """Every group by itself, soft matrices applied tensor by tensor; rounded in every step."""
    scores = {g: torch.zeros(n, n, requires_grad=True) for g, n in task.spec.groups.items()}
    optimizer = torch.optim.Adam(scores.values(), lr=0.1)
    best, lowest = identity(task.spec), np.inf
    for step, batch in enumerate(batches(task, steps)):
        soft = {}
        for group, values in scores.items():
            logs = values / 0.1 ** (step / max(1, steps - 1))
            for _ in range(iterations):
                logs = logs - logs.logsumexp(1, keepdim=True)
                logs = logs - logs.logsumexp(0, keepdim=True)
            soft[group] = logs.exp()
        moved = {}
        for name, tensor in task.b.items():
            (piece,) = task.spec.pieces(name)
            block = piece.take(tensor)
            for axis, group in enumerate(piece.groups):
                if group:
                    block = torch.tensordot(soft[group], block, ([1], [axis])).movedim(0, axis)
            moved[name] = block.reshape(tensor.shape)
        optimizer.zero_grad()
        midpoint_loss(task, moved, batch).backward()
        optimizer.step()
        rounded = {}
        for group, matrix in soft.items():
            _, order = linear_sum_assignment(matrix.detach().numpy(), maximize=True)
            rounded[group] = torch.from_numpy(order)
        loss = float(midpoint_loss(task, apply_permutation(task.spec, rounded, task.b), batch))
        if loss < lowest:
            best, lowest = rounded, loss
    return best


def annealing(task, steps):
    """A swap at a time: the whole network copied, mixed and run on 500 images."""
    draws = torch.Generator().manual_seed(0)
    batch = task.inputs[:500], task.labels[:500]
    groups = list(task.spec.groups)
    now = identity(task.spec)
    with torch.no_grad():
        loss = float(midpoint_loss(task, task.b, batch))
        for step in range(steps):
            group = groups[int(torch.randint(len(groups), (), generator=draws))]
            i, j = torch.randint(task.spec.groups[group], (2,), generator=draws).tolist()
            trial = {g: order.clone() for g, order in now.items()}
            trial[group][[i, j]] = trial[group][[j, i]]
            found = float(midpoint_loss(task, apply_permutation(task.spec, trial, task.b), batch))
            temperature = 1e-3 * 0.01 ** (step / steps)
            if found < loss or float(torch.rand((), generator=draws)) < np.exp((loss - found) / temperature):
                now, loss = trial, found
    return now
