"""The event OrderPlaced, as producers put it and handlers get it."""

from decimal import Decimal
from typing import Annotated

from busway import Event
from pydantic import Field


class OrderPlaced(Event, source="com.example.shop", detail_type="Order Placed"):
    order_id: Annotated[str, Field(alias="order-id", examples=["o-1"])]
    total: Annotated[Decimal, Field(examples=["9.99"])]
