"""What every BlobStore promises; a further implementation inherits `BlobStoreContract` and gives its own `store`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from echonode.archive.blobs import LocalBlobs, blob_name
from echonode.core.ports import BlobStore


class BlobStoreContract:
    """Inherit it and define the fixture `store`."""

    @staticmethod
    def part_of(store: BlobStore, content: bytes) -> tuple[Path, str]:
        part = store.new_part()
        part.write_bytes(content)
        return part, hashlib.sha256(content).hexdigest()

    def test_a_new_part_is_fresh_and_can_be_written(self, store: BlobStore) -> None:
        first, second = store.new_part(), store.new_part()
        assert first != second
        assert not first.exists()
        first.write_bytes(b"x")

    def test_an_adopted_part_lies_at_its_digest_and_nowhere_else(self, store: BlobStore) -> None:
        part, digest = self.part_of(store, b"an echo")
        place = store.adopt(part, sha256=digest)
        assert place == store.path(digest)
        assert place.read_bytes() == b"an echo"
        assert not part.exists()

    def test_adopting_the_same_digest_twice_is_once(self, store: BlobStore) -> None:
        for _ in range(2):
            part, digest = self.part_of(store, b"an echo")
            assert store.adopt(part, sha256=digest).read_bytes() == b"an echo"
            assert not part.exists()

    def test_what_lies_there_is_never_replaced(self, store: BlobStore) -> None:
        part, digest = self.part_of(store, b"first")
        store.adopt(part, sha256=digest)
        other, _ = self.part_of(store, b"second, longer")
        assert store.adopt(other, sha256=digest).read_bytes() == b"first"

    def test_quarantine_is_another_place_and_leaves_the_file(self, store: BlobStore) -> None:
        part, digest = self.part_of(store, b"garbage")
        place = store.quarantine(part, sha256=digest)
        assert place == store.quarantined(digest) != store.path(digest)
        assert part.exists()
        part.unlink()
        assert place.read_bytes() == b"garbage"
        assert not store.path(digest).exists()

    def test_removing_is_idempotent_and_exact(self, store: BlobStore) -> None:
        part, digest = self.part_of(store, b"an echo")
        store.quarantine(part, sha256=digest)
        store.adopt(part, sha256=digest)
        for _ in range(2):
            store.remove(digest)
        assert not store.path(digest).exists()
        assert store.quarantined(digest).exists()
        for _ in range(2):
            store.remove_quarantined(digest)
        assert not store.quarantined(digest).exists()

    def test_a_missing_part_is_an_error_not_an_empty_object(self, store: BlobStore) -> None:
        with pytest.raises(OSError):
            store.adopt(store.new_part(), sha256="0" * 64)
        assert not store.path("0" * 64).exists()

    @pytest.mark.parametrize("name", ["", "../../etc/passwd", "1.2.840.10008", "A" * 64, "0" * 63, f"{'0' * 64}/x"])
    def test_only_a_digest_names_an_object(self, store: BlobStore, name: str) -> None:
        with pytest.raises(ValueError):
            store.path(name)
        with pytest.raises(ValueError):
            store.quarantined(name)

    def test_room_is_told(self, store: BlobStore) -> None:
        assert store.free_bytes() > 0


class TestLocalBlobs(BlobStoreContract):
    """The local implementation."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalBlobs:
        return LocalBlobs(tmp_path / "store")

    def test_parts_of_a_living_process_are_never_swept(self, store: LocalBlobs) -> None:
        part, _ = self.part_of(store, b"half received")
        other = LocalBlobs(store.root)
        assert other.sweep_parts() == 0
        assert part.exists()


def test_names_tell_transfer_syntaxes_apart() -> None:
    digest = hashlib.sha256(b"the same bytes").hexdigest()
    assert blob_name(digest, "1.2.840.10008.1.2.1") != blob_name(digest, "1.2.840.10008.1.2.4.50")
