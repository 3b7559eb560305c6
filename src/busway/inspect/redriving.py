"""Dead letters back to the handler that failed: POST /_busway/redrive, at once or told as it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from busway.arn import Scope
from busway.errors import BuswayError, InvalidQuestion, LetterNotFound, NotEditable
from busway.function.invocation.letters import is_json
from busway.function.logs import Line
from busway.function.mapping.runner import event_id_of
from busway.function.record import parts_of
from busway.inspect.http import Answer, Lines, Request
from busway.inspect.letters import SHOWN_DEFAULT, feeds, listed, pattern_of
from busway.inspect.ports import Inspection
from busway.inspect.work import edited_line
from busway.redrive import DELIVERED, FAILED, DeadLetter, Edit, Outcomes, Redriven, Selection
from busway.redrive.letters import PAGE

# Ours: how long what becomes of it may be waited for, and how large an edited event may be: as one that AWS takes.
WAIT_S_MAX = 3_600.0
EDITED_BYTES_MAX = 1_048_576


class RedriveOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to put back. `function` and `handler` are the same: a name or an ARN.

    `ids` are of events or messages, `matching` is an event pattern, `error` an error's code. `dry_run` lists instead.
    `payload` is what the handler gets instead of what failed, for one letter; `changed` says in words what differs.
    `stream` tells as it goes, and after it what becomes of each letter within `wait_s` seconds.
    """

    function: str | None = None
    handler: str | None = None
    queue: str | None = None
    ids: list[str] | None = None
    all: bool = False
    matching: msgspec.Raw = msgspec.Raw()
    error: str | None = None
    dry_run: bool = False
    payload: str | None = None
    changed: str = ""
    stream: bool = False
    wait_s: float = 0.0

    @property
    def names_nothing(self) -> bool:
        chosen = (self.function, self.handler, self.queue, self.ids, self.pattern, self.error)
        return not self.all and all(one is None for one in chosen)

    @property
    def pattern(self) -> str | None:
        return bytes(self.matching).decode() or None


async def redrive(server: Inspection, request: Request) -> Answer | Lines:
    """Put back what the order names. Raises `InvalidQuestion` for one that names nothing, and `InvalidPattern`."""
    order = request.read(RedriveOrder)
    if order.names_nothing:
        raise InvalidQuestion("redrive what? Name a function, a handler, a queue or ids, or say all: true")
    if not 0 <= order.wait_s <= WAIT_S_MAX:
        raise InvalidQuestion(f"wait_s is {order.wait_s}; wanted 0 to {WAIT_S_MAX:.0f}")
    handler = order.function or order.handler
    selection = Selection(
        handler,
        order.queue,
        set(order.ids) if order.ids is not None else None,
        feeds(server, handler),
        pattern_of(order.pattern),
        order.error,
    )
    if order.dry_run:
        return Answer(await listed(server.redrive.found(request.scope, selection), SHOWN_DEFAULT))
    run = _Run(server, request.scope, selection)
    if order.payload is not None:
        letter = await _to_edit(server, request, selection)
        edit = _edit(letter, order.payload, order.changed)
        run = _Run(server, request.scope, Selection(queue=letter.queue_arn, ids={letter.message_id}), letter, edit)
    if order.stream:
        return Lines(_told(run, order.wait_s))
    return Answer([done async for done in run.steps()][-1])


@dataclass(frozen=True, slots=True)
class _Run:
    """One redrive; with `edit` of the one `letter`."""

    server: Inspection
    scope: Scope
    selection: Selection
    letter: DeadLetter | None = None
    edit: Edit | None = None

    async def steps(self, follow: Outcomes | None = None) -> AsyncGenerator[Redriven]:
        """The sum until now, page by page; see `Redrive.run`."""
        done = Redriven()
        async with aclosing(
            self.server.redrive.run(self.scope, self.selection, edit=self.edit, follow=follow)
        ) as pages:
            async for done in pages:
                yield done
        if done.redriven and self.letter is not None and self.edit is not None:
            _log_edit(self.server, self.letter, self.edit)


async def _told(run: _Run, wait_s: float) -> AsyncGenerator[dict[str, Any]]:
    """Lines by `kind`: "progress" on the way, "letter" for what became of each, "done" with the sum; or "error".

    Who stops reading stops it after a page; what was put back stays so.
    """
    follow = Outcomes(run.server.engine, run.server.clock, run.scope) if wait_s else None
    done, told_of = Redriven(), 0
    try:
        if follow is not None:
            await follow.begin()
        async with aclosing(run.steps(follow)) as steps:
            async for so_far in steps:
                # Of less than a page nobody needs to be told, and at the end the sum is.
                if done.redriven - told_of >= PAGE and so_far.redriven > done.redriven:
                    told_of = done.redriven
                    yield {"kind": "progress", "redriven": told_of}
                done = so_far
        outcomes = await follow.wait(wait_s) if follow is not None and done.redriven else []
    except BuswayError as error:
        yield {"kind": "error", "error": str(error), "hint": error.hint, "redriven": done.redriven}
        return
    counts = Counter(outcome.state for outcome in outcomes)
    for outcome in outcomes:
        yield {"kind": "letter", **msgspec.structs.asdict(outcome)}
    told: dict[str, int] = {}
    if follow is not None:
        told = {"delivered": counts[DELIVERED], "failed": counts[FAILED]}
        told["under_way"] = done.redriven - counts[DELIVERED] - counts[FAILED]
    yield {"kind": "done", **msgspec.structs.asdict(done), **told}


async def _to_edit(server: Inspection, request: Request, selection: Selection) -> DeadLetter:
    """The one letter that is meant. Raises `LetterNotFound`, `InvalidQuestion` for several."""
    letters = await server.redrive.look(request.scope, selection, 2)
    if not letters:
        raise LetterNotFound(", ".join(sorted(selection.ids or ())))
    if len(letters) > 1:
        names = sorted({letter.handler for letter in letters})
        raise InvalidQuestion(
            f"an edit is for one dead letter; here are more, of {', '.join(names)}: name the handler, and the event "
            "or the message"
        )
    return letters[0]


def _edit(letter: DeadLetter, text: str, changed: str) -> Edit:
    """Raises `NotEditable`, `InvalidQuestion` for what cannot stand in for what failed."""
    source, payload = letter.source, text.encode()
    assert source is not None
    if source.kind == "batch":
        raise NotEditable(letter.message_id)
    if len(payload) > EDITED_BYTES_MAX:
        raise InvalidQuestion(f"the edited event has {len(payload)} bytes; wanted at most {EDITED_BYTES_MAX}")
    if not payload or (is_json(source.payload) and not is_json(payload)):
        raise InvalidQuestion("the edited event is no JSON; wanted JSON, as what failed was")
    event_id = event_id_of(source.payload)
    if event_id and event_id_of(payload) != event_id:
        raise InvalidQuestion(
            f"the edited event has the id {event_id_of(payload)!r}; its id stays {event_id!r}, by which `busway why` "
            "finds it"
        )
    return Edit(payload, changed or "the payload")


def _log_edit(server: Inspection, letter: DeadLetter, edit: Edit) -> None:
    """The function's log tells of it, which outlives a restart and stands where the attempts do."""
    source = letter.source
    if source is not None and source.function_arn and source.request_id:
        function, _ = parts_of(source.function_arn, "")
        text, now = edited_line(edit.changed), server.clock.now()
        server.logs.write(Line(function, now, source.request_id, source.event_id, 0, text))
