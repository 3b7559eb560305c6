"""The event EveryType, as producers put it and handlers get it."""

from datetime import date as Date
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from busway import Event
from pydantic import AwareDatetime, Field


class EveryType(Event, source='com."Shop"', detail_type="Every Type"):
    a_str: Annotated[str, Field(alias="a-str")]
    a_int: Annotated[int, Field(alias="a-int")]
    a_float: Annotated[float, Field(alias="a-float")]
    a_bool: Annotated[bool, Field(alias="a-bool")]
    a_decimal: Annotated[Decimal, Field(alias="a-decimal")]
    a_datetime: Annotated[AwareDatetime, Field(alias="a-datetime")]
    a_date: Annotated[Date, Field(alias="a-date")]
    a_uuid: Annotated[UUID, Field(alias="a-uuid")]
    a_object: Annotated[dict[str, Any], Field(alias="a-object")]
    a_list_str: Annotated[list[str], Field(alias="a-list[str]")]
    a_list_int: Annotated[list[int], Field(alias="a-list[int]")]
    a_list_float: Annotated[list[float], Field(alias="a-list[float]")]
    a_list_object: Annotated[list[dict[str, Any]], Field(alias="a-list[object]")]
