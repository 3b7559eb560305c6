"""What is uploaded as a function's code: a zip, unpacked so that nothing it says can harm.

The central directory is checked before the first byte is written, then real bytes are counted while they are
written, because the sizes that a zip states are the sender's word. Extraction goes to a fresh folder that is renamed
when it is whole; a refused zip leaves nothing behind.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from busway.errors import InvalidFunction, InvalidPackage, StorageFull

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (unzipped, layers included)
UNPACKED_BYTES_MAX = 262_144_000
# Ours: what a package of a function never needs, and a bomb does.
FILES_MAX = 10_000
RATIO_MAX = 100
RATIO_FREE_BYTES = 1_048_576
PATH_CHARS_MAX = 1_024

_CHUNK = 65_536
_ENTRY_MARK = b"PK\x01\x02"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FOLDER_FILES_MAX = 10_000
# The earliest time that a zip can hold: the same for all, so that only bytes and names make a difference.
_PACKED_AT = (1980, 1, 1, 0, 0, 0)


def code_sha256(data: bytes) -> str:
    """AWS's CodeSha256: the digest in base64."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def unpack(data: bytes, target: Path, scratch: Path, sync_tree: Callable[[Path], None]) -> None:
    """Unpack the zip into `target`, which is there afterwards, whole, or not at all.

    `scratch` is a folder name on the same file system, not in use by anyone else. A `target` that is there already
    holds the same bytes (it is named by their digest) and is left alone. `sync_tree` makes a folder durable: what is
    in it before it gets its name, and the name before the caller may promise anything. Raises `InvalidPackage`,
    `StorageFull`.
    """
    if target.is_dir():
        sync_tree(target)
        return
    archive = _open(data)
    names = _checked_names(archive)
    scratch.mkdir(parents=True)
    try:
        _extract(archive, names, scratch, min(UNPACKED_BYTES_MAX, max(RATIO_FREE_BYTES, len(data) * RATIO_MAX)))
        target.parent.mkdir(parents=True, exist_ok=True)
        sync_tree(scratch)
        scratch.rename(target)
        sync_tree(target)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        if target.is_dir():
            return
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"no space for the function's code below {target.parent}") from error
        raise InvalidPackage(f"it can't be written as files: {error.strerror}") from error
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def folder_sha256(folder: Path) -> str:
    """As `code_sha256` for a folder of code: of the names, sizes and times of its files, not of their bytes."""
    digest = hashlib.sha256(str(folder).encode())
    seen = 0
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(files):
            seen += 1
            if seen > _FOLDER_FILES_MAX:
                return base64.b64encode(digest.digest()).decode()
            found = (Path(root) / name).lstat()
            digest.update(f"{root}/{name} {found.st_size} {found.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return base64.b64encode(digest.digest()).decode()


def pack(folder: Path) -> bytes:
    """The folder as a zip, the same bytes for the same files. Without hidden folders and Python's caches.

    Raises `InvalidFunction` when it is larger than a function's code may be, or its files can't be read.
    """
    buffer, left = io.BytesIO(), UNPACKED_BYTES_MAX
    try:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in _files(folder):
                data = path.read_bytes()
                left -= len(data)
                if left < 0:
                    raise InvalidFunction(f"{folder} holds more than {UNPACKED_BYTES_MAX} bytes")
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _PACKED_AT)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (stat.S_IFREG | (0o755 if path.stat().st_mode & 0o111 else 0o644)) << 16
                archive.writestr(entry, data)
    except OSError as error:
        raise InvalidFunction(f"{folder} can't be read as code: {error}") from error
    return buffer.getvalue()


def _files(folder: Path) -> Iterator[Path]:
    """Its plain files, in the order of their paths."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        yield from (Path(root) / name for name in sorted(files) if (Path(root) / name).is_file())


def _open(data: bytes) -> zipfile.ZipFile:
    # Counted first: opening builds an object for each entry, which a small zip can make very many.
    if data.count(_ENTRY_MARK) > 10 * FILES_MAX:
        raise InvalidPackage(f"it holds more than {FILES_MAX} files")
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError) as error:
        raise InvalidPackage(f"it is no zip file: {error}") from error


def _checked_names(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The entries by cleaned path; raises for the first one that is no plain file or folder inside the package."""
    entries = archive.infolist()
    if len(entries) > FILES_MAX:
        raise InvalidPackage(f"it holds {len(entries)} files; wanted at most {FILES_MAX}")
    names: dict[str, zipfile.ZipInfo] = {}
    folded: dict[str, str] = {}
    for entry in entries:
        name = _clean(entry)
        if name.casefold() in folded:
            raise InvalidPackage(f"{name!r} is there twice (also as {folded[name.casefold()]!r})")
        folded[name.casefold()] = name
        names[name] = entry
    if not any(not entry.is_dir() for entry in names.values()):
        raise InvalidPackage("it holds no file")
    if sum(entry.file_size for entry in entries) > UNPACKED_BYTES_MAX:
        raise InvalidPackage(f"unpacked it is larger than {UNPACKED_BYTES_MAX} bytes")
    return names


def _clean(entry: zipfile.ZipInfo) -> str:
    """The entry's path, checked. zipfile itself cuts names at NUL and drops `..`: what it was given counts here."""
    given = entry.orig_filename
    parts = given.removesuffix("/").split("/")
    if "\0" in given or "\\" in given or given.startswith("/") or ":" in parts[0]:
        raise InvalidPackage(f"{given!r} is no relative path")
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidPackage(f"{given!r} does not stay inside the package")
    if len(given) > PATH_CHARS_MAX or any(len(part.encode()) > 255 for part in parts):
        raise InvalidPackage(f"the path {given[:60]!r}… is too long")
    if entry.flag_bits & 0x1:
        raise InvalidPackage(f"{given!r} is encrypted")
    if entry.compress_type not in _METHODS:
        raise InvalidPackage(f"{given!r} is packed by method {entry.compress_type}; wanted stored or deflated")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR) > entry.is_dir():
        raise InvalidPackage(f"{given!r} is no plain file or folder")
    return "/".join(parts)


def _extract(archive: zipfile.ZipFile, names: dict[str, zipfile.ZipInfo], scratch: Path, bytes_max: int) -> None:
    left = bytes_max
    for name, entry in names.items():
        path = scratch / name
        if entry.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        # Group and others may read and run what the packer could: workers may run as another user one day.
        mode = 0o755 if (entry.external_attr >> 16) & 0o111 else 0o644
        try:
            with (
                archive.open(entry) as source,
                open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out,
            ):
                while chunk := source.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise InvalidPackage(f"unpacked it is larger than {bytes_max} bytes")
                    out.write(chunk)
        except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError) as error:
            raise InvalidPackage(f"{name!r} is broken: {error}") from error
