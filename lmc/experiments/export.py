"""Networks of a finished pair as files, B also in its permuted order."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from lmc.errors import StoreError
from lmc.experiments.comparison import array_name
from lmc.experiments.networks import Loaded, Network
from lmc.experiments.pair import Pair
from lmc.result import Result
from lmc.store import Store

if TYPE_CHECKING:
    from torch import Tensor


def pair_networks(config: Pair, result: Result, store: Store, members: tuple[int, int]) -> bytes:
    """A zip of safetensors: A, B, and B under the permutation of each method, with the config beside them.

    Raises StoreError if a network is no longer in the store.
    """
    from lmc.loading import to_safetensors

    networks = config.networks()
    a, b = (networks[k] for k in members)
    pair = f"{a.label}-{b.label}"
    states = {"A": _state(store, a), "B": _state(store, b)}
    for method in config.method:
        if method != "none":
            states[f"B_{method}"] = _permuted(config, result, states["B"], pair, method)
    written = {"arch": config.arch, "activation": config.activation}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "config.json", json.dumps({"A": asdict(a), "B": asdict(b), "pair": config.to_json()}, indent=2)
        )
        for name, state in states.items():
            archive.writestr(f"{name}.safetensors", to_safetensors(state, written))
    return out.getvalue()


def _state(store: Store, network: Network | Loaded) -> Mapping[str, Tensor]:
    import torch

    arrays = store.load_checkpoint(network.id, network.last_epoch)
    if arrays is None:
        raise StoreError(f"network {network.label} is no longer in the store {store.root}; run the experiment again")
    return {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}


def _permuted(
    config: Pair, result: Result, state: Mapping[str, Tensor], pair: str, method: str
) -> Mapping[str, Tensor]:
    import torch

    from lmc.experiments.work import traced
    from lmc.permutation import apply_permutation

    spec = traced(config.networks()[0]).spec
    orders = {
        g: torch.from_numpy(result.arrays[array_name(pair, method, "permutation", g)]).long() for g in spec.groups
    }
    return apply_permutation(spec, orders, dict(state))
