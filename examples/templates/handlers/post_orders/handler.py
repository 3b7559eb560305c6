"""Handles batches of OrderPlaced: up to 100, or those of 5s."""

from busway import batch_handler

from events.order_placed import OrderPlaced


@batch_handler(OrderPlaced, size=100, window="5s", retries=5)
def post_orders(events: list[OrderPlaced]) -> list[OrderPlaced]:
    """Give back the events to try again; raise to have all of them tried again."""
    for event in events:
        print(f"handling {event.envelope.id}: {event.detail_json()}")
    return []
