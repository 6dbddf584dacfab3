import pytest

from lmc.errors import as_sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("the disk is full", "The disk is full."),
        ("The disk is full.", "The disk is full."),
        ("no GPU: use CPU", "No GPU: use CPU."),
    ],
)
def test_a_sentence_begins_with_a_capital_and_ends_with_one_full_stop(text, sentence):
    assert as_sentence(text) == sentence
