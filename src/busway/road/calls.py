"""AWS operations as plain data: what a plan is made of, and `deploy` makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Each:
    """The things that a listing gives, in its member `things`; nothing where what it asks for is not there."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    things: str


@dataclass(frozen=True, slots=True)
class Call:
    """One AWS operation. When it answers one of the codes in `exists`, `then` is called instead.

    With `each`, it is made once for each thing there, with that thing's member `named` (if any) as a parameter.
    `after` names a function whose change under way is awaited before the call, `builds` one that is to be well
    after it.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    exists: tuple[str, ...] = ()
    then: tuple[Call, ...] = ()
    each: Each | None = None
    named: str = ""
    after: str = ""
    builds: str = ""
