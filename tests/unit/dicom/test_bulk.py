"""Bulk data is found where it lies, at any depth and in any encoding of sequences."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from echonode.core.errors import BadInput, EchonodeError, NotFound
from echonode.core.settings import LimitsSection
from echonode.dicom.bulk import bulk_steps, find_value
from tests.support.door import encoded, picture

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
LIMITS = LimitsSection()


def value_at(file: Path, path: str, syntax: str = EXPLICIT, offset: int = 0) -> bytes:
    steps = bulk_steps(path, nesting=LIMITS.nesting)
    found = find_value(file, offset=offset, transfer_syntax_uid=syntax, steps=steps, limits=LIMITS)
    content = file.read_bytes()
    return b"".join(content[begin : begin + length] for begin, length in found.spans)


def nested(*, undefined: bool) -> Dataset:
    dataset = picture()
    items = []
    for number in range(3):
        inner, item = Dataset(), Dataset()
        inner.add_new("WaveformData", "OW", bytes([number]) * 2000)
        item.add_new("WaveformSequence", "SQ", [inner])
        item.is_undefined_length_sequence_item = inner.is_undefined_length_sequence_item = undefined
        item["WaveformSequence"].is_undefined_length = undefined
        items.append(item)
    dataset.add_new("ReferencedImageSequence", "SQ", items)
    dataset["ReferencedImageSequence"].is_undefined_length = undefined
    return dataset


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("undefined", [True, False])
def test_an_element_inside_sequences(syntax: str, undefined: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"head" + encoded(nested(undefined=undefined), syntax))
    for number in range(3):
        path = f"00081140.{number}.54000100.0.54001010"
        assert value_at(tmp_path / "file", path, syntax, 4) == bytes([number]) * 2000
    assert value_at(tmp_path / "file", "7fe00010", syntax, 4) == bytes(range(16))
    for path in (
        "00081140.3.54000100.0.54001010",
        "00081140",
        "00081140.0.00080018",
        "00420011",
        "00100010.0.00100020",
    ):
        with pytest.raises(NotFound):
            value_at(tmp_path / "file", path, syntax, 4)


def test_the_fragments_of_a_compressed_value(tmp_path: Path) -> None:
    dataset = picture()
    dataset.PixelData = encapsulate([b"one1", b"two222"])
    dataset["PixelData"].is_undefined_length = True
    (tmp_path / "file").write_bytes(encoded(dataset))
    assert value_at(tmp_path / "file", "7FE00010") == b"one1two222"


@pytest.mark.parametrize(
    "path", ["", "7FE0001", "7FE00010.", "../etc", "7FE00010.0", "7FE00010.x.7FE00010", "0" * 5000]
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(BadInput):
        bulk_steps(path, nesting=64)


def test_a_file_that_is_cut_off_anywhere_raises_what_an_edge_can_answer(tmp_path: Path) -> None:
    content = encoded(nested(undefined=True))
    for end in range(0, len(content), 97):
        (tmp_path / "file").write_bytes(content[:end] or b"\0")
        with pytest.raises(EchonodeError):
            value_at(tmp_path / "file", "00420011")
