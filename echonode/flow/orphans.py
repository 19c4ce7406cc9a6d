"""Sweeping away files that no row names: what a killed process left between moving bytes and committing rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs

OLDER_THAN_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """How many files went."""

    parts: int
    objects: int
    quarantined: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.parts + self.objects + self.quarantined


def sweep_orphans(archive: Archive, blobs: LocalBlobs, *, older_than: float = OLDER_THAN_SECONDS) -> Swept:
    """Remove what nothing acknowledged names. Idempotent, and safe beside processes that are receiving."""

    @contextmanager
    def indexed(names: list[str]) -> Iterator[set[str]]:
        with archive.transaction() as connection:  # no row can be added while we remove
            yield archive.index.known_blobs(connection, names)

    @contextmanager
    def shelved(names: list[str]) -> Iterator[set[str]]:
        with archive.transaction() as connection:
            yield archive.quarantine.known(connection, names)

    return Swept(
        parts=blobs.sweep_parts(),
        objects=blobs.sweep_orphans(indexed, older_than=older_than),
        quarantined=blobs.sweep_orphans(shelved, older_than=older_than, quarantine=True),
    )
