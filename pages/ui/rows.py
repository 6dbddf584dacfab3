"""A table whose rows can be chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import pandas as pd
import streamlit as st

ROW, MOST_ROWS = 37, 10  # pixels; rows that are seen without scrolling


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


Thing = TypeVar("Thing", bound=_HasId)


def choose_rows(
    things: Sequence[Thing], table: pd.DataFrame, columns: Mapping[str, Any], *, key: str, chosen: str
) -> list[Thing]:
    """Draw the table, one row a thing; the things whose rows are ticked.

    Rows are numbers, and things come and go, so the choice is kept as ids, in the session's state under `chosen`. The
    table of other things must be another widget, with another `key`: it starts with the rows where those now stand.
    """
    ids = [thing.id for thing in things]
    rows = [ids.index(id) for id in st.session_state.get(chosen, []) if id in ids]
    event = st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        height=ROW * (min(len(ids), MOST_ROWS) + 1) + 3,
        key=key,
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": rows}},
        column_config=columns,
        placeholder="",
    )
    ticked = [things[row] for row in event["selection"]["rows"] if row < len(things)]
    st.session_state[chosen] = [thing.id for thing in ticked]
    return ticked
