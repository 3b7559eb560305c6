"""Typed events: one class is the producer's type, the validation, the handler's argument and the sample.

    class CustomerNotification(Event, source="com.benlimmer.Monolith", detail_type="Customer Notification"):
        notification: str
        ip_address: Annotated[str, Field(alias="ip-address")]

The fields are the event's *detail* and nothing else. Everything around it (id, time, resources, ...) is at
`event.envelope`, so that a detail may have a field `id` or `source` of its own. What a detail field cannot be
called is in `RESERVED`; give such a field another name and an alias. Light: imports pydantic and no server part.
"""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self, Union, cast, get_args, get_origin
from uuid import UUID

import pydantic
import pydantic_core
from pydantic import AliasChoices, AliasPath, AwareDatetime, ConfigDict, PrivateAttr
from pydantic.fields import FieldInfo

from busway.errors import EventMismatch, InvalidEventClass, NoEnvelope

RESERVED = frozenset(
    {"envelope", "event_source", "event_detail_type", "from_envelope", "sample", "to_entry", "to_envelope", "publish"}
)

# What a sample's envelope holds unless told otherwise: fixed, so that a test that prints it never changes.
SAMPLE_ENVELOPE: Mapping[str, Any] = {
    "version": "0",
    "id": "00000000-0000-4000-8000-000000000001",
    "account": "000000000000",
    "time": "2026-01-01T12:00:00Z",
    "region": "us-east-1",
    "resources": [],
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What EventBridge puts around a detail; `raw` is the event as it arrived.

    `time` is UTC, whole seconds; 1970 when the event came without one (an invocation by hand).
    """

    id: str
    source: str
    detail_type: str
    account: str
    time: datetime
    region: str
    resources: tuple[str, ...]
    raw: Mapping[str, Any]


class Event(pydantic.BaseModel):
    """An event on the bus. A subclass names its `source` and `detail_type`; a further subclass inherits them."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True, protected_namespaces=())

    event_source: ClassVar[str] = ""
    event_detail_type: ClassVar[str] = ""
    _envelope: Envelope | None = PrivateAttr(default=None)

    def __init_subclass__(cls, *, source: str = "", detail_type: str = "", **config: Any) -> None:
        super().__init_subclass__(**config)
        if bool(source) != bool(detail_type):
            missing = "detail_type" if source else "source"
            raise InvalidEventClass(f"event class {cls.__name__}: {missing} is missing; give both or neither")
        for name in sorted(RESERVED & set(inspect.get_annotations(cls))):
            raise InvalidEventClass(
                f"event class {cls.__name__}: Event itself uses the name {name!r}; "
                f"call the field {name}_ and give it Field(alias={name!r})"
            )
        if source:
            cls.event_source, cls.event_detail_type = source, detail_type

    def __new__(cls, **fields: Any) -> Self:
        """Who builds an event must not misspell a member; who receives one ignores what was added since.

        A class that sets pydantic's `extra` itself decides for both.
        """
        if fields and cls.model_config.get("extra") is None:
            unknown = [name for name in fields if name not in _accepted(cls)]
            if unknown:
                raise pydantic_core.ValidationError.from_exception_data(
                    cls.__name__,
                    [{"type": "extra_forbidden", "loc": (name,), "input": fields[name]} for name in unknown],
                )
        return super().__new__(cls)

    @property
    def envelope(self) -> Envelope:
        """What arrived around the detail. Raises NoEnvelope for an event built here and not received."""
        if self._envelope is None:
            raise NoEnvelope(type(self).__name__)
        return self._envelope

    @classmethod
    def from_envelope(cls, raw: Mapping[str, Any]) -> Self:
        """The typed event in an event as a Lambda function gets it.

        Raises EventMismatch, which names the event and each field with what was found and what was wanted.
        """
        who = f"event {raw.get('id', 'without id')} ({raw.get('detail-type')!r} from {raw.get('source')!r})"
        for name, wanted in (("source", cls.event_source), ("detail-type", cls.event_detail_type)):
            if wanted and raw.get(name) != wanted:
                raise EventMismatch(f"{who} is not a {cls.__name__}: {name} is {raw.get(name)!r}, wanted {wanted!r}")
        try:
            event = cls.model_validate(raw.get("detail"))
        except pydantic.ValidationError as error:
            raise EventMismatch(f"{who} does not fit {cls.__name__}: {_faults(error)}") from error
        try:
            event._envelope = _envelope(raw)
        except ValueError as error:
            raise EventMismatch(f"{who}: time is {raw.get('time')!r}, wanted ISO 8601") from error
        return event

    @classmethod
    def sample(cls, *, envelope: Mapping[str, Any] | None = None, **fields: Any) -> Self:
        """An event as it would be received, made from the fields' examples, else defaults, else types.

        `fields` win over that, by name or alias; `envelope` holds members to change around it, as on the wire
        (`{"resources": ["user@example.com"]}`).
        """
        try:
            detail = cls.model_validate(_sample_detail(cls, fields)).detail_json()
        except _Endless as error:
            raise EventMismatch(
                f"a sample of {cls.__name__} would never end: what it holds holds itself; give that an example"
            ) from error
        except pydantic.ValidationError as error:
            raise EventMismatch(
                f"a sample of {cls.__name__} with these values does not fit it: {_faults(error)}"
            ) from error
        around = {**SAMPLE_ENVELOPE, "source": cls.event_source, "detail-type": cls.event_detail_type}
        return cls.from_envelope({**around, **(envelope or {}), "detail": pydantic_core.from_json(detail)})

    def detail_json(self) -> str:
        """The detail as JSON text with the names on the wire; a field left at its default None is left out.

        So is one of a model within it.
        """
        return self.model_dump_json(by_alias=True, exclude=_left_at_none(self) or None)

    def to_entry(self, *, bus: str = "default", resources: Sequence[str] | None = None) -> dict[str, Any]:
        """The entry for boto3's `put_events(Entries=[...])`; resources default to those of the envelope, if any."""
        if not self.event_source:
            raise InvalidEventClass(f"event class {type(self).__name__} names no source and detail_type")
        if resources is None:
            resources = self._envelope.resources if self._envelope else ()
        return {
            "EventBusName": bus,
            "Source": self.event_source,
            "DetailType": self.event_detail_type,
            "Resources": list(resources),
            "Detail": self.detail_json(),
        }

    def publish(self, *, bus: str = "default", resources: Sequence[str] | None = None, client: Any = None) -> str:
        """Put the event on the bus and return its id.

        As `busway.publish`, for one event.
        """
        from busway.publishing import publish

        return publish(self.to_entry(bus=bus, resources=resources), client=client)[0]


def _left_at_none(value: object) -> dict[Any, Any]:
    """What of a value was never given and is None, as pydantic excludes it; {} for nothing."""
    if isinstance(value, pydantic.BaseModel):
        inner = {name: getattr(value, name) for name in type(value).model_fields}
        never = {name: True for name, one in inner.items() if one is None and name not in value.model_fields_set}
        return never | {name: found for name, one in inner.items() if (found := _left_at_none(one))}
    if isinstance(value, Mapping):
        members = cast(Mapping[Any, object], value)
        return {name: found for name, one in members.items() if (found := _left_at_none(one))}
    if isinstance(value, list | tuple):
        elements = cast(Sequence[object], value)
        return {place: found for place, one in enumerate(elements) if (found := _left_at_none(one))}
    return {}


class ScheduledEvent(Event, source="aws.events", detail_type="Scheduled Event"):
    """What a schedule puts: an empty detail; when it was due is at `event.envelope.time`.

    https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-scheduled-event.html
    """


def _envelope(raw: Mapping[str, Any]) -> Envelope:
    time = raw.get("time") or "1970-01-01T00:00:00Z"
    return Envelope(
        id=str(raw.get("id", "")),
        source=str(raw.get("source", "")),
        detail_type=str(raw.get("detail-type", "")),
        account=str(raw.get("account", "")),
        time=datetime.fromisoformat(str(time)).astimezone(UTC),
        region=str(raw.get("region", "")),
        resources=tuple(raw.get("resources") or ()),
        raw=raw,
    )


def _faults(error: pydantic.ValidationError) -> str:
    """Each fault in one line: where, what is wrong, what was found."""
    faults: list[str] = []
    for fault in error.errors(include_url=False):
        where = ".".join(["detail", *map(str, fault["loc"])])
        found = "" if fault["type"] == "missing" else f" (found {_shown(fault['input'])})"
        faults.append(f"{where}: {fault['msg']}{found}")
    return "; ".join(faults)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


@lru_cache(maxsize=256)
def _accepted(event: type[Event]) -> set[str]:
    """Every name under which a constructor takes a field's value."""
    names = set(event.model_fields)
    for field in event.model_fields.values():
        also = field.validation_alias
        for alias in also.choices if isinstance(also, AliasChoices) else [also]:
            names |= {str(alias.path[0]) if isinstance(alias, AliasPath) else alias} if alias is not None else set()
    return names


def names_by_wire(event: type[Event]) -> dict[str, str]:
    """What an event's members are called on the wire → the names of its fields, in their order."""
    return {field.alias or name: name for name, field in event.model_fields.items()}


def _sample_detail(event: type[Event], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """A detail by field name. Raises InvalidEventClass for a name in `chosen` that is no field's."""
    names = names_by_wire(event)
    unknown = sorted(set(chosen) - set(names) - set(event.model_fields))
    if unknown:
        known = ", ".join(event.model_fields)
        raise InvalidEventClass(f"{event.__name__} has no field {unknown[0]!r}; its fields are {known}")
    given = {names.get(name, name): value for name, value in chosen.items()}
    # Of a class that refers to one below it, the types are known from then on.
    event.model_rebuild()
    wanted = {n: f for n, f in event.model_fields.items() if n not in given and (f.is_required() or f.examples)}
    return {**{n: _field_sample(n, f, (event,)) for n, f in wanted.items()}, **given}


class _Endless(Exception):
    """A type that holds itself, and nothing else to choose."""


def _field_sample(name: str, field: FieldInfo, within: tuple[type, ...]) -> Any:
    """`within`: the classes that the field is part of; a sample holds none of them once more. Raises _Endless."""
    if field.examples:
        return field.examples[0]
    if not field.is_required():
        return field.get_default(call_default_factory=True, validated_data={})
    return _type_sample(field.alias or name, field.annotation, within)


_SAMPLES: Mapping[Any, Any] = {
    int: 1,
    float: 1.5,
    bool: True,
    Decimal: Decimal("9.99"),
    datetime: datetime(2026, 1, 1, 12, tzinfo=UTC),
    AwareDatetime: datetime(2026, 1, 1, 12, tzinfo=UTC),
    date: date(2026, 1, 1),
    UUID: UUID("00000000-0000-4000-8000-000000000002"),
}


def _type_sample(name: str, kind: Any, within: tuple[type, ...]) -> Any:
    """A value of a type: the field's own name for text, the first of what may be chosen, one element for a list."""
    if kind in _SAMPLES:
        return _SAMPLES[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return arguments[0]
    if origin is Annotated:
        return _type_sample(name, arguments[0], within)
    if origin in (Union, types.UnionType):
        return _first_sample(name, arguments, within)
    if origin is tuple and Ellipsis not in arguments:
        return [_type_sample(name, argument, within) for argument in arguments]
    if origin in (list, set, tuple, frozenset, Sequence):
        try:
            return [_type_sample(name, arguments[0] if arguments else str, within)]
        except _Endless:
            return []
    if origin in (dict, Mapping) or kind is dict:
        return {}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind))
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return _model_sample(kind, within)
    return name.replace("_", " ")


def _first_sample(name: str, kinds: Sequence[Any], within: tuple[type, ...]) -> Any:
    """Of the first type of which there is one; None only where there is no other."""
    for kind in kinds:
        if kind is not types.NoneType:
            try:
                return _type_sample(name, kind, within)
            except _Endless:
                continue
    if types.NoneType in kinds:
        return None
    raise _Endless


def _model_sample(model: type[pydantic.BaseModel], within: tuple[type, ...]) -> Any:
    if model in within:
        raise _Endless
    model.model_rebuild()
    inner = (*within, model)
    if issubclass(model, pydantic.RootModel):
        return _field_sample(model.__name__, model.model_fields["root"], inner)
    return {field.alias or n: _field_sample(n, field, inner) for n, field in model.model_fields.items()}
