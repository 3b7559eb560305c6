r"""`wildcard`: `*` stands for any run of characters; `\*` and `\\` are the only escapes.

Matching is a walk with `str.find` from literal to literal, leftmost first, so it is linear and needs no regular
expression: a later occurrence of a literal can never make room that the leftmost one does not leave.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import zip_longest

from busway.errors import InvalidPattern
from busway.pattern.conditions import Selectivity, quoted
from busway.pattern.event_tree import Scalar

# Inferred from patterns that AWS accepted (7, 9) and refused (11, 12); AWS publishes no number.
COMPLEXITY_MAX = 10
# Ours: how many characters of literals are looked at, so that thousands of wildcards that all meet one long one cost
# no more. No pattern of the 4,096 characters that AWS takes comes near it.
CHARACTERS_MAX = 1_000_000
TOO_COMPLEX = (
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences "
    "after a wildcard character"
)


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`{"wildcard": "a*c"}`. `literals` is the text between the asterisks, first and last included."""

    text: str
    literals: tuple[str, ...] = field(compare=False)

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.RANGE

    @property
    def wanted(self) -> str:
        return f"a string like {quoted(self.text)}"

    @property
    def words(self) -> tuple[str, ...]:
        return ()

    def accepts(self, value: Scalar) -> bool:
        if not isinstance(value, str):
            return False
        literals = self.literals
        if len(literals) == 1:
            return value == literals[0]
        first, last = literals[0], literals[-1]
        position, end = len(first), len(value) - len(last)
        if position > end or not value.startswith(first) or not value.endswith(last):
            return False
        for literal in literals[1:-1]:
            position = value.find(literal, position, end)
            if position < 0:
                return False
            position += len(literal)
        return True


def parse_wildcard(text: str) -> Wildcard:
    """Read a wildcard. Raises `InvalidPattern` without a location; positions count UTF-8 bytes from 1."""
    literals: list[str] = []
    literal: list[str] = []
    index = 0
    while index < len(text):
        char = text[index]
        if char == "*":
            if text.startswith("*", index + 1):
                raise InvalidPattern(f"Consecutive wildcard characters at pos {_byte_position(text, index)}")
            literals.append("".join(literal))
            literal = []
        elif char == "\\":
            escaped = text[index + 1 : index + 2]
            if escaped not in ("*", "\\"):
                raise InvalidPattern(f"Invalid escape character at pos {_byte_position(text, index)}")
            literal.append(escaped)
            index += 1
        else:
            literal.append(char)
        index += 1
    return Wildcard(text, (*literals, "".join(literal)))


def _byte_position(text: str, index: int) -> int:
    return len(text[:index].encode("utf-8", "surrogatepass")) + 1


def complexity(wildcards: Iterable[Wildcard]) -> int:
    """The most beginnings of these wildcards (all on one field) that one value can be in at the same time.

    A value that has passed every asterisk is in all of them for good, and besides in each beginning of a literal
    that its end spells. So: the asterisks, plus the longest chain of literal beginnings that end alike. Wildcards
    whose first literals contradict each other never meet in one value. A number above `COMPLEXITY_MAX` may be too
    low, and stands for what would take too long to count.
    """
    # In order, so that a wildcard comes behind those whose first literal its own begins with.
    starred = sorted((one for one in set(wildcards) if len(one.literals) > 1), key=lambda one: one.literals)
    meeting: list[Wildcard] = []
    most = characters = 0
    for wildcard, following in zip_longest(starred, starred[1:]):
        first = wildcard.literals[0]
        while meeting and not first.startswith(meeting[-1].literals[0]):
            meeting.pop()
        meeting.append(wildcard)
        asterisks = sum(len(one.literals) - 1 for one in meeting)
        if asterisks > COMPLEXITY_MAX:
            return asterisks
        if following and following.literals[0].startswith(first):
            continue  # it meets all of these too
        # The end of the value counts as a character, written here as the quote that AWS keeps around strings.
        literals = [literal for one in meeting for literal in _after_asterisks(one)]
        characters += sum(map(len, literals))
        if characters > CHARACTERS_MAX:
            return COMPLEXITY_MAX + 1
        most = max(most, asterisks + _most_alike(literals))
    return most


def _after_asterisks(wildcard: Wildcard) -> list[str]:
    return [*wildcard.literals[1:-1], wildcard.literals[-1] + '"']


def _most_alike(literals: list[str]) -> int:
    """The most beginnings of literals that are all endings of one text (an Aho-Corasick automaton, counted)."""
    children: list[dict[str, int]] = [{}]
    weights = [0]
    for literal in literals:
        node = 0
        for char in literal:
            if char not in children[node]:
                children[node][char] = len(children)
                children.append({})
                weights.append(0)
            node = children[node][char]
            weights[node] += 1
    fallback = [0] * len(children)
    totals = [0] * len(children)
    waiting = deque([0])
    while waiting:
        node = waiting.popleft()
        for char, child in children[node].items():
            shorter = fallback[node]
            while shorter and char not in children[shorter]:
                shorter = fallback[shorter]
            fallback[child] = children[shorter].get(char, 0) if node else 0
            totals[child] = weights[child] + totals[fallback[child]]
            waiting.append(child)
    return max(totals)
