"""Objects as files, named by digest alone, on one file system: parts -> objects or quarantine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from echonode.core.identity import new_id

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LOCK = "lock"


class LocalBlobs:
    """A BlobStore under `root`: parts/, objects/ab/<digest>, quarantine/<digest>, spool/.

    Each process keeps its parts in a folder of its own that it holds locked while it lives, so that `sweep_parts` can
    tell what a killed process left. A file under objects/ never changes: what is there first, stays.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._parts = self.root / "parts"
        self._objects = self.root / "objects"
        self._quarantine = self.root / "quarantine"
        self._own: Path | None = None
        self._own_pid = 0
        self._lock = -1

    @property
    def spool(self) -> Path:
        """Folder for large arrays of runs, on the same file system."""
        folder = self.root / "spool"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def new_part(self) -> Path:
        """A fresh, not yet existing path on the store's own file system."""
        return self._own_folder() / f"{new_id()}.part"

    def adopt(self, part: Path, *, sha256: str) -> Path:
        """Make `part` durable and move it to its place; when the object is there already, the part is dropped.

        Raises:
            OSError: the disk is full or does not take writes; `part` is still there.
        """
        place = self._link(part, self.path(sha256))
        part.unlink()
        return place

    def quarantine(self, file: Path, *, sha256: str) -> Path:
        """Make `file` durable under the quarantine folder too; `file` itself stays."""
        return self._link(file, self.quarantined(sha256))

    def path(self, sha256: str) -> Path:
        """Where the object with that digest lies.

        Raises:
            ValueError: not a SHA-256 in lower case hex.
        """
        _check(sha256)
        return Path(f"{self._objects}/{sha256[:2]}/{sha256}")  # joining step by step costs three times as much

    def quarantined(self, sha256: str) -> Path:
        """Where the quarantined object with that digest lies."""
        _check(sha256)
        return self._quarantine / sha256

    def remove(self, sha256: str) -> None:
        """Forget an object that no row refers to; nothing happens when it is gone already."""
        self.path(sha256).unlink(missing_ok=True)

    def remove_quarantined(self, sha256: str) -> None:
        """As `remove`, in the quarantine folder."""
        self.quarantined(sha256).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Room left on the file system for this user."""
        self.root.mkdir(parents=True, exist_ok=True)
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize

    def sweep_parts(self) -> int:
        """Remove the parts of processes that live no more, and say how many: nothing of them was acknowledged."""
        removed = 0
        if not self._parts.is_dir():
            return 0
        for folder in self._parts.iterdir():
            if folder == self._own:
                continue
            lock = _try_lock(folder / _LOCK)
            if lock is None:
                continue
            removed += sum(1 for part in folder.iterdir() if part.name != _LOCK)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
        return removed

    def sweep_orphans(
        self,
        known: Callable[[list[str]], AbstractContextManager[set[str]]],
        *,
        older_than: float,
        quarantine: bool = False,
    ) -> int:
        """Remove objects that were moved here and never got a row, and say how many.

        `known` tells which of some digests have a row, and keeps new rows out while its context lasts. Files younger
        than `older_than` seconds are left: their transaction may still be on its way.
        """
        removed, horizon = 0, time.time() - older_than
        pattern = "*" if quarantine else "*/*"
        top = self._quarantine if quarantine else self._objects
        for batch in _batches((path for path in top.glob(pattern) if _DIGEST.fullmatch(path.name)), 500):
            with known([path.name for path in batch]) as kept:
                for path in batch:
                    if path.name not in kept and _older(path, horizon):
                        path.unlink(missing_ok=True)
                        removed += 1
        return removed

    def _link(self, file: Path, place: Path) -> Path:
        _sync_file(file)
        _make_folder(place.parent, self.root)
        try:
            os.link(file, place)
        except FileExistsError:
            os.utime(place)  # an orphan that is adopted again is not swept
        _sync_folder(place.parent)
        return place

    def _make_shards(self) -> None:
        """Every folder of objects, on disk before any process relies on one that another has made."""
        for number in range(256):
            (self._objects / f"{number:02x}").mkdir(parents=True, exist_ok=True)
        _sync_folder(self._objects)
        _sync_folder(self.root)

    def _own_folder(self) -> Path:
        while self._own is None or self._own_pid != os.getpid():
            folder = self._parts / new_id()
            folder.mkdir(parents=True)
            self._make_shards()
            lock = _try_lock(folder / _LOCK, create=True)
            if lock is not None and (folder / _LOCK).exists():  # else a sweep was quicker than our lock
                self._own, self._own_pid, self._lock = folder, os.getpid(), lock
        return self._own


def blob_name(sha256: str, transfer_syntax_uid: str) -> str:
    """The store's name of a data set in one transfer syntax, as SHA-256 in hex.

    The transfer syntax is part of it: the same bytes may be received under two of them, and mean different files.
    """
    return hashlib.sha256(f"{transfer_syntax_uid}\n{sha256}".encode()).hexdigest()


def _check(digest: str) -> None:
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"not a SHA-256 in lower case hex: {digest[:80]!r}")


def _older(path: Path, horizon: float) -> bool:
    try:
        return path.stat().st_mtime < horizon
    except FileNotFoundError:
        return False


def _try_lock(path: Path, *, create: bool = False) -> int | None:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(handle)
    finally:
        os.close(handle)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_folder(folder: Path, root: Path) -> None:
    """Create `folder` under `root`; each new name is on disk before something is put into it."""
    missing = []
    while folder != root.parent and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True, parents=True)
        _sync_folder(new.parent)


def _batches(paths: Iterable[Path], size: int) -> Iterator[list[Path]]:
    batch: list[Path] = []
    for path in paths:
        batch.append(path)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
