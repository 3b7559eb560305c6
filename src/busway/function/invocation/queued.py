"""The row that makes an asynchronous invocation, put by whoever has a promise to keep: rule, client, redrive."""

from __future__ import annotations

import msgspec

from busway.engine import Origin, Put
from busway.function.definitions.books import Books
from busway.function.invocation.letters import Work
from busway.function.record import parts_of


class Queued:
    """Makes the work of functions that are in the books."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def invocation_put(
        self, function_arn: str, payload: bytes, *, request_id: str, now: float, event_id: str | None = None,
        bus_arn: str | None = None, rule_arn: str | None = None, trace_header: str | None = None,
        origin: Origin | None = None, qualifier: str = "", reports: bool = False, again: bool = False,
        letters_to: str = "", mapping: str = "", anew: bool = False, edited: str = "",
    ) -> Put:  # fmt: skip
        """The work of an asynchronous invocation. Raises `FunctionNotFound`; what it may hold, the caller checks.

        The ARN may have the qualifier in it. `reports`: it is a batch, whose handler may answer that it failed.
        `anew`: somebody wants it handled though it may have been. `again`: it is a redriven dead letter, which goes
        to the queue `letters_to`, if given, when it fails again; `edited` names what was changed of it.
        """
        function_arn, qualifier = parts_of(function_arn, qualifier)
        self._books.resolve(function_arn, qualifier)
        work = Work(
            request_id=request_id, received_at=now, event_id=event_id or "", bus_arn=bus_arn or "",
            rule_arn=rule_arn or "", trace_header=trace_header or "", qualifier=qualifier, reports=reports,
            again=again, letters_to=letters_to, mapping=mapping, anew=anew, edited=edited,
        )  # fmt: skip
        return Put(function_arn, payload, now, msgspec.json.encode(work), origin)
