"""Where functions' code lies: below the data folder, or in a folder of the user's.

<function>/<digest>/           the code, unpacked, as workers run it
<function>/.zip-<digest>/      the zip as it was uploaded, for whoever asks for the code
"""

from __future__ import annotations

import asyncio
import base64
import errno
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from busway.clock import Entropy
from busway.errors import InvalidFunction, StorageFull
from busway.function.definitions.package import code_sha256, folder_sha256, pack, unpack
from busway.function.logs import folder_name
from busway.function.record import FunctionRecord

_SCRATCH = ".new-"
_ZIP_FOLDER, _ZIP_NAME = ".zip-", "code.zip"


@dataclass(frozen=True, slots=True)
class Zip:
    """Code as an uploaded zip."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Folder:
    """Code as a folder that is used where it lies (for development)."""

    path: str


Code = Zip | Folder


@dataclass(frozen=True, slots=True)
class Kept:
    """Code that is there: the fields of a function's record about it."""

    code: str
    code_sha256: str
    code_size: int
    live: bool


class CodeStore:
    """Code under `folder`/<function>/. `live_allowed` says whether a folder may be used where it lies."""

    def __init__(
        self, folder: Path, entropy: Entropy, *, live_allowed: bool, sync_tree: Callable[[Path], None]
    ) -> None:
        """`sync_tree` makes a folder and everything below it durable."""
        self._folder, self._entropy, self._live_allowed = folder, entropy, live_allowed
        self._sync_tree = sync_tree

    async def keep(self, function_arn: str, code: Code) -> Kept:
        """Make the code ready to run. Raises `InvalidFunction`, `InvalidPackage`; then nothing is left behind."""
        if isinstance(code, Folder):
            return await asyncio.to_thread(self._keep_folder, code)
        return await asyncio.to_thread(self._keep_zip, self._folder / folder_name(function_arn), code.data)

    async def freeze(self, record: FunctionRecord) -> Kept:
        """The code as it is now, where nothing changes it any more: what a published version runs."""
        if not record.live:
            return Kept(record.code, record.code_sha256, record.code_size, live=False)
        data = await asyncio.to_thread(pack, Path(record.code))
        return await self.keep(record.arn, Zip(data))

    def path(self, record: FunctionRecord) -> Path:
        return Path(record.code) if record.live else self._folder / folder_name(record.arn) / record.code

    async def archive(self, record: FunctionRecord) -> bytes | None:
        """The zip as it was uploaded, or of a folder in use where it lies; None when it is gone."""
        if record.live:
            return await asyncio.to_thread(pack, Path(record.code))
        path = self._archive(self._folder / folder_name(record.arn), record.code) / _ZIP_NAME
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            return None

    async def sweep(self, records: Iterable[FunctionRecord]) -> None:
        """Remove code that no function uses: of deleted functions, of older versions, of a crash half-way."""
        used: set[Path] = set()
        for record in records:
            path = self.path(record)
            used |= {path, self._archive(path.parent, path.name)}
        await asyncio.to_thread(self._sweep, used)

    def _keep_folder(self, code: Folder) -> Kept:
        path = Path(code.path)
        if not self._live_allowed:
            raise InvalidFunction("A folder as code (S3Bucket hot-reload) is for development: unset the access keys")
        if not path.is_absolute() or not path.is_dir():
            raise InvalidFunction(
                f"S3Key is {code.path!r}; with S3Bucket hot-reload, wanted a folder's absolute path"
            )
        return Kept(str(path), folder_sha256(path), 0, live=True)

    def _keep_zip(self, folder: Path, data: bytes) -> Kept:
        digest = code_sha256(data)
        name = base64.b64decode(digest).hex()
        unpack(data, folder / name, self._scratch(folder), self._sync_tree)
        self._keep_archive(folder, name, data)
        return Kept(name, digest, len(data), live=False)

    def _keep_archive(self, folder: Path, name: str, data: bytes) -> None:
        """The zip itself, whole or not at all. Raises `StorageFull`."""
        target, scratch = self._archive(folder, name), self._scratch(folder)
        if target.is_dir():
            return
        try:
            scratch.mkdir(parents=True)
            (scratch / _ZIP_NAME).write_bytes(data)
            self._sync_tree(scratch)
            scratch.rename(target)
            self._sync_tree(target)
        except OSError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            if target.is_dir():
                return
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull(f"no space for the function's code below {folder}") from error
            raise

    def _scratch(self, folder: Path) -> Path:
        return folder / f"{_SCRATCH}{self._entropy.token(8).hex()}"

    def _archive(self, folder: Path, name: str) -> Path:
        return folder / f"{_ZIP_FOLDER}{name}"

    def _sweep(self, used: set[Path]) -> None:
        for function in self._folder.glob("*/"):
            for version in function.iterdir():
                if version not in used:
                    shutil.rmtree(version, ignore_errors=True)
            if not any(function.iterdir()):
                function.rmdir()
