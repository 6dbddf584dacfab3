"""Sums of products: linear layers, matrix products, attention, embeddings."""

from __future__ import annotations

from lmc.symmetry.axes import Axis, Fixed, product
from lmc.symmetry.call import Call, rule
from lmc.symmetry.reshaped import Terms


@rule("linear")
def linear(call: Call) -> Terms | None:
    """The input's last axis is the weight's axis 1; bias and output are its axis 0."""
    inputs, weight, bias = call.axes("input"), call.axes("weight"), call.optional("bias")
    if len(weight) != 2:
        return None
    call.unify(inputs[-1], weight[1])
    if bias is not None:
        call.unify(bias[-1], weight[0])
    return (*inputs[:-1], weight[0])


@rule("matmul", "mm", "bmm", "mv", "dot")
def matmul(call: Call) -> Terms | None:
    """Rows by columns: the axes summed over are one, batch axes broadcast."""
    operands = call.operands()
    if len(operands) == 1:
        operands *= 2  # a tensor times itself
    left, right = operands
    call.unify(left[-1], right[-2] if len(right) > 1 else right[0])
    rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
    batch = call.broadcast((left[:-2], right[:-2]), len(call.shape) - len(rows) - len(columns))
    return (*batch, *rows, *columns)


@rule("einsum")
def einsum(call: Call) -> Terms | None:
    """A letter is one axis, wherever it stands; sums do not see an order."""
    sources, arrow, target = call["equation"].replace(" ", "").partition("->")
    if "." in sources or not arrow:
        return None
    axes: dict[str, Axis] = {}
    for letters, terms in zip(sources.split(","), call.tensors("tensors"), strict=True):
        for letter, axis in zip(letters, terms, strict=True):
            if axes.setdefault(letter, axis).size == 1:
                axes[letter] = axis
            elif axis.size > 1:
                call.unify(axes[letter], axis)
    return tuple(axes[letter] for letter in target)


@rule("embedding")
def embedding(call: Call) -> Terms:
    """Rows of the weight, looked up by number: the vocabulary does not move."""
    weight = call.axes("weight")
    call.fix(weight[0])
    return (*call.axes("indices"), weight[1])


@rule("scaled_dot_product_attention")
def attention(call: Call) -> Terms:
    """softmax(query keyᵀ) value: query and key share one space, keys and values one order, all three the heads.

    Heads are a batch axis here, so they move as blocks. Where heads and units are factors of one axis, the
    units of each space move alike in every head: query and key, and value on its own.
    """
    query, key, value = (call.axes(name) for name in ("query", "key", "value"))
    call.unify(query[-1], key[-1])
    call.unify(key[-2], value[-2])
    # The softmax is over these, and a causal mask orders them.
    call.require_fixed(key[-2])
    if call["is_causal"]:
        call.require_fixed(query[-2])
    batches = [query[:-2], key[:-2], value[:-2]]
    if call.get("enable_gqa"):
        batches = _queries_share_heads(call, batches)
    mask = call.optional("attn_mask")
    if mask is not None:
        scores = call.broadcast([mask, (*batches[0], query[-2], key[-2])], len(call.shape))
        batches.append(tuple(scores[:-2]))
    return (*call.broadcast(batches, len(call.shape) - 2), query[-2], value[-1])


def _queries_share_heads(call: Call, batches: list[Terms]) -> list[Terms]:
    """Several neighbouring query heads meet each head of keys and values."""
    query, key, value = batches
    shared = call.unifier.fresh(query[-1].size // key[-1].size)
    call.unify(key[-1], value[-1])
    call.unify(query[-1], product((key[-1], shared)))
    ones = (Fixed(1),)
    return [query, (*key[:-1], *ones), (*value[:-1], *ones)]
