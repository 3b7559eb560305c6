"""Runs for each OrderPlaced on the bus."""

from busway import handler

from events.order_placed import OrderPlaced


@handler(OrderPlaced, retries=2)
async def count(event: OrderPlaced) -> None:
    """Raise to have the event tried again, and dead-lettered after the last try."""
    print(f"handling {event.envelope.id}: {event.detail_json()}")
