"""The function URLs that there are: one a function, and one an alias."""

from __future__ import annotations

from msgspec.structs import replace

from busway.errors import FunctionConflict, FunctionNotFound, FunctionResourceNotFound
from busway.function.definitions.books import Books
from busway.function.definitions.url import ID_CHARS, Cors, FunctionUrl, url_id
from busway.function.record import qualified


class FunctionUrls:
    """By function and alias, "" for the function itself; and by id."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def find(self, identity: str) -> FunctionUrl | None:
        """The URL of that id."""
        return next((url for url in self._books.urls.all() if url.id == identity), None)

    def of(self, arn: str) -> list[FunctionUrl]:
        """All of a function, its own first, then by alias. Raises `FunctionNotFound`."""
        self._books.need(arn)
        return [url for _, url in sorted(self._books.urls.of(arn).items())]

    def need(self, arn: str, alias: str) -> FunctionUrl:
        """Raises `FunctionResourceNotFound`."""
        found = self._books.urls.get(arn, alias)
        if found is None:
            raise FunctionResourceNotFound("The resource you requested does not exist.")
        return found

    async def create(self, arn: str, alias: str, auth_type: str, cors: Cors | None) -> FunctionUrl:
        """Raises `FunctionConflict` when there is one, `FunctionNotFound`."""
        async with self._books.changing:
            self._books.need(arn)
            if alias and self._books.aliases.get(arn, alias) is None:
                raise FunctionNotFound(qualified(arn, alias))
            if self._books.urls.get(arn, alias) is not None:
                raise FunctionConflict(
                    f"Failed to create function url config for [functionArn = {qualified(arn, alias)}]. "
                    "Error message:  FunctionUrlConfig exists for this Lambda function"
                )
            now = self._books.clock.now()
            url = FunctionUrl(
                id=url_id(self._books.entropy.token(ID_CHARS)), arn=arn, qualifier=alias, auth_type=auth_type,
                created_at=now, modified_at=now, cors=cors,
            )  # fmt: skip
            await self._books.urls.put(arn, alias, url)
        return url

    async def update(self, arn: str, alias: str, auth_type: str | None, cors: Cors | None) -> FunctionUrl:
        """None leaves it as it is."""
        async with self._books.changing:
            before = self.need(arn, alias)
            url = replace(
                before,
                auth_type=before.auth_type if auth_type is None else auth_type,
                cors=before.cors if cors is None else cors,
                modified_at=self._books.clock.now(),
            )
            await self._books.urls.put(arn, alias, url)
        return url

    async def delete(self, arn: str, alias: str) -> None:
        async with self._books.changing:
            self.need(arn, alias)
            await self._books.urls.remove(arn, alias)
