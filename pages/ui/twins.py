"""The control of pages that follow networks: each one against its own twin, which is the same in another order."""

from __future__ import annotations

import streamlit as st

from lmc.experiments import CONTROLS, History


def control_choice() -> str:
    """What B of a pair is: another network, or as a control the twin of A."""
    found = st.selectbox(
        "Control",
        CONTROLS,
        key="control",
        bind="query-params",
        help="none: B is another network. twin: B is A itself in another order, trained on the same batches, so every "
        "barrier has to go. A method that is sound passes this test.",
    )
    return str(found)


def twins_are_shown(config: History) -> bool:
    """Draw what twins are, where they are the control, with the way back; whether they are."""
    if config.control != "twin":
        return False
    with st.container(border=True):
        st.markdown(
            ":material/verified: **This is a control of the method itself.** Each network is compared with its *twin*: "
            "it begins with the same weights in another order of the hidden units and sees the same images in the "
            "same order, so it stays the same network in that order. Without a permutation there is a hill all the "
            "same; a permutation that is found must remove the *whole* barrier, at every step."
        )
        with st.container(horizontal=True):
            if config.dtype != "float64":
                st.button(
                    "In double precision", icon=":material/exposure:", on_click=_show, args=("twin", "float64"),
                    key="twin_double", help="Rounding parts twins a little; with float64 far less.",
                )  # fmt: skip
            st.button(
                "Back to different networks", icon=":material/undo:", on_click=_show, args=("none", "float32"),
                key="twin_back",
            )  # fmt: skip
    return True


def offer_twins(steps: str) -> None:
    """Draw the way to the demonstration; `steps` says at what the networks are compared, such as `every epoch`."""
    st.subheader("Can the method be trusted?", anchor=False)
    st.markdown(
        f"A test with a known answer: compare each network with a twin that *is* the same network in another order. "
        f"Every barrier at {steps} must then be 0."
    )
    st.button(
        "Show the twins", icon=":material/verified:", on_click=_show, args=("twin", "float64"), key="twin_show",
        help="Sets the control to twin, and numbers to double precision (float64).",
    )  # fmt: skip


def _show(control: str, dtype: str) -> None:
    st.session_state["control"] = control
    st.session_state["dtype"] = dtype
