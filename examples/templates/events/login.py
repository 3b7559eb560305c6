"""The event Login, as producers put it and handlers get it."""

from typing import Annotated

from busway import Event
from pydantic import Field


class Login(Event, source="shop", detail_type="Login"):
    location: Annotated[str, Field(examples=["Oslo"])]
    ip_address: Annotated[str | None, Field(alias="ip-address", examples=["10.0.0.1"])] = None
