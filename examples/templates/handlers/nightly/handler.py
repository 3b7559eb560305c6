"""Runs on a schedule, in UTC: cron(0 2 * * ? *)."""

from busway import ScheduledEvent, handler


@handler(ScheduledEvent, schedule="cron(0 2 * * ? *)", retries=2)
def nightly(event: ScheduledEvent) -> None:
    """Raise to have it tried again, and dead-lettered after the last try."""
    print(f"due at {event.envelope.time:%Y-%m-%d %H:%M}")
