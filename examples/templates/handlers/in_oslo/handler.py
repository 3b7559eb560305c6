"""Runs for each Login on the bus."""

from busway import handler

from events.login import Login


@handler(
    Login,
    retries=0,
    max_age="1h",
    timeout="1m",
    memory_mb=512,
    rate="10/s",
    concurrency=4,
    secrets=["STRIPE_KEY"],
    alert="pagerduty",
    filter={"location": [{"prefix": "Oslo"}], "ip-address": [{"cidr": "10.0.0.0/8"}]},
)
def in_oslo(event: Login) -> None:
    """Raise to have the event tried again, and dead-lettered after the last try."""
    print(f"handling {event.envelope.id}: {event.detail_json()}")
