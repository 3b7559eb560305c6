"""Value lists that AWS refuses, as they were probably meant. What is right, or beyond guessing, stays as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from msgspec import Raw

from busway.pattern.edits.mistakes import bare, is_number
from busway.pattern.event_tree import Scalar, Tree
from busway.pattern.json_text import NUMBER
from busway.pattern.likeness import nearest_word
from busway.pattern.read_operator import OPERATORS

_OTHER_NAMES: Mapping[str, str] = {
    "starts-with": "prefix", "startswith": "prefix", "begins-with": "prefix", "beginswith": "prefix",
    "ends-with": "suffix", "endswith": "suffix", "ignore-case": "equals-ignore-case",
    "equalsignorecase": "equals-ignore-case", "anythingbut": "anything-but", "not": "anything-but",
    "not-in": "anything-but", "like": "wildcard", "glob": "wildcard", "exist": "exists", "equals": "exactly",
    "equal": "exactly", "eq": "exactly", "ip": "cidr", "ip-address": "cidr", "number": "numeric",
    "between": "numeric",
}  # fmt: skip
_COMPARISONS: Mapping[str, str] = {
    "=": "=", "==": "=", "<": "<", "<=": "<=", "=<": "<=", ">": ">", ">=": ">=", "=>": ">=",
}  # fmt: skip
_LOWER, _UPPER = (">", ">="), ("<", "<=")
_COMPARED = re.compile(r"\s*([<>=]{1,2})\s*([^\s<>=]\S*)\s*\Z")
# Of a regular expression, what a wildcard can't say.
_BEYOND_WILDCARDS = re.compile(r"\\[a-zA-Z0-9]|(?<!\\)[][(){}|+?^$.*]")
_STRAY_BACKSLASH = re.compile(r"\\(?![*\\])")
_ALL_BITS: Mapping[str, str] = {"32": ".", "128": ":"}


def mended_list(entries: list[Tree]) -> list[Tree]:
    """Nested lists are opened, and each entry is mended, which may make several of it."""
    mended: list[Tree] = []
    for entry in entries:
        if isinstance(entry, list):
            mended.extend(mended_list(entry))
        elif isinstance(entry, dict):
            mended.extend(_mended_operator(entry))
        else:
            mended.append(entry)
    return mended


def operator_of(name: str) -> str | None:
    """The operator that a name is, or was meant to be; None for a name that resembles none."""
    if name in OPERATORS:
        return name
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).replace("_", "-").replace(" ", "-").lower()
    if plain in OPERATORS:
        return plain
    return (
        _OTHER_NAMES.get(plain)
        or _OTHER_NAMES.get(plain.replace("-", ""))
        or nearest_word([plain], sorted(OPERATORS))
    )


def _mended_operator(entry: dict[str, Tree]) -> list[Tree]:
    if len(entry) != 1:
        both = entry.get("prefix"), entry.get("suffix")
        if len(entry) == 2 and all(isinstance(text, str) for text in both):
            first, last = (_escaped(str(text)) for text in both)
            return [{"wildcard": f"{first}*{last}"}]
        return [entry]
    ((name, argument),) = entry.items()
    if name in _COMPARISONS and not isinstance(argument, dict | list):
        return _MENDERS["numeric"]("numeric", [name, argument])
    if name == "!=":
        return [{"anything-but": argument}]
    if name == "contains" and isinstance(argument, str):
        return [{"wildcard": f"*{_escaped(argument)}*"}]
    if name in ("regex", "regexp", "matches") and isinstance(argument, str):
        return _of_regex(argument) or [entry]
    operator = operator_of(name)
    if operator is None:
        return [entry]
    return _MENDERS.get(operator, _text)(operator, argument)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("*", "\\*")


def _of_regex(regex: str) -> list[Tree]:
    """The wildcard, or the text, that says the same; [] where none does."""
    begun, ended = regex.startswith("^"), regex.endswith("$")
    runs = re.split(r"(?<!\\)\.\*", regex[begun : len(regex) - ended])
    if any(_BEYOND_WILDCARDS.search(run) for run in runs):
        return []
    literals = [_escaped(re.sub(r"\\(.)", r"\1", run)) for run in runs]
    wildcard = ("" if begun else "*") + "*".join(literals) + ("" if ended else "*")
    return [{"wildcard": re.sub(r"\*{2,}", "*", wildcard)}]


def _text(operator: str, argument: Tree) -> list[Tree]:
    if isinstance(argument, list):
        return [mended for one in argument for mended in _mended_operator({operator: one})]
    if operator == "exactly" and not isinstance(argument, str | dict):
        return [argument]
    if argument is None or isinstance(argument, str | dict):
        return [{operator: argument}]
    return [{operator: bare(_scalar(argument))}]


def _scalar(tree: Tree) -> Scalar:
    assert isinstance(tree, str | int | bool | Raw | None)
    return tree


def _wildcard(operator: str, argument: Tree) -> list[Tree]:
    if not isinstance(argument, str):
        return _text(operator, argument)
    return [{operator: mended_wildcard(argument)}]


def mended_wildcard(text: str) -> str:
    """Where a backslash escapes nothing, all of them are meant as characters: a path of Windows."""
    text = re.sub(r"\*{2,}", "*", text)
    return text.replace("\\", "\\\\") if _STRAY_BACKSLASH.search(text.replace("\\\\", "")) else text


def _exists(operator: str, argument: Tree) -> list[Tree]:
    if isinstance(argument, str) and argument.lower() in ("true", "false"):
        return [{operator: argument.lower() == "true"}]
    return [{operator: argument}]


def _cidr(operator: str, argument: Tree) -> list[Tree]:
    if not isinstance(argument, str):
        return _text(operator, argument)
    address, slash, bits = argument.strip().partition("/")
    if not slash or _ALL_BITS.get(bits, "/") in address:
        return [address]
    return [{operator: argument.strip()}]


def _numeric(operator: str, argument: Tree) -> list[Tree]:
    if isinstance(argument, str):
        argument = [argument] if _COMPARED.match(argument) else ["=", argument]
    elif is_number(argument):
        argument = ["=", argument]
    if not isinstance(argument, list):
        return [{operator: argument}]
    parts = [_number_or_operator(part) for one in argument for part in _compared(one)]
    if len(parts) == 2 and parts[0] == "!=":
        return [{"anything-but": parts[1]}]
    if len(parts) == 4 and parts[0] in _UPPER and parts[2] in _LOWER:
        parts = [*parts[2:], *parts[:2]]
    if len(parts) == 2 and is_number(parts[0]) and is_number(parts[1]):
        parts = [">=", parts[0], "<=", parts[1]]
    return [{operator: parts}]


def _compared(part: Tree) -> list[Tree]:
    """An operator and its number that stand in one string."""
    compared = _COMPARED.match(part) if isinstance(part, str) else None
    return [compared[1], compared[2]] if compared else [part]


def _number_or_operator(part: Tree) -> Tree:
    if not isinstance(part, str):
        return part
    text = part.strip()
    return Raw(text.encode()) if NUMBER.fullmatch(text) else _COMPARISONS.get(text, text)


def _anything_but(operator: str, argument: Tree) -> list[Tree]:
    """A mixed list becomes one of strings; a nested operator is mended as it would be alone."""
    if isinstance(argument, list) and len(argument) > 1:
        flat: list[Tree] = [part for one in argument for part in (one if isinstance(one, list) else [one])]
        kinds = {isinstance(part, str) for part in flat}
        if len(kinds) == 2 and all(isinstance(part, str) or is_number(part) for part in flat):
            flat = [*map(bare, map(_scalar, flat))]
        return [{operator: flat}]
    if isinstance(argument, dict) and len(argument) == 1:
        ((name, inner),) = argument.items()
        nested = operator_of(name)
        if nested == "wildcard" and isinstance(inner, str):
            return [{operator: {nested: mended_wildcard(inner)}}]
        if nested == "wildcard" and isinstance(inner, list):
            texts: list[Tree] = [mended_wildcard(one) if isinstance(one, str) else one for one in inner]
            return [{operator: {nested: texts}}]
        if nested == "exactly":
            return [{operator: inner}]
        return [{operator: {nested or name: inner}}]
    return [{operator: argument}]


_MENDERS: Mapping[str, Callable[[str, Tree], list[Tree]]] = {
    "wildcard": _wildcard,
    "exists": _exists,
    "cidr": _cidr,
    "numeric": _numeric,
    "anything-but": _anything_but,
}
