"""Sends an email for each CustomerNotification on the bus."""

from functools import cache
from typing import Any

import boto3
from busway import handler

from events.customer_notification import CustomerNotification

SENDER = "notifications@example.com"


@cache
def mail() -> Any:
    return boto3.client("sesv2")  # pyright: ignore -- boto3 ships no types


@handler(
    CustomerNotification, retries=2, permissions={"ses:SendEmail": "arn:aws:ses:*:*:identity/*"}
)
def notify_customer(event: CustomerNotification) -> None:
    """Raise to have the event tried again, and dead-lettered after the last try."""
    detail = event.model_dump(by_alias=True)
    text = "\n".join(f"{name}: {value}" for name, value in detail.items())
    mail().send_email(
        FromEmailAddress=SENDER,
        Destination={"ToAddresses": [event.envelope.resources[0]]},
        Content={
            "Simple": {
                "Subject": {"Data": event.event_detail_type},
                "Body": {"Text": {"Data": text}},
            }
        },
    )
