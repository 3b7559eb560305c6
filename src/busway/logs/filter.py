"""CloudWatch Logs' filter patterns: what a log event must say to be found. Pure.

    ERROR timeout            every term stands in the message, in any place, also inside a word
    "no such user"           a phrase as it is; needed for whatever is not letters, digits and _
    ERROR -retried           a term that must not be there
    ?ERROR ?WARN             any of them; ignored beside other terms
    { $.status >= 500 }      of a message that is a JSON object: `filter_json.py`

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
Not here: regular expressions between %, and patterns of columns between [ ].
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from busway.errors import InvalidLogFilter
from busway.logs.filter_json import parse_json_filter

Filter = Callable[[str], bool]
"""Whether a message is one that the pattern finds."""

_TERM = re.compile(r'(?P<sign>[?-]?)(?:"(?P<phrase>(?:[^"\\]|\\.)*)"|(?P<word>\w+))(?=\s|$)', re.DOTALL)
_SPACE = re.compile(r"\s*")
_ODD = re.compile(r"[^\w\s]+")


class Terms(msgspec.Struct, frozen=True):
    """The terms of a pattern. `wanted` all, `any_of` at least one where there are some, `unwanted` none."""

    wanted: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()

    def match(self, message: str) -> bool:
        if any(term in message for term in self.unwanted) or not all(term in message for term in self.wanted):
            return False
        # As on AWS: beside other terms, those with a question mark have no effect.
        if not self.any_of or self.wanted or self.unwanted:
            return True
        return any(term in message for term in self.any_of)


def parse_filter(pattern: str) -> Filter:
    """The filter of a pattern; "" finds everything. Raises `InvalidLogFilter`."""
    text = pattern.strip()
    if text.startswith("{"):
        return parse_json_filter(text)
    if text.startswith("["):
        raise InvalidLogFilter("Invalid filter pattern: patterns of columns, [a, b], are not built")
    if text.startswith("%"):
        raise InvalidLogFilter("Invalid filter pattern: regular expressions, %…%, are not built")
    return parse_terms(text).match


def parse_terms(text: str) -> Terms:
    """Raises `InvalidLogFilter`."""
    found: dict[str, list[str]] = {"": [], "?": [], "-": []}
    place = 0
    while place < len(text):
        term = _TERM.match(text, place)
        if term is None:
            rest = text[place:].split(maxsplit=1)[0]
            odd = _ODD.search(rest.lstrip("?-")) or _ODD.search(rest)
            raise InvalidLogFilter(f"Invalid character(s) in term '{odd[0] if odd else rest}'")
        phrase = term["phrase"]
        said = term["word"] if phrase is None else re.sub(r"\\(.)", r"\1", phrase, flags=re.DOTALL)
        if said:
            found[term["sign"]].append(said)
        after = _SPACE.match(text, term.end())
        place = len(text) if after is None else after.end()
    return Terms(tuple(found[""]), tuple(found["?"]), tuple(found["-"]))
