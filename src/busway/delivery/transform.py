"""From an event to the payload of one target: Input, InputPath, InputTransformer. Pure.

    compile_input     once per subscriber → a function from (event, time of acceptance) to the payload
    check_input       what PutTargets refuses, in AWS's words

The rules of the transformer are AWS's as recorded, odd ones included: a string template keeps its quotation marks,
an object inside a string template loses its own, values are inserted without escaping, and a template whose result
is no JSON is never delivered (`UnsendablePayload`; the router makes a dead letter of it).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from busway.delivery import InputTransformer, Subscriber
from busway.delivery.path import find, parse_path
from busway.errors import InvalidTargetInput, UnsendablePayload

Transform = Callable[[bytes, float], bytes]
"""(event, Unix seconds at which the bus took it in) → payload. Raises `UnsendablePayload`."""

# A placeholder, or a string literal, or what is between: the scan knows which placeholders stand inside quotes.
_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_\-.]+)>")
# Between two literals each blank can be matched in one way only: a template is its author's, and must not cost
# exponential time.
_LITERALS = re.compile(r'\s*"(?:[^"\\\n]|\\.)*"(?:[^\S\n]*\n\s*"(?:[^"\\\n]|\\.)*")*\s*\Z')
_RESERVED = "aws.events."
# What a function takes as an asynchronous event, and a queue as a message. A template of 8 KB can name a value of
# 1 MB two thousand times: what would be longer than this is never made.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
PAYLOAD_BYTES_MAX = 1_048_576


def compile_input(subscriber: Subscriber) -> Transform:
    """How this subscriber's payload is made."""
    if subscriber.input is not None:
        fixed = subscriber.input.encode()
        return lambda event, accepted_at: fixed
    if subscriber.input_path is not None:
        return _by_path(subscriber.input_path)
    if subscriber.input_transformer is not None:
        return _by_template(subscriber.input_transformer, subscriber)
    return _whole


def partition_key_of(subscriber: Subscriber) -> Callable[[bytes], str | None]:
    """What gives the partition key of an event on its way to a stream; None for a subscriber that names no path.

    As recorded of AWS the key is JSON, so text keeps its quotation marks, and `{}` where the path finds nothing.
    """
    path = subscriber.partition_key_path
    if path is None:
        return lambda event: None
    steps = parse_path(path)

    def key(event: bytes) -> str:
        found = None if steps is None else find(event, steps)
        return "{}" if found is None else found.decode()

    return key


def _whole(event: bytes, accepted_at: float) -> bytes:
    return event


def _by_path(path: str) -> Transform:
    steps = parse_path(path)

    def payload(event: bytes, accepted_at: float) -> bytes:
        found = None if steps is None else find(event, steps)
        if found is None:
            # What AWS does here is not recorded. Ours: never in silence, so the event becomes a dead letter.
            raise UnsendablePayload(f"InputPath {path} found nothing in the event", event)
        return found

    return payload


@dataclass(frozen=True, slots=True)
class _Slot:
    """A placeholder in a template."""

    name: str
    quoted: bool


def _by_template(transformer: InputTransformer, subscriber: Subscriber) -> Transform:
    parts = _split(transformer.template)
    is_text = is_string_template(transformer.template)
    paths = {name: parse_path(path) for name, path in transformer.paths.items()}
    slots = {part for part in parts if isinstance(part, _Slot)}
    used = {slot.name for slot in slots}

    def payload(event: bytes, accepted_at: float) -> bytes:
        values: dict[str, bytes | None] = {}
        for name in used:
            if name.startswith(_RESERVED):
                values[name] = _reserved(name, event, accepted_at, subscriber)
            else:
                steps = paths.get(name)
                values[name] = None if steps is None else find(event, steps)
        # Each once, however often the template names it.
        made = {slot: _fill(values[slot.name], slot.quoted, is_text) for slot in slots}
        filled = [part if isinstance(part, str) else made[part] for part in parts]
        _check_length(filled, event)
        sent = "".join(filled).encode("utf-8", "surrogatepass")
        if not is_text and not _is_json(sent):
            raise UnsendablePayload("The result of the InputTransformer is not valid JSON", sent)
        return sent

    return payload


def _check_length(parts: Iterable[str], event: bytes) -> None:
    """Characters, which are never more than bytes. Raises `UnsendablePayload` with the event as it was."""
    length = sum(map(len, parts))
    if length > PAYLOAD_BYTES_MAX:
        raise UnsendablePayload(
            f"The result of the InputTransformer has {length} characters; wanted at most {PAYLOAD_BYTES_MAX}", event
        )


