"""A node knows the studies that it simulated itself, and is not taken in by anybody else's."""

from __future__ import annotations

import io

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset

from echonode.core.errors import BadInput
from echonode.phantom.marker import PRIVATE_GROUP, marker_of, origin_of, sign, signed_by, write_block

KEY, OTHER_KEY = b"k" * 32, b"q" * 32
UID, OTHER_UID = "2.25.1234567890", "2.25.1234567891"


def stored(dataset: Dataset) -> Dataset:
    """As it comes back from a file, elements not converted yet."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = UID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return dcmread(io.BytesIO(buffer.getvalue()))


def marked(uid: str, marker: bytes | None) -> Dataset:
    dataset = Dataset()
    dataset.SOPInstanceUID = uid
    write_block(dataset, origin="7-0003-quick#2", marker=marker)
    return dataset


def test_a_node_knows_what_it_signed() -> None:
    dataset = marked(UID, sign(UID, KEY))
    assert signed_by(dataset, KEY)
    assert signed_by(stored(dataset), KEY)
    assert origin_of(stored(dataset)) == "7-0003-quick#2"
    assert len(sign(UID, KEY)) == 32


@pytest.mark.parametrize(
    "dataset",
    [
        Dataset(),
        marked(UID, None),
        marked(UID, b""),
        marked(UID, sign(UID, OTHER_KEY)),
        marked(OTHER_UID, sign(UID, KEY)),
        marked(UID, sign(UID, KEY)[:-1]),
        marked(UID, b"\0" * 5000),
    ],
    ids=["no header", "unsigned", "empty", "another node's", "moved to another object", "cut off", "noise"],
)
def test_anything_else_is_a_stranger(dataset: Dataset) -> None:
    assert not signed_by(dataset, KEY)


def test_the_block_is_found_wherever_an_archive_moved_it() -> None:
    """Other private creators may have taken the first block of the group (PS3.5 7.8.1)."""
    dataset = Dataset()
    dataset.SOPInstanceUID = UID
    dataset.private_block(PRIVATE_GROUP, "SOMEBODY ELSE", create=True).add_new(0x01, "OB", b"\1\2")
    assert marker_of(dataset) is None
    assert origin_of(dataset) is None
    write_block(dataset, origin="x", marker=sign(UID, KEY))
    assert signed_by(stored(dataset), KEY)


def test_a_key_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(BadInput, match="16 bytes"):
        sign(UID, b"short")
    with pytest.raises(BadInput, match="16 bytes"):
        signed_by(marked(UID, None), b"")
