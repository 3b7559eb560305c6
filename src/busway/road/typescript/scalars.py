"""What has no parts: texts, numbers and values that are listed, of a JSON Schema as zod checks them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from busway.errors import GeneratorRefused
from busway.road.typescript.layout import block, value_text
from busway.road.typescript.made import NOTHING, Made

# Formats that zod checks as JSON Schema means them; any other says nothing of which texts fit, and is only noted.
_FORMATS = {
    "date-time": "z.iso.datetime({ offset: true })",
    "date": "z.iso.date()",
    "duration": "z.iso.duration()",
    # Of any version, as RFC 4122 writes it.
    "uuid": "z.guid()",
    # zod's own pattern takes fewer addresses than there are.
    "email": "z.email({ pattern: z.regexes.html5Email })",
    "uri": "z.url()",
    "ipv4": "z.ipv4()",
    "ipv6": "z.ipv6()",
}
# What may stand behind a backslash in a pattern of JavaScript's flag u.
# https://tc39.es/ecma262/#prod-CharacterClassEscape
_ESCAPED = set("dDwWsSbBfnrtv0123456789cxukpP^$\\.*+?()[]{}|/")
_GROUPS = ("(?:", "(?=", "(?!", "(?<")
_SAFE_MAX = 2**53 - 1
_BOUNDS = {"minimum": "min", "maximum": "max", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}


def string_made(schema: Mapping[str, Any], at: str) -> Made:
    """What zod does not say itself is noted. Raises GeneratorRefused."""
    least, most = count_of(schema, "minLength", at), count_of(schema, "maxLength", at)
    format_, pattern = schema.get("format"), schema.get("pattern")
    checked = _FORMATS.get(format_) if isinstance(format_, str) else None
    zod = checked or "z.string()"
    notes: dict[str, Any] = {} if checked or format_ is None else {"format": format_}
    if least == 1:
        zod += ".min(1)"
    elif least:
        # JavaScript's own length counts an emoji as two.
        zod, notes = f"{zod}.refine((text) => [...text].length >= {least})", {**notes, "minLength": least}
    if most is not None:
        zod, notes = f"{zod}.refine((text) => [...text].length <= {most})", {**notes, "maxLength": most}
    if pattern is not None:
        _check_pattern(pattern, f"{at}/pattern")
        zod += f'.regex(new RegExp({value_text(pattern)}, "u"))'
        # These JavaScript gives back in other words.
        changed = not pattern or set(pattern) & {"/", "\n", "\r", "\u2028", "\u2029"}
        notes |= {"pattern": pattern} if changed else {}
    return Made(zod, "string", notes)


def _check_pattern(pattern: Any, at: str) -> None:
    """Raises GeneratorRefused for what other languages have in patterns and JavaScript has not."""
    if not isinstance(pattern, str):
        raise GeneratorRefused(f"{at} is {value_text(pattern)}; wanted a text")
    place, in_class = 0, False
    while place < len(pattern):
        one, behind = pattern[place], pattern[place + 1 : place + 2]
        if one == "\\" and behind not in _ESCAPED and not (in_class and behind == "-"):
            raise GeneratorRefused(f"{at} has \\{behind}, which JavaScript does not know", f"here it is {pattern!r}")
        if not in_class and pattern.startswith("(?", place) and not pattern.startswith(_GROUPS, place):
            raise GeneratorRefused(f"{at} has {pattern[place : place + 4]}, which JavaScript does not know")
        in_class = one == "[" or (in_class and one != "]")
        place += 2 if one == "\\" else 1


def number_made(schema: Mapping[str, Any], at: str) -> Made:
    zod = "z.int()" if schema["type"] == "integer" else "z.number()"
    for word, method in (*_BOUNDS.items(), ("multipleOf", "multipleOf")):
        if word not in schema:
            continue
        bound = schema[word]
        if not isinstance(bound, int | float) or isinstance(bound, bool) or (word == "multipleOf" and bound <= 0):
            raise GeneratorRefused(f"{at}/{word} is {value_text(bound)}; wanted a number")
        # Those of every whole number of JavaScript say nothing, though zod exports them.
        if not (schema["type"] == "integer" and word in ("minimum", "maximum") and abs(bound) == _SAFE_MAX):
            zod += f".{method}({value_text(bound)})"
    return Made(zod, "number", {"format": schema["format"]} if "format" in schema else {})


def count_of(schema: Mapping[str, Any], word: str, at: str) -> int | None:
    count = schema.get(word)
    if count is not None and (
        not isinstance(count, int | float) or isinstance(count, bool) or count < 0 or count % 1
    ):
        raise GeneratorRefused(f"{at}/{word} is {value_text(count)}; wanted a whole number")
    return None if count is None else int(count)


def literals_made(values: Any, kinds: Sequence[str], at: str) -> Made:
    if not isinstance(values, list) or any(isinstance(value, dict | list) for value in cast(list[Any], values)):
        raise GeneratorRefused(f"{at}: wanted in enum a list, and of texts, numbers, true, false and null only")
    found = [value for value in cast(list[Any], values) if not kinds or any(_is_of(value, kind) for kind in kinds)]
    shown = list(dict.fromkeys(value_text(value) for value in found))
    if not shown:
        return NOTHING
    return Made(f"z.literal({shown[0] if len(shown) == 1 else block('[', shown, ']')})", " | ".join(shown))


def _is_of(value: Any, kind: str) -> bool:
    if kind in ("integer", "number"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (kind == "number" or value % 1 == 0)
    return isinstance(value, {"string": str, "boolean": bool, "null": type(None)}.get(kind, dict))
