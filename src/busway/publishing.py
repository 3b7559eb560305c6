"""Put events on a bus from a program: checked first, ten at a time, and only what failed once more.

    publish(CustomerNotification(...), InvoicePaid(...))

Light: botocore is imported when something is sent, no server part ever. It keeps no order among events, and nothing
that was not sent when the program ends.
"""

from __future__ import annotations

import importlib
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from busway.errors import EventTooLarge, PublishFailed, Refusal

if TYPE_CHECKING:
    from busway.event import Event

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
ENTRIES_MAX = 10
TOTAL_BYTES_MAX = 1_048_576
TIME_BYTES = 14
# Ours: how often an entry is sent, after what botocore does by itself for a request, and the longest pause between.
ATTEMPTS_MAX = 5
PAUSE_S, PAUSE_S_MAX = 0.1, 2.0
# What another attempt may mend. https://docs.aws.amazon.com/eventbridge/latest/APIReference/CommonErrors.html
AGAIN = frozenset(
    (
        "InternalFailure",
        "InternalException",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
    )
)

Entry = Mapping[str, Any]
Sleep = Callable[[float], None]


@dataclass(slots=True)
class _Sending:
    """One entry with its size in bytes, and what became of it so far."""

    entry: Entry
    size: int
    event_id: str | None = None
    code: str = ""
    reason: str = ""
    again: bool = True

    def failed(self, code: str, reason: str, again: bool) -> None:
        self.code, self.reason, self.again = code, reason, again


def publish(*events: Event | Entry, bus: str = "default", client: Any = None, sleep: Sleep = time.sleep) -> list[str]:
    """Put events on the bus; their ids, in the order given.

    Each is a typed event, or an entry as boto3's `put_events` takes it (its own EventBusName wins over `bus`).
    `client` is a boto3 `events` client; without one a client is made from the environment (AWS_ENDPOINT_URL,
    credentials, region).

    Raises `EventTooLarge` before anything is sent, and `PublishFailed`, which says of each event what became of it,
    after everything else was sent and what may be mended by another attempt was tried again.
    """
    sendings = [_Sending(entry, _entry_bytes(entry)) for entry in (_entry(event, bus) for event in events)]
    for sending in sendings:
        if sending.size > TOTAL_BYTES_MAX:
            raise EventTooLarge(str(sending.entry.get("DetailType")), sending.size, TOTAL_BYTES_MAX)
    if sendings:
        client = client if client is not None else _new_client()
        _send_all(client, _batches(sendings), sleep)
    refused = [
        Refusal.of(sending.entry, sending.code, sending.reason, place)
        for place, sending in enumerate(sendings)
        if sending.event_id is None
    ]
    if refused:
        raise PublishFailed(refused, [sending.event_id for sending in sendings])
    return [sending.event_id or "" for sending in sendings]


def _new_client() -> Any:
    # boto3 itself stands on botocore, so this works with or without boto3 installed.
    session = importlib.import_module("botocore.session").get_session()
    # botocore alone of all SDKs does not read AWS_REGION.
    region = session.get_config_variable("region") or os.environ.get("AWS_REGION")
    return session.create_client("events", region_name=region)


def _entry_bytes(entry: Entry) -> int:
    """The size of an entry by AWS's formula."""
    texts = (entry.get("Source"), entry.get("DetailType"), entry.get("Detail"), *(entry.get("Resources") or ()))
    return sized(texts, timed=entry.get("Time") is not None)


def sized(texts: Iterable[str | None], *, timed: bool) -> int:
    """The bytes that an entry counts with: names of buses and trace headers do not.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html
    """
    return (TIME_BYTES if timed else 0) + sum(len((text or "").encode("utf-8", "surrogatepass")) for text in texts)


def _batches(sendings: Sequence[_Sending]) -> Iterator[list[_Sending]]:
    """In order, each as many as one call takes."""
    batch: list[_Sending] = []
    size = 0
    for sending in sendings:
        if batch and (len(batch) == ENTRIES_MAX or size + sending.size > TOTAL_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(sending)
        size += sending.size
    if batch:
        yield batch


def _entry(event: Event | Entry, bus: str) -> Entry:
    if isinstance(event, Mapping):
        return {"EventBusName": bus, **event}
    if not hasattr(event, "to_entry"):
        raise TypeError(
            f"publish was given a {type(event).__name__}; wanted events, each an argument: publish(*events)"
        )
    return event.to_entry(bus=bus)


def _send_all(client: Any, all_batches: Iterator[list[_Sending]], sleep: Sleep) -> None:
    """Batch after batch; once nobody answers any more the others are not tried."""
    for batch in all_batches:
        unheard = _send(client, batch, sleep)
        if unheard is not None:
            for rest in all_batches:
                for sending in rest:
                    sending.failed(unheard.code, f"not sent: {unheard.reason}", False)


def _send(client: Any, batch: list[_Sending], sleep: Sleep) -> _Sending | None:
    """Until every entry has an id, was refused for good, or ran out of attempts.

    Gives one of those whose last attempt nobody answered, if that is how it ended.
    """
    pending, heard = batch, True
    for attempt in range(ATTEMPTS_MAX):
        if attempt:
            # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
            sleep(random.uniform(0, min(PAUSE_S_MAX, PAUSE_S * 2**attempt)))
        heard = _attempt(client, pending)
        pending = [sending for sending in pending if sending.event_id is None and sending.again]
        if not pending:
            break
    return None if heard else pending[0]


def _attempt(client: Any, batch: list[_Sending]) -> bool:
    """Whether somebody answered."""
    exceptions = importlib.import_module("botocore.exceptions")
    try:
        answer = cast(dict[str, Any], client.put_events(Entries=[dict(sending.entry) for sending in batch]))
    except exceptions.ClientError as error:
        told = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(told.get("Code", "Unknown"))
        for sending in batch:
            sending.failed(code, str(told.get("Message", error)), code in AGAIN or status >= 500)
        return True
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        for sending in batch:
            sending.failed(type(error).__name__, str(error), True)
        return False
    for sending, result in zip(batch, answer["Entries"], strict=True):
        if "EventId" in result:
            sending.event_id = str(result["EventId"])
        else:
            code = str(result.get("ErrorCode"))
            sending.failed(code, str(result.get("ErrorMessage")), code in AGAIN)
    return True
