import json
import time

import pytest

import lmc
from lmc.experiments import INSTANT


def charts(test):
    return [json.loads(element.proto.spec) for element in test.get("vega_lite_chart")]


def text(test):
    return " ".join(block.value for block in [*test.markdown, *test.caption])


def settle(test, seconds=120):
    """Run the page until its result is there."""
    end = time.monotonic() + seconds
    while "Computing" in text(test) and time.monotonic() < end:
        assert not test.exception and not test.error, [error.value for error in test.error]
        time.sleep(0.5)
        test.run()
    return test


def test_the_default_shows_at_once_and_says_what_the_tables_say(app):
    test = app("pair")
    assert not test.exception and not test.error and not test.warning
    assert len(charts(test)) == 4
    result = lmc.run(lmc.Pair(method=INSTANT))
    lowest = min(result.metrics[f"error_barrier.{m}.direct.test"] for m in ("weight", "activation"))
    without = result.metrics["error_barrier.none.direct.test"]
    assert f"from {100 * without:.0f}% to {100 * lowest:.1f}%" in text(test)
    assert "Measured on 360 test images: 0.01 of error is 3.6 of them" in text(test) and "on cpu" in text(test)
    assert test.code[0].value == "python -m lmc pair"


def test_measure_split_and_baseline_change_the_numbers(app):
    test = app("pair", measure="loss", split="train", baseline="mean")
    assert not test.exception
    assert "train loss barrier" in text(test) and "the mean of the end values" in text(test)
    assert "1,437 train images" in text(test)


def test_changing_the_method_needs_no_run(app, store):
    test = app("pair")
    test.multiselect(key="method").set_value(["none", "random"]).run()
    assert charts(test) and "Choose a matching method" in text(test)
    assert not any((store / "runs").iterdir())
    assert test.code[0].value == "python -m lmc pair --method none random"


@pytest.mark.parametrize(
    ("parameters", "note"),
    [
        ({"width": "0"}, "width: 0 cannot be used; a whole number from 1 to 16,384 would be right."),
        ({"width": "1000000000"}, "width: 1000000000 cannot be used"),
        ({"width": "wide"}, "width: wide cannot be used"),
        ({"seeds": "3"}, "seeds: 3 cannot be used; pair needs at least 2 networks."),
        ({"seeds": "1 1"}, "seeds: 1 1 cannot be used; two networks would be the same"),
        ({"norm": "group"}, "norm: group cannot be used; choose one of: none, layer, batch."),
        ({"arch": "vgg"}, "arch: vgg cannot be used; vgg needs images of at least 16x16 pixels"),
        ({"dataset": "points"}, "dataset: points cannot be used"),
        ({"load": "0123456789abcdef"}, "load: 0123456789abcdef cannot be used; no network of that id"),
        ({"method": "magic"}, "method: magic cannot be used"),
        ({"points": "1"}, "points: 1 cannot be used"),
        ({"epochs": "x"}, "epochs: x cannot be used"),
        ({"lam": "2"}, "lam: 2 cannot be used"),
        ({"colour": "red"}, "colour: there is no such setting"),
        ({"split": "dev"}, "split: dev cannot be used"),
        ({"pair": "7-8"}, "pair: 7-8 cannot be used"),
    ],
)
def test_a_bad_value_in_the_address_falls_back_with_a_note(app, parameters, note):
    test = app("pair", **parameters)
    assert not test.exception and not test.error
    assert any(note in warning.value for warning in test.warning), [w.value for w in test.warning]
    assert charts(test), "the default picture is shown"


@pytest.mark.slow
def test_another_width_is_trained_with_progress_and_then_drawn(app, store):
    test = app("pair")
    test.number_input(key="width").set_value(8)
    test.number_input(key="epochs").set_value(3)
    test.run()
    assert not charts(test) and "Computing" in text(test)
    settle(test)
    assert charts(test) and "test error barrier" in text(test) and not test.exception and not test.error
    assert len(list((store / "results").iterdir())) == 1
    assert test.code[0].value == "python -m lmc pair --width 8 --epochs 3"


@pytest.mark.slow
def test_cancel_stops_the_run_and_start_again_finishes_it(app):
    test = app("pair", width="9", epochs="40")
    assert "Computing" in text(test)
    test.button(key="cancel_run").click().run()
    assert "cancelled" in test.info[0].value and "Computing" not in text(test.run())
    test.button(key="start_again").click().run()
    assert "Computing" in text(test)
    settle(test)
    assert "test error barrier" in text(test) and test.code[0].value == "python -m lmc pair --width 9 --epochs 40"


def test_a_run_is_cancelled_before_the_engine_has_heard_of_it(app, no_engine, monkeypatch, tmp_path):
    monkeypatch.setenv("LMC_STORE", str(tmp_path / "new"))  # the module's engine may be there already
    test = app("pair", width="9", epochs="40")
    assert "The workers are starting" in " ".join(element.proto.text for element in test.get("progress"))
    test.button(key="cancel_run").click().run()
    assert "cancelled" in test.info[0].value and "cancelled" in test.run().info[0].value


def test_a_slow_method_is_computed_when_it_is_chosen(app, store):
    """With the others, so that these still show at once; nobody waits for it who did not ask."""
    from lmc.store import Store

    test = app("pair")
    assert {"straight_through", "sinkhorn"} <= set(test.multiselect(key="method").options)
    test.number_input(key="match_steps").set_value(3).run()
    settle(test)
    test.multiselect(key="method").set_value(["none", "sinkhorn"]).run()
    settle(test)
    assert not test.error and any("Sinkhorn" in json.dumps(chart) for chart in charts(test))
    assert test.code[0].value == "python -m lmc pair --method none sinkhorn --match-steps 3"
    methods = (*INSTANT, "sinkhorn")
    assert Store(store).load_result(lmc.Pair(method=methods, match_steps=3).id).config["method"] == list(methods)
    test.multiselect(key="method").set_value(["none", "weight", "sinkhorn"]).run()
    assert charts(test) and "Computing" not in text(test), "an instant one more needs no run"
