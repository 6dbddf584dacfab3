"""Networks as safetensors files that others can read, and that can be loaded again."""

from __future__ import annotations

from collections.abc import Mapping

import safetensors.torch
from torch import Tensor


def to_safetensors(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file of `state`; `metadata` goes into its header (see `read_metadata`)."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    return safetensors.torch.save(plain, metadata=dict(metadata))
