"""Fields of a new event, as given on the command line: `ip-address:str=1.2.3.4`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pydantic

from busway.errors import GeneratorRefused
from busway.road.layout import call, literal
from busway.road.naming import field_name

# What may stand after the colon: the annotation, and where it is imported from.
TYPES: dict[str, tuple[str, str]] = {
    "str": ("str", ""),
    "int": ("int", ""),
    "float": ("float", ""),
    "bool": ("bool", ""),
    "decimal": ("Decimal", "from decimal import Decimal"),
    "datetime": ("AwareDatetime", "from pydantic import AwareDatetime"),
    # Events have a field called `date` more often than a class called Date.
    "date": ("Date", "from datetime import date as Date"),
    "uuid": ("UUID", "from uuid import UUID"),
    "object": ("dict[str, Any]", "from typing import Any"),
    "list[str]": ("list[str]", ""),
    "list[int]": ("list[int]", ""),
    "list[float]": ("list[float]", ""),
    "list[object]": ("list[dict[str, Any]]", "from typing import Any"),
}
# Types whose sample is read as JSON; the others' samples are text that pydantic reads.
_JSON_TYPES = {"int", "float", "bool", "object", "list[str]", "list[int]", "list[float]", "list[object]"}
_READ_FROM_TEXT: dict[str, Any] = {
    "decimal": Decimal,
    "datetime": pydantic.AwareDatetime,
    "date": date,
    "uuid": UUID,
}


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One member of a detail. `sample` is None when none was given."""

    wire_name: str
    type_name: str
    optional: bool = False
    sample: Any = None

    @property
    def name(self) -> str:
        return field_name(self.wire_name)

    @property
    def line(self) -> str:
        """The field's line in the event class."""
        annotation = TYPES[self.type_name][0] + (" | None" if self.optional else "")
        tail = " = None" if self.optional else ""
        options = [f"alias={literal(self.wire_name)}"] if self.name != self.wire_name else []
        options += [f"examples=[{literal(self.sample)}]"] if self.sample is not None else []
        if not options:
            return f"{self.name}: {annotation}{tail}"
        return call(f"{self.name}: Annotated[", [annotation, f"Field({', '.join(options)})"], f"]{tail}", indent=4)


def parse_field(text: str) -> FieldSpec:
    """`name:type`, `name:type?` for one that may be missing, each with `=sample`; a type left out is str.

    Raises GeneratorRefused naming the field, what was found and what was wanted.
    """
    declared, _, sample_text = text.partition("=")
    wire_name, _, type_text = declared.rpartition(":") if ":" in declared else (declared, "", "str")
    optional = type_text.endswith("?")
    type_name = type_text.rstrip("?").strip().lower()
    if not wire_name.strip():
        raise GeneratorRefused(f"field {text!r} has no name", "write it as NAME:TYPE, for example ip-address:str")
    if type_name not in TYPES:
        raise GeneratorRefused(
            f"field {wire_name!r} has the type {type_text!r}",
            f"take one of {', '.join(TYPES)}; a final ? makes it optional",
        )
    sample = _sample(wire_name, type_name, sample_text) if "=" in text else None
    return FieldSpec(wire_name.strip(), type_name, optional, sample)


def parse_fields(texts: Sequence[str]) -> list[FieldSpec]:
    """All fields of an event. Raises GeneratorRefused when two would get the same Python name."""
    specs = [parse_field(text) for text in texts]
    seen: dict[str, str] = {}
    for spec in specs:
        if spec.name in seen:
            raise GeneratorRefused(
                f"fields {seen[spec.name]!r} and {spec.wire_name!r} would both be called {spec.name}"
            )
        seen[spec.name] = spec.wire_name
    # A field with a default must not stand before one without: required ones first, in the order given.
    return sorted(specs, key=lambda spec: spec.optional)


def _sample(wire_name: str, type_name: str, text: str) -> Any:
    wanted = f"wanted a value of type {type_name}"
    try:
        found = msgspec.json.decode(text) if type_name in _JSON_TYPES else text
        if type_name in _READ_FROM_TEXT:
            pydantic.TypeAdapter(_READ_FROM_TEXT[type_name]).validate_python(text)
    except msgspec.DecodeError as error:
        raise GeneratorRefused(f"field {wire_name!r}: sample {text!r} is not JSON ({error}); {wanted}") from error
    except pydantic.ValidationError as error:
        why = error.errors()[0]["msg"]
        raise GeneratorRefused(f"field {wire_name!r}: sample {text!r}: {why}; {wanted}") from error
    return found
