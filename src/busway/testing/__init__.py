"""Fixtures for tests of handlers, loaded by pytest through the `busway` plugin.

def test_it(event: MakeEvent, sent_mail: SentMail) -> None:
    customer_notification(event(CustomerNotification, location="Oslo"))
    assert sent_mail[0].to == ["user@example.com"]

def test_it_is_tried_again(bus: LocalBus, event: MakeEvent) -> None:
    bus.put(event(CustomerNotification))
    bus.clock.advance("1m")
    assert len(bus.attempts(customer_notification)) == 2

def test_a_batch_goes_when_its_window_is_over(bus: LocalBus, event: MakeEvent) -> None:
    bus.put(event(OrderPlaced))
    bus.clock.advance("5s")
    assert len(bus.handled(post_orders)) == 1
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from busway.testing.attempts import Attempt as Attempt, Letter as Letter
    from busway.testing.lambda_batch import batch_of as batch_of
    from busway.testing.local_bus import LocalBus as LocalBus
    from busway.testing.matching import events_matching as events_matching

# Who tests in another language needs no pytest, and asks for the bus alone.
if TYPE_CHECKING or find_spec("pytest") is not None:
    from busway.testing.fixtures import (
        Mail as Mail,
        MakeEvent as MakeEvent,
        SentMail as SentMail,
        bus as bus,
        event as event,
        mail_endpoint as mail_endpoint,
        nothing_done_before as nothing_done_before,
        sent_mail as sent_mail,
    )
    from busway.testing.real_server import (
        BuswayServer as BuswayServer,
        busway_server as busway_server,
        busway_server_url as busway_server_url,
    )

# The bus is a tenth of a second of imports, for tests that want none of it.
_WHEN_ASKED = {
    "Attempt": "busway.testing.attempts",
    "Letter": "busway.testing.attempts",
    "LocalBus": "busway.testing.local_bus",
    "batch_of": "busway.testing.lambda_batch",
    "events_matching": "busway.testing.matching",
}


def __getattr__(name: str) -> object:
    if name in _WHEN_ASKED:
        return getattr(import_module(_WHEN_ASKED[name]), name)
    raise AttributeError(f"module 'busway.testing' has no attribute {name!r}")
