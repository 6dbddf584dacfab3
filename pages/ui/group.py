"""The picker's choice as three networks or more, and the controls that their pages share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lmc.errors import InputError
from lmc.experiments import TOGETHER, Experiment, Pair
from pages.ui.controls import measure_and_split

Kind = TypeVar("Kind", bound=Experiment)


@dataclass(frozen=True)
class GroupView:
    """What of a group is shown."""

    split: str
    measure: str

    def address(self) -> dict[str, object]:
        """The parameters of a link to this view."""
        return {"split": self.split, "measure": self.measure}


def group_of(config: Pair, kind: type[Kind], least: int = 3, **own: Any) -> tuple[Kind | None, str]:
    """The picker's choice as an experiment of `kind`, with `own` fields, and a sentence about what was changed.

    Seeds are added until there are `least`. None, and the reason, if it cannot be one: too few loaded networks, or a
    value of `own`.
    """
    values = {spec.name: getattr(config, spec.name) for spec in fields(config) if spec.name not in own}
    said = ""
    if config.load and len(config.load) < least:
        return None, f"This page compares {least} networks: choose one more in the sidebar."
    if not config.load and len(config.seeds) < least:
        added = [seed for seed in range(least + len(config.seeds)) if seed not in config.seeds]
        added = added[: least - len(config.seeds)]
        values["seeds"] = (*config.seeds, *added)
        values["order_seeds"] = (*config.order_seeds, *added) if config.order_seeds else ()
        said = f"This page needs {least} networks, so seed {' and '.join(map(str, added))} joined the chosen ones."
    if config.correction != "reset":
        values["correction"] = "reset"
        said = f"{said} REPAIR is defined between two networks; statistics are reset here.".strip()
    try:
        return kind(**{**values, **own}), said
    except InputError as error:
        return None, f"{error}"


def methods_of(config: Pair, together: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """The picker's methods and those that match all networks at once."""
    return (*config.method, *together)


def together_control() -> list[str]:
    """A choice of the methods that match all networks at once; they are this page's own."""
    return st.multiselect(
        "Also match all at once",
        TOGETHER,
        key="together",
        bind="query-params",
        help="merge_many: each network to the mean of the others, until none moves. cycle_consistent: one order for "
        "each network such that all ways around agree. Of the methods in the sidebar straight_through does so too; the "
        "others match each network to the first.",
    )


def group_controls(places: Sequence[DeltaGenerator] = ()) -> GroupView:
    """Measure and split, as on the page of pairs, in the first two of `places` or in a row of their own."""
    measure, split = measure_and_split(places or st.columns([1, 1, 2], vertical_alignment="top"))
    return GroupView(split=split, measure=measure)
