"""SES v2 at the door: SendEmail. What mail is and where it goes is in `mail`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.aws.errors import AwsError
from busway.aws.service import Caller, Operation
from busway.mail.compose import Letter, Recipients
from busway.mail.mailer import Mailer

Answer = dict[str, Any]


class SesV2:
    """Sending. A mail server that is down or refuses is a 400, which no SDK retries by itself: the caller's own
    retry decides, at once (`MessageRejected` for good, `SendingPausedException` for now)."""

    name = "sesv2"

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer
        self.operations: Mapping[str, Operation] = {"SendEmail": self.send_email}
        self.partial: Mapping[str, str] = {
            "SendEmail": "Simple and Raw content; no templates, no attachments in Simple content; identities, "
            "configuration sets, tags and list management are not looked at",
        }

    async def send_email(self, request: Answer, caller: Caller) -> Answer:
        content: Answer = request["Content"]
        given = [kind for kind in ("Simple", "Raw", "Template") if content.get(kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise AwsError("BadRequestException", f"Content: found {found}; wanted exactly one of Simple and Raw.")
        if given == ["Template"]:
            raise AwsError("BadRequestException", "Templates are not built yet: send Simple or Raw content.")
        sender = request.get("FromEmailAddress")
        destination: Answer = request.get("Destination") or {}
        recipients = Recipients(
            destination.get("ToAddresses") or (),
            destination.get("CcAddresses") or (),
            destination.get("BccAddresses") or (),
        )
        if given == ["Raw"]:
            return {"MessageId": await self._mailer.send_raw(content["Raw"]["Data"], sender, recipients)}
        if not sender:
            raise AwsError("BadRequestException", "FromEmailAddress is missing: Simple content needs it.")
        letter = _letter(content["Simple"], sender, recipients, request.get("ReplyToAddresses") or ())
        return {"MessageId": await self._mailer.send(letter)}


def _letter(simple: Answer, sender: str, recipients: Recipients, reply_to: list[str] | tuple[()]) -> Letter:
    if simple.get("Attachments"):
        raise AwsError("BadRequestException", "Attachments in Simple content are not built yet: send Raw content.")
    # Charset names how SES encodes a part on its way; UTF-8 carries everything, so it is always that here.
    body: Answer = simple["Body"]
    return Letter(
        sender,
        recipients,
        simple["Subject"]["Data"],
        text=_data(body.get("Text")),
        html=_data(body.get("Html")),
        reply_to=reply_to,
        headers=[(header["Name"], header["Value"]) for header in simple.get("Headers") or ()],
    )


def _data(part: Answer | None) -> str | None:
    return None if part is None else part["Data"]
