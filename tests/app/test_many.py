"""The page of many networks shows what the tables of the group say."""

from urllib.parse import parse_qs, urlsplit

import pandas as pd

import lmc
from lmc.charts.style import percent
from lmc.experiments import Many, make_recipe
from pages.ui.group import GroupView
from pages.ui.middle import middle_table

SMALL = {"width": "8", "epochs": "2", "points": "3", "samples": "5", "seeds": "0 1 2 3", "method": ["none", "weight"]}


def many(store, **changed):
    """The result of the small group, computed here, so that the page finds it."""
    own = {"width": 8, "points": 3, "samples": 5, "recipe": make_recipe(epochs=2), "seeds": (0, 1, 2, 3)}
    return lmc.run(Many(**{**own, "method": ("none", "weight"), **changed}), store=store)


def text(test):
    return " ".join(block.value for block in [*test.markdown, *test.caption])


def clean(test):
    assert not test.exception and not test.error, [error.value for error in test.error]
    return test


def test_the_sentence_and_the_table_say_what_the_tables_say(app, store):
    result = many(store)
    test = clean(app("many", **SMALL))
    assert len(test.get("vega_lite_chart")) == 2 and not test.warning  # merged, and the open learning curves
    names = ("merged", "parents", "ensemble")
    merged, parents, ensemble = (percent(result.metrics[f"error.weight.{what}.test"]) for what in names)
    assert f"the mean of all 4 networks of width 8 has a test error of {merged}" in text(test)
    assert f"they have {parents} on average, their ensemble {ensemble}" in text(test)
    shown = test.dataframe[0].value
    assert shown["Method"].tolist() == ["No permutation", "Weight matching"]
    for title, what in (("In the middle", "centroid"), ("Highest of all mixtures", "simplex")):
        assert shown[title].tolist() == [
            percent(result.metrics[f"error_barrier.{m}.{what}.test"]) for m in ("none", "weight")
        ]
    words = "python -m lmc many --width 8 --seeds 0 1 2 3 --method none weight --points 3 --samples 5 --epochs 2"
    assert sorted(test.code[0].value.split()) == sorted(words.split())


def test_loss_on_training_data(app, store):
    result = many(store)
    test = clean(app("many", **SMALL, measure="loss", split="train"))
    rows = result.frame("merged")
    merged = rows.loc[(rows["method"] == "weight") & (rows["split"] == "train"), "loss_merged"].item()
    assert f"a train loss of {merged:.2f} nats" in text(test) and "Barriers of the train loss in nats" in text(test)


def test_a_method_that_matches_all_at_once_and_the_link_to_it(app, store):
    many(store, method=("none", "weight", "merge_many"))
    test = clean(app("many", **SMALL, together="merge_many"))
    assert test.dataframe[0].value["Method"].tolist()[-1] == "Merge many"
    link = test.code[1].value
    again = clean(app("many", **parse_qs(urlsplit(link).query)))
    assert not again.warning and again.code[1].value == link and again.code[0].value == test.code[0].value


def test_bad_values_in_the_address_fall_back_with_a_note(app, store):
    many(store, samples=100)
    test = clean(app("many", **{**SMALL, "samples": "-1", "together": "weight"}))
    notes = [warning.value for warning in test.warning]
    assert any("together: weight cannot be used; choose one of: merge_many" in note for note in notes)
    assert any("samples: -1 cannot be used; a whole number from 0 to 100,000" in note for note in notes)
    assert test.get("vega_lite_chart")


def test_two_loaded_networks_are_too_few(app, stored):
    test = clean(app("many", load=stored))
    assert "choose one more in the sidebar" in test.info[0].value and not test.get("vega_lite_chart")


def test_the_highest_pair_is_the_highest():
    heights = {"0-1": 0.1, "0-2": 0.4, "1-2 via 0": 0.25, "simplex": 0.5, "centroid": -0.01}
    rows = [{"method": "none", "comparison": n, "split": "test", "error_barrier": v} for n, v in heights.items()]
    table = middle_table(pd.DataFrame(rows), GroupView(split="test", measure="error"))
    assert table.to_dict("records") == [
        {
            "Method": "No permutation",
            "In the middle": "-1.0%",
            "Highest of all mixtures": "50%",
            "Highest between two": "40%",
            "All connected": "no",
        }
    ]
    low = middle_table(pd.DataFrame(rows).assign(error_barrier=0.02), GroupView(split="test", measure="error"))
    assert low["All connected"].tolist() == ["yes"]
    losses = pd.DataFrame(rows).rename(columns={"error_barrier": "loss_barrier"})
    assert "All connected" not in middle_table(losses, GroupView(split="test", measure="loss"))
