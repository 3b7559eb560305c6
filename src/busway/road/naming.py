"""Names as the generator needs them: of files, classes, fields. Pure.

What a user calls things is free text; what is written into code is an identifier made here, or a literal.
"""

from __future__ import annotations

import keyword
import re

from pydantic import BaseModel

from busway.errors import GeneratorRefused
from busway.event import RESERVED
from busway.road.root import Language

# A rule's and a function's name have at most 64 characters, and begin with the project's.
NAME_LENGTH_MAX = 50
# Ours: what the lines of generated code have room for.
CLASS_LENGTH_MAX = 40
# What the annotations of a generated class are made of: a field of such a name would stand for them below it.
_TYPES = frozenset((
    "Annotated", "Any", "AwareDatetime", "Date", "Decimal", "Field", "UUID", "bool", "dict", "float", "int", "list",
    "str",
))  # fmt: skip
# What generated files use by its name, in either language, and so no event may be called.
_TAKEN_CLASSES = frozenset((
    "Annotated", "Any", "AwareDatetime", "BaseModel", "ConfigDict", "ConnectionError", "Date", "Decimal", "DetailOf",
    "Enum", "Error", "Event", "EventMismatch", "Field", "Literal", "LocalBus", "MakeEvent", "Promise", "RootModel",
    "ScheduledEvent", "SendEmailCommand", "SentMail", "TestContext",
))  # fmt: skip
# The same of a handler in Python; one in TypeScript is called otherwise there.
_TAKEN_FUNCTIONS = frozenset((
    "answer", "asyncio", "batch", "batch_handler", "batch_of", "bool", "boto3", "bus", "cache", "capsys", "detail",
    "dict", "due", "event", "events", "float", "handler", "int", "len", "letter", "letters", "list", "mail",
    "monkeypatch", "n", "name", "object", "print", "pytest", "raw", "sample", "sent_mail", "str", "text",
    "unavailable", "value",
))  # fmt: skip


def snake(text: str) -> str:
    """`CustomerNotification`, `customer-notification`, `Customer Notification`: all `customer_notification`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    return re.sub(r"[^A-Za-z0-9]+", "_", spaced).strip("_").lower()


def pascal(text: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in snake(text).split("_"))


def words(class_name: str) -> str:
    """`CustomerNotification` as a person writes it: `Customer Notification`."""
    return " ".join(part[:1].upper() + part[1:] for part in snake(class_name).split("_"))


def handler_name(text: str, language: Language | None = None) -> str:
    """The folder and function of a handler. Raises GeneratorRefused with a name that would do."""
    name = snake(text)
    if not name or not text.isascii() or name[0].isdigit() or keyword.iskeyword(name) or len(name) > NAME_LENGTH_MAX:
        raise GeneratorRefused(
            f"{text!r} cannot name a handler; wanted at most {NAME_LENGTH_MAX} ASCII letters, digits, - and _, "
            "beginning with a letter, and no word of Python",
            "for example: send-welcome-mail",
        )
    if language == "python" and (name in _TAKEN_FUNCTIONS or name.startswith("test")):
        why = "pytest takes it for a test" if name.startswith("test") else "its files use that name already"
        raise GeneratorRefused(f"{text!r} cannot name a handler: {why}", f"for example: handle-{name}")
    return name


def event_class_name(text: str) -> str:
    """The class of an event. Raises GeneratorRefused for what cannot be one."""
    name = pascal(text)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9 _-]*", text) or not _fits_class(name):
        raise GeneratorRefused(
            f"{text!r} cannot name an event class; wanted at most {CLASS_LENGTH_MAX} ASCII letters and digits, "
            "beginning with a letter",
            "for example: OrderPlaced",
        )
    return name


def new_class_name(text: str) -> str:
    """The class of an event that is about to be written. Raises GeneratorRefused for what cannot be one."""
    name = event_class_name(text)
    if name in _TAKEN_CLASSES:
        raise GeneratorRefused(
            f"{text!r} cannot name an event class: generated files use that name already",
            f"for example: {name}Happened",
        )
    return name


def event_module(class_name: str) -> str:
    """The file of an event's class, in `events/`: no word of Python, which could not be imported by its name."""
    name = snake(class_name)
    return f"{name}_" if keyword.iskeyword(name) else name


def _fits_class(name: str) -> bool:
    return len(name) <= CLASS_LENGTH_MAX and not keyword.iskeyword(name)


def field_name(wire_name: str) -> str:
    """The Python name of a detail member: itself where that is possible, else something near it."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", wire_name).strip("_") or "field"
    if name[0].isdigit():
        name = f"field_{name}"
    taken = keyword.iskeyword(name) or name in RESERVED | _TYPES or hasattr(BaseModel, name)
    return f"{name}_" if taken else name
