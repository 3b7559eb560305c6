"""The model's constraints, checked in AWS's wording.

    2 validation errors detected: Value '…' at 'targets.1.member.id' failed to satisfy constraint: Member must …; …

Shapes are compiled once into checks; a shape without constraints below it has none and costs nothing. Paths are
in lowerCamel, list places count from 1. A list's or map's own scalars are told of at the list, as AWS does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from busway.aws.errors import AwsError
from busway.aws.java_pattern import compiled
from busway.aws.shapes import ServiceModel, Shape
from busway.aws.wording import fault, lower_camel, scalar_fault, validation_message

# (value, path, faults): append a text for each constraint that does not hold.
Check = Callable[[Any, str, list[str]], None]
# (value) -> texts of the constraints of a scalar that do not hold.
Limits = Callable[[Any], list[str]]

# Ours: a pattern is not tried on a text longer than this (AWS's longest field with a pattern is shorter, and such a
# text fails its length in any case).
PATTERN_TEXT_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a service words the breach of a constraint: under which code, and what it leaves to the operation.

    `missing` is the text for an absent required member, with its name for `{}`: only the first is told then.
    """

    code: str = "ValidationException"
    enums: bool = True
    missing: str | None = None

    def error(self, faults: list[str]) -> AwsError:
        return AwsError(self.code, faults[0] if self.missing else validation_message(faults), 400)


# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html and its neighbours.
_DIALECTS = {
    "sqs": Dialect(
        "MissingRequiredParameterException", enums=False, missing="The request must contain the parameter {}."
    ),
    "cloudwatch": Dialect("ValidationError"),
    "logs": Dialect("InvalidParameterException"),
    "sns": Dialect("ValidationError"),
    "sesv2": Dialect("BadRequestException"),
}


def dialect_of(service: str) -> Dialect:
    return _DIALECTS.get(service, Dialect())


