import json

import pytest

from lmc.toy import ToyNetwork


def charts(test):
    return [json.loads(element.proto.spec) for element in test.get("vega_lite_chart")]


def text(test):
    return " ".join(block.value for block in [*test.markdown, *test.caption])


def test_the_story_opens_with_shipped_numbers_and_no_error(app):
    test = app()
    assert not test.exception and not test.error and not test.warning
    assert test.title[0].value == "Are all trained networks the same network?"
    assert len(charts(test)) == 3  # the hill, the matched line, the three-unit network
    assert [metric.value for metric in test.metric] == ["96%", "97%"]
    assert "up to 69% above its ends" in text(test) and "the hill: 3.7%" in text(test)


def test_swapping_units_by_hand_moves_weights_and_keeps_the_output(app):
    test = app()
    before = text(test)
    output = f"{ToyNetwork().forward((1.0, 1.5))[1]:g}"
    assert f"Order 1–2–3: the output is **{output}**" in before
    drawn = charts(test)[-1]
    test.button(key="swap_01").click().run()
    assert f"Order 2–1–3: the output is **{output}**" in text(test)
    assert charts(test)[-1] != drawn or test.get("vega_lite_chart")[-1].proto != drawn
    test.button(key="swap_12").click().run()
    assert f"Order 2–3–1: the output is **{output}**" in text(test)
    test.button(key="swap_reset").click().run()
    assert "Order 1–2–3" in text(test)


@pytest.mark.parametrize("value", [-2.0, 0.5])
def test_another_input_gives_the_networks_own_output(app, value):
    test = app()
    test.slider(key="toy_x0").set_value(value).run()
    assert f"the output is **{ToyNetwork().forward((value, 1.5))[1]:g}**" in text(test)


def test_the_choice_stays_when_the_page_changes(app):
    test = app()
    test.multiselect(key="method").set_value(["none", "weight", "random"]).run()
    test.switch_page("pages/views/pair.py").run()
    assert test.multiselect(key="method").value == ["none", "weight", "random"]
    assert not test.exception
