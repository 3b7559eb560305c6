"""The event CustomerNotification, as producers put it and handlers get it."""

from typing import Annotated

from busway import Event
from pydantic import Field


class CustomerNotification(
    Event, source="com.benlimmer.Monolith", detail_type="Customer Notification"
):
    notification: Annotated[str, Field(examples=["unrecognized-login"])]
    ip_address: Annotated[str, Field(alias="ip-address", examples=["1.2.3.4"])]
    location: Annotated[str, Field(examples=["Denver, Colorado, USA"])]
