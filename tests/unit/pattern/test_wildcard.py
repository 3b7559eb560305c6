import json
import re
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from busway.errors import InvalidPattern
from busway.pattern import parse
from busway.pattern.wildcard import COMPLEXITY_MAX, Wildcard, complexity, parse_wildcard


def as_expression(text: str) -> str:
    """The same wildcard as a regular expression, for short texts."""
    return "".join(".*" if part == "*" else re.escape(part[-1]) for part in re.findall(r"\\.|.", text, re.DOTALL))


@settings(max_examples=200, deadline=None)
@given(st.from_regex(r"\A(?:[ab]|\\\*|\\\\|\*(?!\*)){0,6}\Z"), st.text("ab*\\", max_size=8))
def test_a_wildcard_accepts_what_the_same_expression_does(text: str, value: str):
    assert parse_wildcard(text).accepts(value) == bool(re.fullmatch(as_expression(text), value, re.DOTALL))


@pytest.mark.parametrize(("text", "value"), [("ab*ba", "aba"), ("a*b*b", "ab"), ("*b*ab", "ab"), ("a*a", "a")])
def test_one_character_never_stands_for_two_literals(text: str, value: str):
    assert not parse_wildcard(text).accepts(value)


def test_a_wildcard_is_linear_where_backtracking_would_hang():
    wildcard = parse_wildcard("*a*a*a*a*b")
    assert not wildcard.accepts("a" * 1_000_000)
    assert wildcard.accepts("a" * 1_000_000 + "b")
    assert not parse_wildcard("*" + "ab" * 500 + "c*").accepts("ab" * 500_000)


# The first five were accepted by AWS or measured with its evaluator, the last was refused.
@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["*"], 2),
        (["a*c"], 2),
        (["*a*b*"], 4),
        (["*/dir/*"], 4),
        (["/Users/*/dir/dir/dir/dir/dir/doc.txt"], 7),
        (["*:*:*:*:*"], 9),
        (["*:*:*:*:*:event-bus/*"], 11),
        ([f"*:stack/{name}/*" for name in "abc"], 9),
        ([f"*:stack/{name}/*" for name in "abcd"], 12),
        (["no asterisk"], 0),
        ([f"{name}-*" for name in "abcdefghijklmnop"], 2),
        (["a*", "ab*", "ac*", "abc*"], 6),
        (["*xyz", "a*xyz", "a*yz", "b*z"], 6),
    ],
)
def test_complexity_counts_beginnings_that_can_be_open_at_once(texts: list[str], expected: int):
    assert complexity(parse_wildcard(text) for text in texts) == expected


def test_complexity_agrees_with_all_short_values():
    """Feed every value to the wildcard's positions, one character at a time, and count how many are open."""
    for text in ("*ab*b", "a*ab*", "*a*aa", "ab*b*a"):
        marks = text + '"'
        most = 0
        open_sets = {frozenset(with_asterisks({0}, marks))}
        for _ in range(9):
            open_sets = {moved(positions, char, marks) for positions in open_sets for char in 'ab"'}
            most = max(most, *(len(positions) for positions in open_sets))
        assert complexity([parse_wildcard(text)]) == most


def with_asterisks(positions: set[int], marks: str) -> set[int]:
    return positions | {position + 1 for position in positions if position < len(marks) and marks[position] == "*"}


def moved(positions: frozenset[int], char: str, marks: str) -> frozenset[int]:
    """Positions count characters of the wildcard that were read; an asterisk that was read stays open."""
    kept = {p for p in positions if p and marks[p - 1] == "*"}
    stepped = {p + 1 for p in positions if p < len(marks) and marks[p] == char}
    return frozenset(with_asterisks(kept | stepped, marks))


def test_too_complex_a_rule_is_refused_over_all_its_alternatives():
    accepted = {"a": [{"wildcard": "*:*:*:*:*"}], "b": [{"wildcard": "*:*:*:*:*"}]}
    parse(json.dumps(accepted))
    split = [{"a": [{"wildcard": "*:*:*"}]}, {"a": [{"anything-but": {"wildcard": ["*-*:*:*-*"]}}]}]
    with pytest.raises(InvalidPattern, match="Rule is too complex") as caught:
        parse(json.dumps({"$or": split}))
    assert caught.value.location == ""


def test_complexity_of_a_long_wildcard_is_found_at_once():
    assert complexity([parse_wildcard("*" + "a" * 20_000 + "*")]) == 20_002


def test_wildcards_whose_complexity_would_take_too_long_to_count_are_too_complex():
    long = "*a" + "b" * 20_000
    assert complexity(map(parse_wildcard, [long, "0-*"])) == 4
    assert complexity(map(parse_wildcard, [long, *(f"{number}-*" for number in range(10_000))])) == COMPLEXITY_MAX + 1


def test_the_complexity_of_many_wildcards_is_that_of_the_most_that_meet():
    """As it was counted before it was made quick: each beginning with all that it meets."""
    chance = Random(3)
    for _ in range(300):
        texts = {"".join(chance.choices("ab*", k=chance.randint(1, 5))) for _ in range(chance.randint(1, 5))}
        wildcards = [parse_wildcard(text) for text in texts if "**" not in text and "*" in text]
        most = 0
        for anchor in (wildcard.literals[0] for wildcard in wildcards):
            most = max(most, complexity_of_meeting([w for w in wildcards if anchor.startswith(w.literals[0])]))
        assert min(complexity(wildcards), COMPLEXITY_MAX + 1) == min(most, COMPLEXITY_MAX + 1)


def complexity_of_meeting(wildcards: list[Wildcard]) -> int:
    asterisks = sum(len(wildcard.literals) - 1 for wildcard in wildcards)
    literals = [
        literal for wildcard in wildcards for literal in (*wildcard.literals[1:-1], wildcard.literals[-1] + '"')
    ]
    beginnings = [literal[:length] for literal in literals for length in range(1, len(literal) + 1)]
    return asterisks + max(sum(text.endswith(other) for other in beginnings) for text in beginnings)
