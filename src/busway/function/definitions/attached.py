"""What hangs on a function, version or alias: settings that make no other revision of it.

Tags, reserved concurrency and what becomes of loops belong to the function; the event invoke config and the policy to
a qualifier of it, "" for the function itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from busway.errors import FunctionConflict, FunctionResourceNotFound, InvalidFunction
from busway.function import record as rules
from busway.function.definitions.books import Books, check_revision
from busway.function.invocation.retry import check_retries
from busway.function.record import LATEST, EventInvoke, FunctionRecord, Policy, qualified
from busway.function.workers.rate import check_rate


class EventInvokeChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller sets of the event invoke config; None leaves it out, an empty destination removes it."""

    retries_max: int | None = None
    age_s_max: int | None = None
    on_success: str | None = None
    on_failure: str | None = None


class Attached:
    """A qualifier is "" for the function itself, which $LATEST stands for too."""

    def __init__(self, books: Books) -> None:
        self._books = books

    # --- the function's own ---

    async def put_concurrency(self, arn: str, reserved: int | None) -> FunctionRecord:
        """Reserve concurrency; None takes the reservation away."""
        record = self._books.need(arn)
        if reserved is not None:
            every = self._books.functions.all()
            others = sum(r.reserved or 0 for r in every if r.scope == record.scope and r.arn != arn)
            if others + reserved > rules.ACCOUNT_CONCURRENCY - rules.UNRESERVED_MIN:
                raise InvalidFunction(
                    "Specified ReservedConcurrentExecutions for function decreases account's "
                    f"UnreservedConcurrentExecution below its minimum value of [{rules.UNRESERVED_MIN}]."
                )
        return await self._books.set(arn, reserved=reserved)

    async def put_recursion(self, arn: str, recursive_loop: str) -> None:
        """`recursive_loop` is "Allow" or "Terminate"."""
        await self._books.set(arn, recursive_loop=recursive_loop)

    async def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        check_rate(tags)
        check_retries(tags)
        await self._books.set(arn, tags={**self._books.need(arn).tags, **tags})

    async def untag(self, arn: str, keys: Iterable[str]) -> None:
        gone, tags = set(keys), self._books.need(arn).tags
        await self._books.set(arn, tags={key: value for key, value in tags.items() if key not in gone})

    # --- the event invoke config ---

    async def put_event_invoke(
        self, arn: str, change: EventInvokeChange, *, merge: bool, qualifier: str = ""
    ) -> EventInvoke:
        """Replace the event invoke config, or merge into it. Raises `InvalidFunction`, `FunctionResourceNotFound`."""
        if all(value is None for value in msgspec.structs.astuple(change)):
            raise InvalidFunction("You must specify at least one of error handling or destination setting.")
        given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
        for side in ("on_success", "on_failure"):
            if side in given:
                given[side] = rules.check_destination(given[side], arn)
        async with self._books.changing:
            self._books.resolve(arn, qualifier)
            before = self.event_invoke(arn, qualifier) if merge else EventInvoke(0.0)
            config = replace(before, **given, modified_at=self._books.clock.now())
            await self._books.event_invokes.put(arn, own(qualifier), config)
        self._books.on_change(arn)
        return config

    def event_invoke_of(self, arn: str, qualifier: str) -> EventInvoke | None:
        """What the dispatcher goes by. As on AWS an alias does not inherit its version's."""
        return self._books.event_invokes.get(arn, own(qualifier))

    def event_invoke(self, arn: str, qualifier: str = "") -> EventInvoke:
        """Raises `FunctionResourceNotFound` when there is none."""
        self._books.need(arn)
        config = self.event_invoke_of(arn, qualifier)
        if config is None:
            name = qualified(arn, qualifier or LATEST)
            raise FunctionResourceNotFound(f"The function {name} doesn't have an EventInvokeConfig")
        return config

    def event_invokes(self, arn: str) -> dict[str, EventInvoke]:
        """All of a function, by qualifier, sorted."""
        self._books.need(arn)
        return dict(sorted(self._books.event_invokes.of(arn).items()))

    async def delete_event_invoke(self, arn: str, qualifier: str = "") -> None:
        async with self._books.changing:
            self.event_invoke(arn, qualifier)
            await self._books.event_invokes.remove(arn, own(qualifier))
        self._books.on_change(arn)

    # --- the policy: kept and shown; Busway does not judge callers by it yet ---

    async def add_statement(
        self, arn: str, statement: dict[str, Any], *, qualifier: str = "", revision: str | None = None
    ) -> None:
        if qualifier == LATEST:
            raise InvalidFunction("We currently do not support adding policies for $LATEST.")
        async with self._books.changing:
            self._check_there(arn, qualifier)
            policy, sid = self._books.policies.get(arn, qualifier), statement["Sid"]
            known = [] if policy is None else policy.statements
            if policy is not None:
                check_revision(policy.revision, revision)
            if any(found["Sid"] == sid for found in known):
                raise FunctionConflict(
                    f"The statement id ({sid}) provided already exists. Please provide a new statement id, "
                    "or remove the existing statement."
                )
            await self._books.policies.put(arn, qualifier, Policy(self._books.revision(), [*known, statement]))

    def policy(self, arn: str, qualifier: str = "") -> Policy:
        """Raises `FunctionResourceNotFound` when there is none."""
        self._check_there(arn, qualifier)
        policy = self._books.policies.get(arn, own(qualifier))
        if policy is None:
            raise FunctionResourceNotFound("The resource you requested does not exist.")
        return policy

    async def remove_statement(self, arn: str, sid: str, *, qualifier: str = "", revision: str | None = None) -> None:
        async with self._books.changing:
            self._check_there(arn, qualifier)
            policy = self._books.policies.get(arn, own(qualifier))
            if policy is None:
                raise FunctionResourceNotFound("No policy is associated with the given resource.")
            check_revision(policy.revision, revision)
            left = [statement for statement in policy.statements if statement["Sid"] != sid]
            if len(left) == len(policy.statements):
                raise FunctionResourceNotFound(f"Statement {sid} is not found in resource policy.")
            if left:
                await self._books.policies.put(arn, own(qualifier), Policy(self._books.revision(), left))
            else:
                await self._books.policies.remove(arn, own(qualifier))

    def _check_there(self, arn: str, qualifier: str) -> None:
        """Raises `FunctionNotFound`; in AWS's words for an alias."""
        if qualifier and qualifier != LATEST and not qualifier.isdigit():
            self._books.need_alias(arn, qualifier)
        else:
            self._books.resolve(arn, qualifier)


def own(qualifier: str) -> str:
    """The qualifier under which things are kept: $LATEST is the function itself."""
    return "" if qualifier == LATEST else qualifier
