"""Filter policies: which messages a subscription wants. Pure.

The language is that of event patterns (`pattern`), over the message's attributes or over its body as JSON. What
differs from SNS's own language is said in docs/topics.md.
https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, cast

import msgspec

from busway.errors import InvalidEvent, InvalidPattern, InvalidTopicRequest
from busway.pattern import parse
from busway.pattern.event_tree import Tree, read_event
from busway.queue.message import AttributeValue

MESSAGE_ATTRIBUTES, MESSAGE_BODY = "MessageAttributes", "MessageBody"
SCOPES = (MESSAGE_ATTRIBUTES, MESSAGE_BODY)
# https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
KEYS_MAX, COMBINATIONS_MAX, POLICY_BYTES_MAX = 5, 150, 262_144
ARRAY = "String.Array"
# Ours: the digits of a number that conditions are compared with; AWS's go from -10^9 to 10^9 with five decimals.
NUMBER_DIGITS_MAX = 100


class Trees:
    """What policies look at of a message, each made once however many ask; None for a body that is no JSON object."""

    def __init__(self, body: str, attributes: Mapping[str, AttributeValue]) -> None:
        self._body, self._attributes = body, attributes

    @cached_property
    def body(self) -> dict[str, Tree] | None:
        try:
            return read_event(self._body.encode())
        except InvalidEvent:
            return None

    @cached_property
    def attributes(self) -> dict[str, Tree]:
        return attribute_tree(self._attributes)


class FilterPolicy:
    """A compiled policy, of one scope."""

    def __init__(self, text: str, scope: str) -> None:
        """Raises `InvalidTopicRequest`."""
        self._of_body = scope == MESSAGE_BODY
        if len(text.encode()) > POLICY_BYTES_MAX:
            raise InvalidTopicRequest(f"FilterPolicy: longer than {POLICY_BYTES_MAX} bytes")
        try:
            policy = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError as wrong:
            raise InvalidTopicRequest("FilterPolicy: failed to parse JSON.") from wrong
        try:
            self._pattern = parse(text)
        except InvalidPattern as wrong:
            raise InvalidTopicRequest(f"FilterPolicy: {wrong.reason}") from wrong
        if len(policy) > KEYS_MAX:
            raise InvalidTopicRequest(f"FilterPolicy: Filter policy can not have more than {KEYS_MAX} keys")
        if combinations(policy) > COMBINATIONS_MAX:
            raise InvalidTopicRequest("FilterPolicy: Filter policy is too complex")
        if not self._of_body and any(isinstance(value, dict) for value in policy.values()):
            raise InvalidTopicRequest("Filter policy scope MessageAttributes does not support nested filter policy")

    def wants(self, message: Trees) -> bool:
        """Whether the message is delivered."""
        tree = message.body if self._of_body else message.attributes
        # What is no JSON object has none of the members that a policy asks for.
        return tree is not None and self._pattern.matches_tree(tree)


def combinations(policy: dict[str, Any], depth: int = 1) -> int:
    """How complex AWS takes a policy to be: the product of each list's values times how deep it lies."""
    product = 1
    for name, value in policy.items():
        if isinstance(value, dict):
            product *= combinations(cast("dict[str, Any]", value), depth + 1)
        elif name == "$or":
            product *= sum(combinations(branch, depth) for branch in value)
        else:
            product *= len(value) * depth
    return product


def attribute_tree(attributes: Mapping[str, AttributeValue]) -> dict[str, Tree]:
    """The attributes as an event: texts, numbers, and lists for String.Array; SNS does not look at Binary."""
    tree: dict[str, Tree] = {}
    for name, attribute in attributes.items():
        kind = attribute.data_type.split(".", 1)[0]
        if kind == "Binary":
            continue
        text = attribute.text or ""
        if attribute.data_type == ARRAY:
            tree[name] = _array(text)
        elif kind == "Number":
            tree[name] = _number(text)
        else:
            tree[name] = text
    return tree


def _array(text: str) -> Tree:
    """The list's values; a text that is no JSON array is one value that nothing but `exists` finds."""
    try:
        found = read_event(b'{"v":%b}' % text.encode())["v"]
    except InvalidEvent:
        return text
    return found if isinstance(found, list) else text


def _number(text: str) -> Tree:
    """As JSON has it, whatever its form (`007`, `1e3`); the text of one that is too long to be compared."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite() or abs(number.adjusted()) > NUMBER_DIGITS_MAX or len(text) > NUMBER_DIGITS_MAX:
        return text
    return read_event(b'{"v":%b}' % format(number, "f").encode())["v"]