def _fill(value: bytes | None, quoted: bool, is_text: bool) -> str:
    """What stands in the place of a placeholder."""
    if value is None:
        return "" if quoted else '""'
    text = value.decode()
    if not quoted:
        return text
    if text[0] == '"':
        return str(msgspec.json.decode(value))
    if text[0] in "{[" and is_text:
        return text.replace('"', "")
    return text


def _reserved(name: str, event: bytes, accepted_at: float, subscriber: Subscriber) -> bytes | None:
    match name:
        case "aws.events.rule-arn":
            return msgspec.json.encode(subscriber.rule_arn)
        case "aws.events.rule-name":
            return msgspec.json.encode(subscriber.rule_name)
        case "aws.events.event.ingestion-time":
            return msgspec.json.encode(_iso(accepted_at))
        case "aws.events.event":
            return _event_without_detail(event, accepted_at)
        case "aws.events.event.json":
            return event
        case _:
            return None


def _event_without_detail(event: bytes, accepted_at: float) -> bytes:
    """AWS's own odd shape: `detailType` in camel case, this order, and as `time` when the event was taken in."""
    members = msgspec.json.decode(event, type=dict[str, msgspec.Raw])
    shape: dict[str, Any] = {name: members[name] for name in ("id", "account")}
    shape["detailType"] = members["detail-type"]
    shape["time"] = _iso(accepted_at)
    for name in ("source", "region", "resources", "version"):
        shape[name] = members[name]
    return msgspec.json.encode(shape)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _split(template: str) -> list[str | _Slot]:
    """The template as text and placeholders, each of which knows whether it stands inside a string literal."""
    parts: list[str | _Slot] = []
    inside = False
    at = 0
    for found in _PLACEHOLDER.finditer(template):
        text = template[at : found.start()]
        inside ^= len(re.findall(r'(?<!\\)(?:\\\\)*"', text)) % 2 == 1
        parts += [text, _Slot(found[1], inside)]
        at = found.end()
    parts.append(template[at:])
    return parts


def is_string_template(template: str) -> bool:
    """Whether it is one string literal, or several on lines of their own; all else must give JSON."""
    return _LITERALS.match(template) is not None


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def check_input(
    target_id: str, input: str | None, input_path: str | None, input_transformer: InputTransformer | None
) -> None:
    """Raise `InvalidTargetInput` for settings that can't work, as AWS does at PutTargets."""
    if sum(setting is not None for setting in (input, input_path, input_transformer)) > 1:
        raise InvalidTargetInput(
            f"Only one of Input, InputPath, or InputTransformer must be provided for target {target_id}."
        )
    if input is not None and not _is_json(input.encode("utf-8", "surrogatepass")):
        raise InvalidTargetInput(f"JSON syntax error in Input for target {target_id}.")
    if input_path is not None:
        parse_path(input_path)
    if input_transformer is not None:
        _check_transformer(target_id, input_transformer)


def _check_transformer(target_id: str, transformer: InputTransformer) -> None:
    for name, path in transformer.paths.items():
        if name.upper().startswith("AWS"):
            raise InvalidTargetInput(
                f"InputPathsMap for target {target_id} contains the key {name}: keys can't begin with AWS."
            )
        parse_path(path)
    slots = [part for part in _split(transformer.template) if isinstance(part, _Slot)]
    for name in _unknown(slots, transformer):
        raise InvalidTargetInput(f"InputTemplate for target {target_id} contains invalid placeholder {name}.")
    if not is_string_template(transformer.template):
        sample = _PLACEHOLDER.sub("null", transformer.template)
        # A template that begins with a placeholder is taken whatever follows, and found out when an event comes.
        if not transformer.template.lstrip().startswith("<") and not _is_json(
            sample.encode("utf-8", "surrogatepass")
        ):
            raise InvalidTargetInput(f'Invalid InputTemplate for target {target_id} : [Source: (String)"{sample}"].')


_RESERVED_NAMES = frozenset(
    {
        "aws.events.rule-arn",
        "aws.events.rule-name",
        "aws.events.event.ingestion-time",
        "aws.events.event",
        "aws.events.event.json",
    }
)


def _unknown(slots: Iterable[_Slot], transformer: InputTransformer) -> Iterable[str]:
    return (slot.name for slot in slots if slot.name not in transformer.paths and slot.name not in _RESERVED_NAMES)
