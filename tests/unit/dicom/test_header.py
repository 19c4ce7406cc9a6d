"""The header walk: agrees with pydicom on good files, and no byte of a bad one makes it raise anything unexpected."""

from __future__ import annotations

import contextlib
import random
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from echonode.core.errors import BudgetExceeded, EchonodeError, UnreadableObject
from echonode.core.query import Level
from echonode.core.settings import LimitsSection
from echonode.dicom.header import Header, read_header
from echonode.dicom.index_attributes import index_attributes
from echonode.dicom.json_model import MARK, model_of, text_of
from tests.support.door import EXPLICIT, encoded, picture

QUIET = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def header_of(folder: Path, content: bytes, syntax: str = EXPLICIT, *, nesting: int = 64) -> Header:
    path = folder / "object"
    path.write_bytes(content)
    return read_header(path, offset=0, transfer_syntax_uid=syntax, limits=LimitsSection(nesting=nesting))


def indexed(header: Header) -> dict[Level, dict[str, Any]]:
    """The index attributes; metadata is made on the way, and must be JSON whatever the header holds."""
    model = model_of(header)
    assert orjson.loads(text_of(model).replace(MARK, "")).keys() == model.keys()
    return index_attributes(header, model)


def with_regions() -> Dataset:
    region = Dataset()
    region.RegionSpatialFormat = 1
    region.PhysicalDeltaX = 0.5
    return picture(SequenceOfUltrasoundRegions=[region, region])


@pytest.mark.parametrize("syntax", [EXPLICIT, str(ImplicitVRLittleEndian), str(ExplicitVRBigEndian)])
def test_every_element_before_the_pixels_is_there(tmp_path: Path, syntax: str) -> None:
    dataset = with_regions()
    header = header_of(tmp_path, encoded(dataset, syntax), syntax)
    assert {int(tag) for tag in header.raw} == {int(tag) for tag, _ in dataset.items()} - {0x7FE00010}
    assert header.dataset.SequenceOfUltrasoundRegions[1].PhysicalDeltaX == 0.5
    assert header.dataset.Rows == 4
    assert header.pixels is not None
    written = (tmp_path / "object").read_bytes()
    assert written[header.pixels.begin : header.pixels.end] == bytes(range(16))


@pytest.mark.parametrize("name", ["examples_ybr_color.dcm", "rtplan.dcm", "reportsi.dcm", "CT_small.dcm"])
def test_it_reads_what_pydicom_reads(name: str) -> None:
    path = Path(str(get_testdata_file(name)))
    reference = dcmread(path, stop_before_pixels=True)
    offset = 144 + reference.file_meta.FileMetaInformationGroupLength
    syntax = str(reference.file_meta.TransferSyntaxUID)
    header = read_header(path, offset=offset, transfer_syntax_uid=syntax, limits=LimitsSection())
    assert header.dataset == reference


def test_sequences_of_undefined_length_end_where_they_say(tmp_path: Path) -> None:
    dataset = with_regions()
    sequence = dataset["SequenceOfUltrasoundRegions"]
    sequence.is_undefined_length = True
    for item in sequence.value:
        item.is_undefined_length_sequence_item = True
    header = header_of(tmp_path, encoded(dataset))
    assert [item.RegionSpatialFormat for item in header.dataset.SequenceOfUltrasoundRegions] == [1, 1]
    assert header.dataset.PatientID == "P1"


def test_implicit_vr_under_an_explicit_syntax_is_read_as_what_it_is(tmp_path: Path) -> None:
    header = header_of(tmp_path, encoded(picture(), str(ImplicitVRLittleEndian)), EXPLICIT)
    assert header.dataset.PatientID == "P1"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\0" * 40, "no elements"),
        (struct.pack("<HH2sHI", 8, 0x18, b"UI", 4, 0)[:-3], "cut off"),
        (struct.pack("<HH2sH", 8, 0x18, b"UI", 65000) + b"1.2", "cut off"),
        (struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF) + b"\0" * 8, "where an item"),
        (struct.pack("<HH2sH2s", 8, 0x18, b"UI", 2, b"1\0") * 2, "twice"),
        (struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 1 << 31), "cut off"),
        (struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\x7f", "cut off"),
        (struct.pack("<HH2sH", 8, 0x18, b"UI", 2) + b"1\0" + b"\xfe\xff\x0d\xe0\0\0\0\0", "cannot have"),
    ],
)
def test_malformed_data_sets_are_told_apart(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableObject, match=reason):
        header_of(tmp_path, content)


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", [EXPLICIT, str(ImplicitVRLittleEndian)])
def test_deep_nesting_ends_the_walk_at_the_limit(tmp_path: Path, undefined: bool, syntax: str) -> None:
    def nested(depth: int) -> bytes:
        content = b""
        head = "<HHI" if syntax != EXPLICIT else "<HH2sHI"
        for _ in range(depth):
            item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF if undefined else len(content)) + content
            if undefined:
                item += struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
            length = 0xFFFFFFFF if undefined else len(item)
            parts = (0x40, 0xA730, length) if syntax != EXPLICIT else (0x40, 0xA730, b"SQ", 0, length)
            content = struct.pack(head, *parts) + item
            if undefined:
                content += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        return content

    assert header_of(tmp_path, nested(60), syntax).raw
    for depth in (70, 3000):
        with pytest.raises(BudgetExceeded, match="nested"):
            header_of(tmp_path, nested(depth), syntax)


