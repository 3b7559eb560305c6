"""Random patterns and events of what is hard to read or to match, as JSON text.

Numbers as text, escapes, letters beyond ASCII, arrays of objects, repeated names, deep nesting. As in
`random_patterns` there are few names and values, so that the two often have to do with each other.
"""

import json
import random
from collections.abc import Sequence

from hypothesis import strategies as st
from tests.unit.pattern.random_patterns import LISTS, array_text, object_text

# hypothesis's own randoms draw at each call, which takes longer than what is drawn for.
CHANCES = st.integers(0, 2**32 - 1).map(random.Random)

# Characters whose forms differ in length, that look alike, that are halves of others, that wildcards are made of.
CHARS = st.sampled_from([*"aAbkKsSßẞſﬁiİıΣσςΚéÉ*\\.:/10", "\u212a", "😀", "𐐀", "\ud83d", "\ude00", "\u0000", "ŉ"])
TEXTS = st.lists(CHARS, max_size=5).map("".join)
STARRED = st.lists(st.sampled_from(["a", "b", "ab", "aab", "é", r"\\", r"\*", "*", "*"]), max_size=6).map("".join)

_SHORT = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def spelled(text: str, chance: random.Random) -> str:
    """The text as a string of JSON, each character in one of the ways that JSON has for it."""
    return f'"{"".join(_spelled(char, chance) for char in text)}"'


def _spelled(char: str, chance: random.Random) -> str:
    if char in _SHORT and (char != "/" or chance.random() < 0.5):
        return _SHORT[char]
    if char >= " " and not "\ud800" <= char <= "\udfff" and chance.random() < 0.6:
        return char
    escape = json.dumps(char)[1:-1] if ord(char) > 0xFFFF else f"\\u{ord(char):04x}"
    return escape.upper().replace("U", "u") if chance.random() < 0.5 else escape


def respelled(tree: object, chance: random.Random) -> str:
    """A tree's JSON text, each of its names and strings spelled anew."""
    if isinstance(tree, str):
        return spelled(tree, chance)
    if isinstance(tree, dict):
        members = (f"{spelled(str(name), chance)}:{respelled(value, chance)}" for name, value in tree.items())
        return "{" + ",".join(members) + "}"
    if isinstance(tree, list):
        return array_text([respelled(element, chance) for element in tree])
    return json.dumps(tree)


DIGITS = st.integers(0, 10**18).map(str)
NUMBER_TEXTS = st.one_of(
    st.builds(
        lambda sign, whole, fraction, exponent: sign + whole + fraction + exponent,
        st.sampled_from(["", "-"]),
        st.one_of(st.sampled_from(["0", "1", "9007199254740993", "17976931348623157"]), DIGITS),
        st.one_of(st.just(""), DIGITS.map(lambda digits: f".{digits}"), st.sampled_from([".0", ".50", ".000"])),
        st.one_of(
            st.just(""), st.integers(-330, 330).map(lambda e: f"e{e}"), st.sampled_from(["E+2", "e-0", "e99999"])
        ),
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["5", "5.0", "50e-1", "-0", "0e5", "5e-324", "2e23", "1.7976931348623157e308", "1e309"]),
)


def near(number: str) -> str:
    """The same number in another spelling, or one beside it."""
    return number + "0" if "." in number and "e" not in number.lower() else number


def asking_for(numbers: Sequence[str]) -> list[str]:
    """Patterns of numbers and of the strings that spell them; some may not compile."""
    texts = [f'{{"a":["{numbers[0]}",{numbers[-1]}]}}', f'{{"a":[{{"prefix":"{numbers[0][:1]}"}}]}}']
    for number in numbers:
        texts += [f'{{"a":[{{"numeric":["{operator}",{number}]}}]}}' for operator in ("=", "<", "<=", ">", ">=")]
        texts += [
            f'{{"a":[{number}]}}',
            f'{{"a":["{number}"]}}',
            f'{{"a":[{{"anything-but":{number}}}]}}',
            f'{{"a":[{{"anything-but":"{number}"}}]}}',
            f'{{"a":[{{"numeric":[">",{number},"<=",{numbers[0]}]}}]}}',
        ]
    return texts


