"""Many networks of one shape run at once: states stacked along a first axis, one batched operation for all.

`vmap` turns the network into a batched one; tracing that once (`make_fx`) leaves plain tensor operations, so a
training step pays neither for vmap nor for autograd again. Source of the idea: torch.func's model ensembling.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

aten = torch.ops.aten

State = dict[str, Tensor]
SMALL = 100_000  # parameters


def is_small(model: nn.Module) -> bool:
    """Whether many networks of this architecture cost little more than one when they run as one batched operation.

    Measured on two cores: up to `SMALL` parameters, and without convolutions, whose batched form is slower than one
    after another.
    """
    return not has_convolutions(model) and sum(p.numel() for p in model.parameters()) <= SMALL


def has_convolutions(model: nn.Module) -> bool:
    """Whether any module is a convolution."""
    return any(isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) for module in model.modules())


def buffer_names(model: nn.Module) -> list[str]:
    """The entries of the state dict that are no parameters."""
    parameters = dict(model.named_parameters())
    return [name for name in model.state_dict() if name not in parameters]


def channels_last(tensor: Tensor) -> Tensor:
    """The weight of a 2d convolution with its channels last in memory, other tensors as they are.

    What a convolution returns lies as its weight does. Measured on the CPU in float32, networks run in 0.53 (VGG) to
    0.98 of the time and train in 0.76 to 1.
    """
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def stack_states(states: Sequence[Mapping[str, Tensor]]) -> State:
    """One state whose tensors have a first axis over the networks."""
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}


def unstack(state: Mapping[str, Tensor], place: int) -> State:
    """The state of the network at `place`, copied."""
    return {name: tensor[place].clone() for name, tensor in state.items()}


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Loss of each row in nats: `[..., classes]`, `[...]` → `[...]`."""
    return -logits.log_softmax(-1).gather(-1, labels[..., None])[..., 0]


Step = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor, Tensor], tuple[list[Tensor], Tensor]]
"""(parameters, buffers, images, labels) → (gradients, mean losses `[stack]`); buffers are updated in place."""


def training_step(model: nn.Module, example: tuple[Sequence[Tensor], Sequence[Tensor], Tensor, Tensor]) -> Step:
    """The step of stacked networks, traced once for a model and the shapes; `model` must be in train mode.

    `example` gives the shapes it is made for: parameters `[stack, ...]` in the order of `model.named_parameters()`,
    buffers in that of `buffer_names(model)`, images `[stack, batch, ...]`, labels `[stack, batch]`.
    A stack of one is not batched: convolutions are faster so.
    """
    shapes = tuple((t.shape, t.dtype, t.device) for t in (*example[0], *example[1], *example[2:]))
    steps = _STEPS.setdefault(model, {})
    if shapes not in steps:
        steps[shapes] = _traced_step(model, example)
    return steps[shapes]


_STEPS: WeakKeyDictionary[nn.Module, dict[object, Step]] = WeakKeyDictionary()


def _traced_step(model: nn.Module, example: tuple[Sequence[Tensor], Sequence[Tensor], Tensor, Tensor]) -> Step:
    names, others = [name for name, _ in model.named_parameters()], buffer_names(model)

    def loss(parameters: Sequence[Tensor], buffers: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
        state = dict(zip([*names, *others], [*parameters, *buffers], strict=True))
        return cross_entropy(functional_call(model, state, (x,)), y).mean()

    one = grad_and_value(loss)
    parameters, buffers, x, y = example
    fresh = [buffer.clone() for buffer in buffers]  # tracing runs the step
    traced = make_fx(vmap(one) if len(x) > 1 else _alone(one))(parameters, fresh, x, y)
    lean = without_idle_operations(traced)
    return lean if x.is_cuda else _without_python(lean, example)


def _without_python(step: Step, example: tuple[Sequence[Tensor], Sequence[Tensor], Tensor, Tensor]) -> Step:
    """The same operations on the same numbers, called by TorchScript: small steps take less than half the time.

    Where TorchScript is not there any more, the step as it is.
    """
    count = len(example[0])

    def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
        *numbers, x, y = tensors
        gradients, losses = step(numbers[:count], numbers[count:], x, y)
        return (*gradients, losses)

    fresh = [buffer.clone() for buffer in example[1]]  # tracing runs the step
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is old, and that shapes are taken as they are
        try:
            script = torch.jit.trace(flat, (*example[0], *fresh, *example[2:]), check_trace=False)
        except RuntimeError:
            return step

    def run(
        parameters: Sequence[Tensor], buffers: Sequence[Tensor], x: Tensor, y: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        *gradients, losses = script(*parameters, *buffers, x, y)
        return gradients, losses

    return run


def _alone(one: Step) -> Step:
    """A step for a stack of one."""

    def step(
        parameters: Sequence[Tensor], buffers: Sequence[Tensor], x: Tensor, y: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        gradients, loss = one([channels_last(p[0]) for p in parameters], [b[0] for b in buffers], x[0], y[0])
        return [gradient[None] for gradient in gradients], loss[None]

    return step


def without_idle_operations(traced: fx.GraphModule) -> fx.GraphModule:
    """Drop the operations that vmap leaves behind and that change nothing: they cost more than small layers do."""
    for node in list(traced.graph.nodes):
        replacement = _same_value(node)
        if replacement is not None:
            node.replace_all_uses_with(replacement)
            traced.graph.erase_node(node)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced


def _same_value(node: fx.Node) -> fx.Node | None:
    """An earlier node that holds exactly the value of `node`, if its operation is idle."""
    source = node.args[0] if node.op == "call_function" and node.args else None
    if not isinstance(source, fx.Node):
        return None
    if node.target in (aten.expand.default, aten.view.default, aten._unsafe_view.default):
        value, before = node.meta.get("val"), source.meta.get("val")
        if (
            value is not None
            and before is not None
            and value.shape == before.shape
            and value.stride() == before.stride()
        ):
            return source
    if node.target is aten.mul.Scalar and node.args[1] == 1:
        return source
    if node.target is aten.transpose.int and source.target is aten.transpose.int and node.args[1:] == source.args[1:]:
        return source.args[0] if isinstance(source.args[0], fx.Node) else None
    return None
