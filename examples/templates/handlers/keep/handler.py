"""Runs for each EveryType on the bus."""

from busway import handler

from events.every_type import EveryType


@handler(EveryType, retries=2)
def keep(event: EveryType) -> None:
    """Raise to have the event tried again, and dead-lettered after the last try."""
    print(f"handling {event.envelope.id}: {event.detail_json()}")
