import pytest
from busway.errors import EventMismatch
from busway.testing import LocalBus, MakeEvent, SentMail

from events.customer_notification import CustomerNotification
from handlers.notify_customer.handler import notify_customer


def test_the_email_goes_to_whom_the_event_names(event: MakeEvent, sent_mail: SentMail) -> None:
    sample = event(CustomerNotification)
    notify_customer(sample)
    assert sent_mail[0].to == list(sample.envelope.resources)
    assert sent_mail[0].subject == CustomerNotification.event_detail_type


def test_a_refused_email_is_tried_again_and_then_kept(
    bus: LocalBus, event: MakeEvent, sent_mail: SentMail
) -> None:
    sent_mail.refuse()
    bus.put(event(CustomerNotification))
    bus.clock.advance("5m")
    assert len(bus.attempts(notify_customer)) == 3
    letters = bus.dead_letters(notify_customer)
    assert [letter.error_code for letter in letters] == ["MessageRejected"]


def test_an_email_that_is_taken_later_leaves_no_dead_letter(
    bus: LocalBus, event: MakeEvent, sent_mail: SentMail
) -> None:
    sent_mail.refuse()
    bus.put(event(CustomerNotification))
    sent_mail.accept()
    bus.clock.advance("5m")
    assert len(sent_mail) == 1
    assert bus.dead_letters(notify_customer) == []


def test_an_event_that_does_not_fit_is_refused(event: MakeEvent) -> None:
    sample = event(CustomerNotification)
    raw = {**sample.envelope.raw, "detail": "nonsense"}
    with pytest.raises(EventMismatch, match="does not fit"):
        notify_customer(raw, None)
