from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from busway.pattern import likeness as likenesses
from busway.pattern.edits.mistakes import between_texts
from busway.pattern.likeness import SUGGESTED_MIN, likeness, likeness_at_most, nearest_word

TEXTS = st.text(alphabet="abcABCİß x\u200b", max_size=12)


@given(TEXTS, TEXTS)
def test_no_two_texts_are_more_alike_than_they_can_be(one: str, other: str):
    assert likeness(one, other) <= likeness_at_most(one, other) <= 1.0


@given(st.lists(TEXTS, max_size=3), st.lists(TEXTS, max_size=6))
def test_the_nearest_word_is_the_first_of_the_most_alike(texts: Sequence[str], words: Sequence[str]):
    best, nearest = max(
        ((likeness(text, word), word) for text in texts for word in words),
        default=(0.0, ""),
        key=lambda pair: pair[0],
    )
    assert nearest_word(texts, words) == (nearest if best >= SUGGESTED_MIN else None)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []

    def counting(one: str, other: str) -> float:
        pairs.append((one, other))
        return likeness(one, other)

    monkeypatch.setattr(likenesses, "likeness", counting)
    return pairs


def test_a_typo_s_texts_are_compared_once(compared: list[tuple[str, str]]):
    difference = between_texts("Order Plcaed", "Order Placed")
    assert difference is not None and difference.mistake == "typo"
    assert compared == [("Order Plcaed", "Order Placed")]


def test_words_that_cannot_be_near_are_not_compared(compared: list[tuple[str, str]]):
    assert nearest_word(["total"], [*(f"field-{number}" for number in range(100)), "totl"]) == "totl"
    assert compared == [("total", "totl")]