def test_a_deflated_data_set_is_not_inflated_here(tmp_path: Path) -> None:
    with pytest.raises(UnreadableObject, match="deflated"):
        header_of(tmp_path, b"\x03\x00" * 8, str(DeflatedExplicitVRLittleEndian))


def test_long_values_are_left_on_the_disk(tmp_path: Path) -> None:
    dataset = picture()
    dataset.add_new(0x00091001, "OB", bytes(3 << 20))
    header = header_of(tmp_path, encoded(dataset))
    assert 0x00091001 not in header.raw
    assert header.dataset.PatientID == "P1"


@QUIET
@given(st.randoms(use_true_random=False), st.sampled_from([EXPLICIT, str(ImplicitVRLittleEndian)]))
def test_mutated_bytes_give_a_header_or_a_reason(tmp_path: Path, chance: random.Random, syntax: str) -> None:
    content = bytearray(encoded(with_regions(), syntax))
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(len(content))] = chance.choice((0, 0xFF, 0xFE, chance.randrange(256)))
    del content[chance.randint(len(content) // 2, len(content)) :]
    try:
        header = header_of(tmp_path, bytes(content), syntax)
    except EchonodeError:
        return
    assert set(indexed(header)) == set(Level)


@QUIET
@given(st.binary(max_size=400))
def test_any_bytes_give_a_header_or_a_reason(tmp_path: Path, content: bytes) -> None:
    with contextlib.suppress(EchonodeError):
        indexed(header_of(tmp_path, content))


@pytest.mark.parametrize(
    ("character_set", "raw", "name"),
    [
        ("ISO_IR 100", "Äneas^Rüdiger".encode("latin-1"), {"Alphabetic": "Äneas^Rüdiger"}),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东".encode(), {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"}),
        (
            "GB18030",
            "Wang^XiaoDong=王^小东".encode("gb18030"),
            {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"},
        ),
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
            {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"},
        ),
        ("NO SUCH SET", b"Doe^J\xe4ne", {"Alphabetic": "Doe^Jäne"}),
        ("ISO_IR 192", b"Doe^J\xe4ne", {"Alphabetic": "Doe^J�ne"}),
    ],
)
def test_names_are_indexed_in_unicode(tmp_path: Path, character_set: str, raw: bytes, name: dict[str, str]) -> None:
    def element(tag: int, vr: bytes, value: bytes) -> bytes:
        value += b" " * (len(value) % 2)
        return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value

    content = element(0x00080005, b"CS", character_set.encode()) + element(0x00100010, b"PN", raw)
    attributes = indexed(header_of(tmp_path, content))[Level.PATIENT]
    assert attributes["00100010"]["Value"] == [name]


def test_odd_values_are_kept_as_they_are_or_absent(tmp_path: Path) -> None:
    dataset = picture(PatientID="", StudyID=" 7 ", ImageType=["ORIGINAL", "", "TTE"])
    content = encoded(dataset).replace(b"\x28\x00\x10\x00US\x02\x00\x04\x00", b"\x28\x00\x10\x00US\x00\x00")
    attributes = indexed(header_of(tmp_path, content))
    assert attributes[Level.PATIENT]["00100020"] == {"vr": "LO"}
    assert attributes[Level.STUDY]["00200010"]["Value"] == ["7"]
    assert attributes[Level.IMAGE]["00080008"]["Value"] == ["ORIGINAL", None, "TTE"]
    assert attributes[Level.IMAGE]["00280010"] == {"vr": "US"}


def test_what_follows_a_zero_tag_costs_no_memory(tmp_path: Path) -> None:
    """A peer that sends gigabytes behind a zero tag must not end the acceptor and everybody's associations with it."""
    path = tmp_path / "object"
    element = struct.Struct("<HHI")
    with path.open("wb") as file:
        file.write(element.pack(0x0008, 0x0018, 4) + b"1.2\0" + element.pack(0, 0, 4) + b"ABCD")
        file.truncate(64 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableObject):
            read_header(path, offset=0, transfer_syntax_uid=str(ImplicitVRLittleEndian), limits=LimitsSection())
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_zeros_after_the_last_element_are_padding(tmp_path: Path) -> None:
    """Objects that were stored on media in blocks must still be taken."""
    content = struct.pack("<HHI", 0x0008, 0x0018, 4) + b"1.2\0" + bytes(3 << 20)
    header = header_of(tmp_path, content, str(ImplicitVRLittleEndian))
    assert [int(tag) for tag in header.raw] == [0x00080018]


def test_fragments_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Millions of empty fragments must not keep an acceptor busy for minutes."""
    monkeypatch.setattr("echonode.dicom.header._MOST_ELEMENTS", 100)
    start = struct.pack("<HH2sH", 0x0008, 0x0018, b"UI", 4) + b"1.2\0"
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    fragment = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    assert header_of(tmp_path, start + pixels + 50 * fragment + end).pixels is not None
    with pytest.raises(BudgetExceeded):
        header_of(tmp_path, start + pixels + 200 * fragment + end)
