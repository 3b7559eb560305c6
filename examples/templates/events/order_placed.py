"""The event OrderPlaced, as producers put it and handlers get it."""

from decimal import Decimal

from busway import Event


class OrderPlaced(Event, source="shop", detail_type="Order Placed"):
    total: Decimal
