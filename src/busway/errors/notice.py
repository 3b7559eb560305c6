"""What reaches a person: mail, alarms, alerts."""

from __future__ import annotations

from busway.errors.root import BuswayError


class InvalidMail(BuswayError):
    """An email that cannot be sent as asked: an address, a header or a part is wrong or missing."""


class MailRefused(BuswayError):
    """The SMTP server refused the email for good; sending it again will not help."""


class MailServerUnavailable(BuswayError):
    """The SMTP server did not answer, or refused for now; the email was not sent."""


class AlarmNotFound(BuswayError):
    """No alarm of that name."""

    def __init__(self, arn: str) -> None:
        super().__init__(f"alarm {arn} does not exist")
        self.arn = arn


class InvalidAlarm(BuswayError):
    """An alarm's settings contradict each other or are out of their range."""


class AlarmFeatureNotBuilt(BuswayError):
    """CloudWatch has it, Busway has not yet."""


class InvalidRoute(BuswayError):
    """An alert route with a name, kind or URL that cannot be used."""


class RouteNotFound(BuswayError):
    """No alert route of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"alert route {name!r} does not exist")
        self.name = name
        self.hint = "busway alert set NAME --kind slack --secret makes one"