# Objects in arrays, which may hold such arrays again.
ROWS = st.lists(
    st.dictionaries(st.sampled_from(["b", "c", "d"]), st.sampled_from(["x", "y", ["x", "y"]])), max_size=3
)
NESTED_TABLES = st.fixed_dictionaries(
    {"a": st.one_of(ROWS, st.lists(st.fixed_dictionaries({"r": ROWS, "b": st.just("x")}), max_size=4))},
    optional={"a.b": st.sampled_from(["x", "y", ["x", "y"]])},
).map(json.dumps)
NESTED_PATTERNS = st.dictionaries(
    st.sampled_from(["a.b", "a.c", "a.d", "a.r.b", "a.r.c", "a.r"]),
    st.sampled_from([["x"], ["y"], [{"exists": False}], ["x", {"exists": False}], [{"anything-but": "x"}]]),
    min_size=2,
    max_size=4,
).map(json.dumps)
TABLES = st.lists(
    st.dictionaries(st.sampled_from("bcd"), st.sampled_from("xy"), min_size=1), min_size=2, max_size=4
).map(json.dumps)
TABLE_PATTERNS = st.dictionaries(
    st.sampled_from(["a.b", "a.c", "a.d", "k"]),
    st.sampled_from([["x"], ["y"], ["x", "y"], [{"anything-but": "x"}], [{"exists": True}], [{"exists": False}]]),
    min_size=2,
).map(json.dumps)


# Two names over and over: what stands under each of them accumulates, whatever it is.
_AGAIN = st.sampled_from(["a", "b"])
_REPEATED = st.recursive(
    st.sampled_from(['"x"', '"y"', "5"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(array_text),
        st.lists(st.tuples(_AGAIN, inner), min_size=1, max_size=4).map(object_text),
    ),
    max_leaves=10,
)
REPEATING_EVENTS = st.lists(st.tuples(_AGAIN, _REPEATED), min_size=2, max_size=5).map(object_text)
_CELLS = st.sampled_from(
    [
        '["x"]',
        '["y",5]',
        '[{"exists":false}]',
        '["x",{"exists":false}]',
        '[{"exists":true}]',
        '[{"anything-but":"x"}]',
    ]
)
REPEATING_PATTERNS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "a.a", "a.b", "b.a", "b.b", "a.b.a", "a.a.b"]), _CELLS),
    min_size=1,
    max_size=4,
).map(object_text)


# A way down: names, and arrays with so many elements of which one goes on.
_STEPS = st.lists(st.one_of(st.sampled_from(["a", "b"]), st.integers(1, 3)), min_size=1, max_size=40)
WAYS = st.one_of(_STEPS, _STEPS.map(lambda steps: steps * 3), st.lists(st.just("a"), min_size=90, max_size=99))


def deep_event(way: Sequence[str | int], bottom: str, chance: random.Random) -> str:
    """An event with `bottom` at the end of a way, and something else beside it here and there."""
    for step in reversed(way):
        if isinstance(step, str):
            beside = ['"z":[[]]', f'"{step}":"x"', '"b":{"a":[{}]}'] if chance.random() < 0.1 else []
            members = [f'"{step}":{bottom}', *beside]
            chance.shuffle(members)
            bottom = "{" + ",".join(members) + "}"
        else:
            others = [chance.choice(["{}", "[]", '"y"', '{"a":"x"}']) for _ in range(step - 1)]
            others.insert(chance.randint(0, len(others)), bottom)
            bottom = array_text(others)
    return '{"a":' + bottom + "}"


def deep_pattern(way: Sequence[str | int], ends: Sequence[tuple[str, str]], chance: random.Random) -> str:
    """A pattern that asks for lists at the end of the same way, by nesting or by dots."""
    names = ["a", *(step for step in way if isinstance(step, str))][:98]
    text = object_text(list(ends))
    while names:
        joined = chance.choice([1, 1, 2, 7])
        text = object_text([(".".join(names[-joined:]), text)])
        del names[-joined:]
    return text


ENDS = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), LISTS), min_size=1, max_size=2)