class Validator:
    """The checks of one service, compiled as they are asked for."""

    def __init__(self, model: ServiceModel, dialect: Dialect | None = None) -> None:
        self._model = model
        self._dialect = dialect or Dialect()
        self._enums = self._dialect.enums
        self._checks: dict[str, Check | None] = {}
        self._open: set[str] = set()

    def faults(self, shape: str, request: dict[str, Any]) -> list[str]:
        """One text for each constraint of `shape` that `request` breaks, in the model's order."""
        found: list[str] = []
        check = self.check(shape)
        if check is not None:
            check(request, "", found)
        return found

    def check(self, name: str) -> Check | None:
        """The check of a shape, None when nothing below it is constrained."""
        if name in self._checks:
            return self._checks[name]
        if name in self._open:
            return lambda value, path, faults: self._late(name, value, path, faults)
        self._open.add(name)
        self._checks[name] = self._compile(self._model.shapes[name])
        self._open.discard(name)
        return self._checks[name]

    def _late(self, name: str, value: Any, path: str, faults: list[str]) -> None:
        check = self._checks[name]
        if check is not None:
            check(value, path, faults)

    def _compile(self, shape: Shape) -> Check | None:
        if shape.type == "structure":
            return self._structure(shape)
        if shape.type == "list" and shape.member is not None:
            return self._list(shape, self._model.shapes[shape.member.shape])
        if shape.type == "map" and shape.key is not None and shape.value is not None:
            return self._map(shape, self._model.shapes[shape.key.shape], self._model.shapes[shape.value.shape])
        limits = self._limits(shape)
        return None if limits is None else _scalar(shape, limits)

    def _structure(self, shape: Shape) -> Check | None:
        required = set(shape.required)
        members = [
            (name, lower_camel(name), name in required, self.check(ref.shape))
            for name, ref in shape.members.items()
            if name in required or self.check(ref.shape) is not None
        ]
        if not members:
            return None

        def check(value: Any, path: str, faults: list[str]) -> None:
            for name, label, needed, inner in members:
                found = value.get(name)
                if found is None:
                    if needed:
                        faults.append(self._missing(name, f"{path}{label}", shape))
                elif inner is not None:
                    inner(found, f"{path}{label}.", faults)

        return check

    def _missing(self, name: str, path: str, shape: Shape) -> str:
        if self._dialect.missing:
            return self._dialect.missing.format(name)
        return fault(None, path, "Member must not be null", self._model, shape)

    def _list(self, shape: Shape, member: Shape) -> Check | None:
        size = _size_limits(shape, "length")
        scalar = self._limits(member)
        inner = self.check(member.name) if member.type in ("structure", "list", "map") else None

        def check(value: Any, path: str, faults: list[str]) -> None:
            where = path[:-1]
            faults.extend(fault(value, where, text, self._model, shape) for text in size(value))
            for place, item in enumerate(value, start=1):
                if item is None:
                    faults.append(fault(None, f"{path}{place}.member", "Member must not be null", self._model, shape))
                elif inner is not None:
                    inner(item, f"{path}{place}.member.", faults)
            if scalar is not None and any(item is not None and scalar(item) for item in value):
                text = f"Member must satisfy constraint: [{', '.join(_words(member, self._enums))}]"
                faults.append(fault(value, where, text, self._model, shape))

        return check

    def _map(self, shape: Shape, key: Shape, item: Shape) -> Check | None:
        size = _size_limits(shape, "length")
        key_limits, item_limits = self._limits(key), self._limits(item)
        inner = self.check(item.name) if item.type in ("structure", "list", "map") else None

        def check(value: Any, path: str, faults: list[str]) -> None:
            where = path[:-1]
            faults.extend(fault(value, where, text, self._model, shape) for text in size(value))
            if key_limits is not None and any(key_limits(name) for name in value):
                text = f"Map keys must satisfy constraint: [{', '.join(_words(key, self._enums))}]"
                faults.append(fault(value, where, text, self._model, shape))
            if item_limits is not None and any(v is not None and item_limits(v) for v in value.values()):
                text = f"Map value must satisfy constraint: [{', '.join(_words(item, self._enums))}]"
                faults.append(fault(value, where, text, self._model, shape))
            for name, found in value.items():
                if found is None:
                    faults.append(fault(None, f"{path}{name}.member", "Member must not be null", self._model, shape))
                elif inner is not None:
                    inner(found, f"{path}{name}.member.", faults)

        return check

    def _limits(self, shape: Shape) -> Limits | None:
        """What a scalar must satisfy; None for one without constraints, and for structures, lists and maps."""
        if shape.type in ("structure", "list", "map", "timestamp", "boolean"):
            return None
        tests: list[Limits] = []
        if shape.min is not None or shape.max is not None:
            tests.append(_size_limits(shape, "length" if shape.type in ("string", "blob") else "value"))
        if shape.type == "string" and shape.pattern:
            tests.append(_pattern_limit(shape.pattern))
        if shape.enum and self._enums:
            allowed = frozenset(shape.enum)
            words = [_enum_words(shape)]
            tests.append(lambda value: [] if value in allowed else words)
        if not tests:
            return None
        return lambda value: [text for test in tests for text in test(value)]


def _scalar(shape: Shape, limits: Limits) -> Check:
    def check(value: Any, path: str, faults: list[str]) -> None:
        faults.extend(scalar_fault(value, path[:-1], text, shape) for text in limits(value))

    return check


def _size_limits(shape: Shape, what: str) -> Limits:
    least, most = shape.min, shape.max
    low = f"Member must have {what} greater than or equal to {_number(least)}"
    high = f"Member must have {what} less than or equal to {_number(most)}"

    def limits(value: Any) -> list[str]:
        size = len(value) if what == "length" else value
        if most is not None and size > most:
            return [high]
        if least is not None and size < least:
            return [low]
        return []

    return limits


def _number(limit: float | None) -> str:
    return f"{limit:.0f}" if limit is not None and float(limit).is_integer() else str(limit)


def _pattern_words(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"


def _pattern_limit(pattern: str) -> Limits:
    words = [_pattern_words(pattern)]

    def limits(value: Any) -> list[str]:
        fits = len(value) <= PATTERN_TEXT_MAX and compiled(pattern).fullmatch(value) is not None
        return [] if fits else words

    return limits


def _enum_words(shape: Shape) -> str:
    return f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"


def _words(shape: Shape, enums: bool) -> list[str]:
    """Every constraint of a scalar, for the messages that list them all."""
    what = "length" if shape.type in ("string", "blob") else "value"
    words: list[str] = []
    if shape.max is not None:
        words.append(f"Member must have {what} less than or equal to {_number(shape.max)}")
    if shape.min is not None:
        words.append(f"Member must have {what} greater than or equal to {_number(shape.min)}")
    if shape.pattern:
        words.append(_pattern_words(shape.pattern))
    if shape.enum and enums:
        words.append(_enum_words(shape))
    return words
