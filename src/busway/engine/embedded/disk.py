"""The port to the disk: free space, the lock of the data folder, syncing a folder, the ballast file.

SQLite writes and syncs its own files; whatever else must reach the disk goes through here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

from busway.errors import DataInUse

LOCK_NAME = "lock"
BALLAST_NAME = "ballast"
_ZEROS = bytes(1 << 20)


class Disk:
    """The data folder as files. Every method may raise OSError; none retries."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock_file: int | None = None

    def make_folder(self) -> None:
        """Create the folder, for its owner alone: queued events may hold anything."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)

    def lock(self) -> None:
        """Hold the folder until `unlock` or the end of the process. Raises `DataInUse` naming the holder."""
        handle = os.open(self.folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(handle, 32, 0).decode(errors="replace").strip()
            os.close(handle)
            raise DataInUse(
                f"data folder {self.folder} is held by process {pid or '(unknown)'}; one server at a time can have it"
            ) from None
        os.ftruncate(handle, 0)
        try:
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except OSError as exc:
            # The lock holds without the number in it, and a full disk must not keep us from starting.
            if exc.errno != errno.ENOSPC:
                raise
        self._lock_file = handle

    def unlock(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def sync_folder(self) -> None:
        """Make the names in the folder durable. SQLite does this too, but keeps quiet when it fails."""
        for folder in (self.folder, self.folder.parent):
            _sync(folder)

    def free_bytes(self) -> int:
        """Space that an ordinary process may still use on the folder's file system."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def has_ballast(self, size: int) -> bool:
        path = self.folder / BALLAST_NAME
        return path.exists() and path.stat().st_size >= size

    def make_ballast(self, size: int) -> bool:
        """Occupy `size` bytes that `drop_ballast` can give back; False when there is no room for it."""
        path = self.folder / BALLAST_NAME
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _allocate(handle, size)
        except OSError as exc:
            path.unlink()
            if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                return False
            raise
        finally:
            os.close(handle)
        return True

    def drop_ballast(self) -> None:
        (self.folder / BALLAST_NAME).unlink(missing_ok=True)


def sync_tree(folder: Path) -> None:
    """Make a folder, everything below it and its own name durable: for files that are not SQLite's."""
    for root, _, files in os.walk(folder):
        for path in (*(Path(root) / name for name in files), Path(root)):
            # A symbolic link is durable with the folder that it stands in.
            if not path.is_symlink():
                _sync(path)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    # Without waiting: what turned out to be a pipe has no writer.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class LogIndex:
    """How much of SQLite's write-ahead log is not yet in the database, read from the log's index.

    https://sqlite.org/walformat.html#the_wal_index_header: mxFrame is at byte 16, nBackfill at byte 96. SQLite itself
    tells only as it makes a checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._closed = False

    def pages_waiting(self) -> int:
        header = os.pread(self._handle, 100, 0)
        frames, moved = struct.unpack_from("=I", header, 16)[0], struct.unpack_from("=I", header, 96)[0]
        return max(0, frames - moved)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self._handle)


def _allocate(handle: int, size: int) -> None:
    """Really take the blocks: a sparse file would hold no space back."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
        return
    for start in range(0, size, len(_ZEROS)):
        os.pwrite(handle, _ZEROS[: size - start], start)
