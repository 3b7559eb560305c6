"""Published versions of functions, which never change, and aliases, which name one of them.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
"""

from __future__ import annotations

from msgspec.structs import replace

from busway.errors import FunctionConflict, FunctionNotFound, FunctionNotReady, InvalidFunction
from busway.function.definitions.books import Books, check_at_rest, check_revision
from busway.function.definitions.code_store import CodeStore
from busway.function.record import ACTIVE, FAILED, LATEST, PENDING, Alias, FunctionRecord, qualified


class Versions:
    """The versions of every function, by number as text."""

    def __init__(self, books: Books, store: CodeStore) -> None:
        self._books, self._store = books, store

    def of(self, arn: str) -> list[FunctionRecord]:
        """The function itself, then its versions, oldest first. Raises `FunctionNotFound`."""
        record = self._books.need(arn)
        return [record, *sorted(self._books.versions.of(arn).values(), key=lambda found: int(found.version))]

    async def publish(
        self, arn: str, *, description: str | None = None, code_sha256: str | None = None,
        revision: str | None = None, building: bool = False,
    ) -> FunctionRecord:  # fmt: skip
        """A version of the function as it is now; the newest one when nothing changed since.

        With `building` also of one that is still being built: the version waits with it. Raises `FunctionConflict`
        otherwise, `InvalidFunction` for another `code_sha256` than the function's, `RevisionMismatch`.
        """
        record = self._books.need(arn)
        check_revision(record.shown.revision, revision)
        if code_sha256 is not None and code_sha256 != record.shown.code_sha256:
            raise InvalidFunction(
                f"CodeSHA256 ({code_sha256}) is different from current CodeSHA256 in $LATEST "
                f"({record.shown.code_sha256}). Please try again with the CodeSHA256 in $LATEST."
            )
        kept = await self._store.freeze(record.shown)
        async with self._books.changing:
            now = self._books.need(arn)
            check_revision(now.shown.revision, record.shown.revision)
            if now.state == FAILED:
                raise FunctionNotReady(now.state, now.failure)
            if not building:
                check_at_rest(now)
            waits = now.state == PENDING or now.update is not None
            version = replace(
                now.shown, version=str(now.published + 1), revision=self._books.revision(), live=False,
                code=kept.code, code_sha256=kept.code_sha256, code_size=kept.code_size,
                state=PENDING if waits else now.state, update=None, published=0, tags={}, reserved=None,
                description=now.shown.description if description is None else description,
            )  # fmt: skip
            newest = self.of(arn)[-1]
            if newest.version != LATEST and _content(newest) == _content(version):
                return newest
            # Counted first: a number is never used twice, whenever the server ends.
            await self._books.put(replace(now, published=now.published + 1))
            await self._books.put_version(version)
        return version

    async def delete(self, arn: str, number: str) -> None:
        """Also when there is none of that number. Raises `FunctionConflict` while an alias names it."""
        self._books.need(arn)
        if number == LATEST:
            raise InvalidFunction("$LATEST version cannot be deleted without deleting the function.")
        if self._books.aliases.get(arn, number) is not None:
            raise InvalidFunction(f"{qualified(arn, number)} is an alias: delete it with DeleteAlias")
        async with self._books.changing:
            users = sorted(a.name for a in self._books.aliases.of(arn).values() if a.version == number)
            if users:
                names = ", ".join(users)
                raise FunctionConflict(f"Version {number} of {arn} can't be deleted: alias {names} points to it")
            if await self._books.versions.remove(arn, number):
                for shelf in (self._books.event_invokes, self._books.policies):
                    await shelf.remove(arn, number)
                self._books.on_change(arn)


class Aliases:
    """The aliases of every function."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def of(self, arn: str, version: str | None = None) -> list[Alias]:
        """By name; those of one version if it is given. Raises `FunctionNotFound`."""
        self._books.need(arn)
        found = [a for a in self._books.aliases.of(arn).values() if version in (None, a.version)]
        return sorted(found, key=lambda alias: alias.name)

    def need(self, arn: str, name: str) -> Alias:
        """Raises `FunctionNotFound`, `FunctionAliasNotFound`."""
        return self._books.need_alias(arn, name)

    async def create(self, arn: str, name: str, version: str, description: str) -> Alias:
        """Raises `FunctionConflict` when there is one, `FunctionNotFound` for a version that is not there."""
        if name.isdigit():
            raise InvalidFunction(f"{name} is no name of an alias: it would be a version")
        async with self._books.changing:
            self._check_version(arn, version)
            if self._books.aliases.get(arn, name) is not None:
                raise FunctionConflict(f"Alias already exists: {qualified(arn, name)}")
            alias = Alias(
                arn=arn, name=name, version=version, description=description, revision=self._books.revision()
            )
            await self._books.aliases.put(arn, name, alias)
        self._books.on_change(arn)
        return alias

    async def update(
        self, arn: str, name: str, *, version: str | None, description: str | None, revision: str | None
    ) -> Alias:
        """Point it elsewhere: invocations that begin after the return run the new version."""
        async with self._books.changing:
            before = self.need(arn, name)
            check_revision(before.revision, revision)
            if version is not None:
                self._check_version(arn, version)
            alias = replace(
                before,
                version=before.version if version is None else version,
                description=before.description if description is None else description,
                revision=self._books.revision(),
            )
            await self._books.aliases.put(arn, name, alias)
        self._books.on_change(arn)
        return alias

    async def delete(self, arn: str, name: str) -> None:
        """With what hangs on it. Also when there is none of that name."""
        async with self._books.changing:
            self._books.need(arn)
            books = self._books
            for shelf in (books.aliases, books.urls, books.event_invokes, books.policies):
                await shelf.remove(arn, name)
        self._books.on_change(arn)

    def _check_version(self, arn: str, version: str) -> None:
        self._books.need(arn)
        if version != LATEST and self._books.versions.get(arn, version) is None:
            raise FunctionNotFound(qualified(arn, version))


def _content(record: FunctionRecord) -> FunctionRecord:
    """What makes two versions the same, everything else left out."""
    return replace(
        record, version="", description="", revision="", modified_at=0.0, state=ACTIVE, built=None, failure="",
        update=None, published=0, tags={}, reserved=None, recursive_loop="", live=False, code="", code_size=0,
    )  # fmt: skip
