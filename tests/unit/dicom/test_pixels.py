"""A decoder that trusts a header is one file away from ending the node; one that guesses shows wrong pictures."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from echonode.core.errors import BudgetExceeded, EchonodeError, Undecodable, UnreadableObject
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import iter_frames, open_pixels, pixel_digest, read_clip

LIMITS = LimitsSection()
SIZE = (24, 32)


def picture(frames: int = 3, channels: int = 3, seed: int = 0) -> np.ndarray:
    smooth = np.random.default_rng(seed).integers(0, 256, (frames, 3, 4, channels), dtype=np.uint8)
    return smooth.repeat(8, axis=1).repeat(8, axis=2)


def write(path: Path, syntax: str = ExplicitVRLittleEndian, *, encapsulated: bool | None = None, **values: Any) -> Path:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2", "1.2.1"
    dataset.Modality = "US"
    defaults: dict[str, Any] = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "NumberOfFrames": 3,
        "Rows": SIZE[0],
        "Columns": SIZE[1],
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "FrameTime": "40",
        "FrameIncrementPointer": 0x00181063,
    }
    for keyword, value in (defaults | values).items():
        if value is not None:
            setattr(dataset, keyword, value)
    compressed = syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
    if compressed if encapsulated is None else encapsulated:
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
    if syntax == ExplicitVRBigEndian:
        dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dcmwrite(
        path,
        dataset,
        enforce_file_format=True,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )
    return path


def jpegs(frames: np.ndarray, **options: Any) -> list[bytes]:
    streams = []
    for frame in frames:
        buffer = io.BytesIO()
        Image.fromarray(frame.squeeze()).save(buffer, "JPEG", quality=95, **options)
        streams.append(buffer.getvalue())
    return streams


def decoded(streams: list[bytes]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(stream)).convert("RGB")) for stream in streams])


def jpeg_file(path: Path, value: bytes, **values: Any) -> Path:
    return write(path, JPEGBaseline8Bit, PixelData=value, **({"PhotometricInterpretation": "YBR_FULL_422"} | values))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("planar", [0, 1])
def test_uncompressed_rgb_comes_out_as_it_went_in(tmp_path: Path, syntax: str, planar: int) -> None:
    frames = picture()
    stored = frames.transpose(0, 3, 1, 2) if planar else frames
    value = np.ascontiguousarray(stored).tobytes()
    if syntax == ExplicitVRBigEndian:
        value = np.frombuffer(value, "<u2").astype(">u2").tobytes()  # OW of 8 bit samples is swapped in pairs
    clip = read_clip(write(tmp_path / "a.dcm", syntax, PixelData=value, PlanarConfiguration=planar), limits=LIMITS)
    assert np.array_equal(clip.frames, frames)
    assert clip.times_ms.tolist() == [0, 40, 80]
    assert clip.source.sop_instance_uid == "1.2.3"


def test_grey_stays_one_channel_and_monochrome1_is_turned_over(tmp_path: Path) -> None:
    frames = picture(channels=1)
    values = {"SamplesPerPixel": 1, "PlanarConfiguration": None, "PixelData": frames.tobytes()}
    dark = write(tmp_path / "a.dcm", PhotometricInterpretation="MONOCHROME2", **values)
    light = write(tmp_path / "b.dcm", PhotometricInterpretation="MONOCHROME1", **values)
    assert np.array_equal(read_clip(dark, limits=LIMITS).frames, frames)
    assert np.array_equal(read_clip(light, limits=LIMITS).frames, 255 - frames)


def test_twelve_bits_use_the_whole_range_in_every_frame_alike(tmp_path: Path) -> None:
    frames = np.linspace(100, 1100, 3 * SIZE[0] * SIZE[1]).astype("<u2")
    values = {"SamplesPerPixel": 1, "PlanarConfiguration": None, "PhotometricInterpretation": "MONOCHROME2"}
    deep = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelData": frames.tobytes()}
    clip = read_clip(write(tmp_path / "a.dcm", **values, **deep), limits=LIMITS)
    assert (clip.frames.min(), clip.frames.max()) == (0, 255)
    assert (np.diff(clip.frames.ravel().astype(int)) >= 0).all()
    windowed = write(tmp_path / "b.dcm", **values, **deep, WindowCenter="600", WindowWidth="200")
    assert (read_clip(windowed, limits=LIMITS).frames[0] == 0).all()


def test_a_palette_gives_its_colours_and_an_index_beyond_it_the_last(tmp_path: Path) -> None:
    frames = np.zeros((3, *SIZE), np.uint8)
    frames[1], frames[2] = 1, 200
    tables = {}
    for name, entries in (("Red", (0, 255)), ("Green", (0, 128)), ("Blue", (0, 64))):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [2, 0, 16]
        tables[f"{name}PaletteColorLookupTableData"] = struct.pack("<2H", *(entry * 257 for entry in entries))
    path = write(
        tmp_path / "a.dcm",
        SamplesPerPixel=1,
        PlanarConfiguration=None,
        PhotometricInterpretation="PALETTE COLOR",
        PixelData=frames.tobytes(),
        **tables,
    )
    clip = read_clip(path, limits=LIMITS)
    assert [tuple(frame[0, 0]) for frame in clip.frames] == [(0, 0, 0), (255, 128, 64), (255, 128, 64)]


def test_a_palette_that_is_missing_is_an_error(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.dcm",
        SamplesPerPixel=1,
        PlanarConfiguration=None,
        PhotometricInterpretation="PALETTE COLOR",
        PixelData=bytes(3 * SIZE[0] * SIZE[1]),
    )
    with pytest.raises(Undecodable, match="palette"):
        read_clip(path, limits=LIMITS)


def test_a_jpeg_without_any_marker_is_rgb_when_the_header_says_so(tmp_path: Path) -> None:
    stream = jpegs(picture(1), subsampling=0)[0]
    bare = stream[:2] + stream[2 + 2 + int.from_bytes(stream[4:6], "big") :]  # the JFIF marker taken out
    values = {"NumberOfFrames": 1, "PixelData": encapsulate([bare])}
    as_rgb = read_clip(write(tmp_path / "a.dcm", JPEGBaseline8Bit, **values), limits=LIMITS).frames
    components = Image.open(io.BytesIO(stream))
    components.draft("YCbCr", components.size)
    assert np.array_equal(as_rgb[0], np.asarray(components))
    as_ybr = read_clip(jpeg_file(tmp_path / "b.dcm", values["PixelData"], NumberOfFrames=1), limits=LIMITS).frames
    assert np.abs(as_ybr.astype(int) - decoded([stream])).max() <= 2


def test_a_marker_beats_the_header(tmp_path: Path) -> None:
    frames = picture(1)
    stream = jpegs(frames, keep_rgb=True, subsampling=0)[0]  # the Adobe marker says: no colour transform
    path = jpeg_file(tmp_path / "a.dcm", encapsulate([stream]), NumberOfFrames=1)
    assert np.abs(read_clip(path, limits=LIMITS).frames.astype(int) - frames).max() <= 12


Encapsulation = Callable[[list[bytes]], bytes]
ITEM, END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"


def item(value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return ITEM + struct.pack("<I", len(value)) + value


def halves(stream: bytes) -> list[bytes]:
    middle = len(stream) // 4 * 2
    return [stream[:middle], stream[middle:]]


@pytest.mark.parametrize(
    "wrapped",
    [
        pytest.param(lambda s: encapsulate(s), id="offset table"),
        pytest.param(lambda s: encapsulate(s, has_bot=False), id="no offset table"),
        pytest.param(lambda s: encapsulate(s, fragments_per_frame=2), id="two fragments a frame"),
        pytest.param(lambda s: encapsulate(s, fragments_per_frame=2, has_bot=False), id="two fragments and no table"),
        pytest.param(lambda s: item(struct.pack("<3I", 0, 7, 9)) + b"".join(map(item, s)) + END, id="corrupt table"),
        pytest.param(lambda s: item(struct.pack("<2I", 0, 7)) + b"".join(map(item, s)) + END, id="short table"),
        pytest.param(lambda s: item(b"") + b"".join(map(item, s)), id="no delimiter at the end"),
        pytest.param(
            lambda s: item(struct.pack("<3I", 4, 4, 4)) + b"".join(item(h) for f in s for h in halves(f)) + END,
            id="corrupt table and split frames",
        ),
    ],
)
def test_frames_are_found_whatever_the_offset_table_says(tmp_path: Path, wrapped: Encapsulation) -> None:
    streams = jpegs(picture())
    value = wrapped(streams)
    path = jpeg_file(tmp_path / "a.dcm", value)
    if not value.endswith(END):
        path.write_bytes(path.read_bytes().removesuffix(END))
    frames = read_clip(path, limits=LIMITS).frames
    assert np.abs(frames.astype(int) - decoded(streams)).max() <= 2


def test_an_extended_offset_table_is_read(tmp_path: Path) -> None:
    streams = jpegs(picture())
    value, offsets, lengths = encapsulate_extended(streams)
    path = jpeg_file(tmp_path / "a.dcm", value, ExtendedOffsetTable=offsets, ExtendedOffsetTableLengths=lengths)
    assert len(list(iter_frames(path, limits=LIMITS))) == 3


@pytest.mark.parametrize("cut", [1, 40, 300])
def test_a_cut_off_file_raises_and_gives_no_grey_picture(tmp_path: Path, cut: int) -> None:
    path = jpeg_file(tmp_path / "a.dcm", encapsulate(jpegs(picture())))
    path.write_bytes(path.read_bytes()[: -len(END) - cut])
    with pytest.raises(Undecodable, match="cut off"):
        read_clip(path, limits=LIMITS)
    native = write(tmp_path / "b.dcm", PixelData=picture().tobytes())
    native.write_bytes(native.read_bytes()[:-cut])
    with pytest.raises(Undecodable, match="cut off"):
        read_clip(native, limits=LIMITS)


def test_a_frame_that_is_cut_off_inside_raises(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    streams = [*jpegs(picture(2)), jpegs(noise)[0][:-200]]
    with pytest.raises(Undecodable):
        read_clip(jpeg_file(tmp_path / "a.dcm", encapsulate(streams)), limits=LIMITS)


def test_fewer_frames_than_declared_raise(tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match="declared"):
        read_clip(jpeg_file(tmp_path / "a.dcm", encapsulate(jpegs(picture(2)))), limits=LIMITS)


def test_a_frame_of_another_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    large = jpegs(np.zeros((1, 512, 512, 3), np.uint8))
    path = jpeg_file(tmp_path / "a.dcm", encapsulate(large), NumberOfFrames=1)
    with pytest.raises(Undecodable, match="512 x 512"):
        read_clip(path, limits=LIMITS)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_lossless_codecs_give_the_same_pixels(tmp_path: Path, syntax: str) -> None:
    from pydicom import dcmread

    frames = picture()
    dataset = dcmread(write(tmp_path / "a.dcm", PixelData=frames.tobytes()))
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(tmp_path / "b.dcm")
    assert np.array_equal(read_clip(tmp_path / "b.dcm", limits=LIMITS).frames, frames)


BOMBS: dict[str, dict[str, Any]] = {
    "frames": {"Rows": 60000, "Columns": 60000, "NumberOfFrames": 100},
    "square": {"Rows": 65535, "Columns": 65535, "NumberOfFrames": 1},
    "many": {"Rows": 16, "Columns": 16, "NumberOfFrames": 2_000_000_000},
    "whole": {"Rows": 4096, "Columns": 4096, "NumberOfFrames": 1000},
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_arithmetic_alone(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.dcm", RLELossless, PixelData=encapsulate([bytes(64)]), **BOMBS[name])
    tracemalloc.start()
    try:
        with pytest.raises(BudgetExceeded):
            read_clip(path, limits=LIMITS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_rows_as_ul_cannot_overflow_the_budget(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", PixelData=bytes(64))
    stored = path.read_bytes()
    for element, number in (
        (b"\x28\x00\x10\x00US\x02\x00\x18\x00", 0x10),
        (b"\x28\x00\x11\x00US\x02\x00\x20\x00", 0x11),
    ):
        assert element in stored
        stored = stored.replace(element, b"\x28\x00" + bytes([number]) + b"\x00UL\x04\x00\x00\x00\x01\x00")
    path.write_bytes(stored)
    with pytest.raises(Undecodable, match="65536 x 65536"):
        read_clip(path, limits=LIMITS)


def test_endless_empty_fragments_are_refused(tmp_path: Path) -> None:
    value = item(b"") + item(b"") * 5000 + END
    path = jpeg_file(tmp_path / "a.dcm", value)
    with pytest.raises(BudgetExceeded, match="fragments"):
        read_clip(path, limits=LimitsSection(frames=10))


def test_a_deflated_data_set_is_inflated_under_the_budget_only(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.dcm", PixelData=bytes(3 * SIZE[0] * SIZE[1] * 3)).read_bytes()
    length = struct.unpack("<I", plain[140:144])[0]
    start = 144 + length
    meta = plain[:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99\0\0")
    meta = meta.replace(b"UI\x14\x001.2.840.10008.1.2.1.99", b"UI\x16\x001.2.840.10008.1.2.1.99")
    grown = meta[:140] + struct.pack("<I", length + 2) + meta[144:].removesuffix(b"")
    grown = grown.replace(b"1.2.1.99\0\0", b"1.2.1.99")
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = squeezer.compress(plain[start:] + bytes(3 << 20)) + squeezer.flush()
    path = tmp_path / "b.dcm"
    path.write_bytes(grown + body)
    with pytest.raises(BudgetExceeded, match="deflated"):
        read_clip(path, limits=LimitsSection(frame_bytes=1 << 20))
    assert read_clip(path, limits=LIMITS).frames.shape == (3, *SIZE, 3)


def test_what_is_no_dicom_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(b"GIF89a" * 100)
    with pytest.raises(UnreadableObject, match=r"a\.dcm"):
        read_clip(path, limits=LIMITS)
    with pytest.raises(UnreadableObject):
        read_clip(tmp_path / "missing.dcm", limits=LIMITS)
    header_alone = write(tmp_path / "b.dcm", Rows=None)
    with pytest.raises(Undecodable, match="no picture"):
        read_clip(header_alone, limits=LIMITS)


def test_the_digest_is_of_the_stored_value_and_not_of_the_header(tmp_path: Path) -> None:
    value = picture().tobytes()
    first = write(tmp_path / "a.dcm", PixelData=value, FrameTime="40")
    other_header = write(tmp_path / "b.dcm", PixelData=value, FrameTime="41", PatientName="Somebody^Else")
    other_pixels = write(tmp_path / "c.dcm", PixelData=value[:-1] + b"\xff", FrameTime="40")
    assert pixel_digest(first) == pixel_digest(other_header) != pixel_digest(other_pixels)
    with open_pixels(first, limits=LIMITS) as source:
        assert source.frame_bytes(1) == value[len(value) // 3 : len(value) // 3 * 2]


def test_sequences_of_endless_depth_are_an_unreadable_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", PixelData=picture().tobytes())
    deep = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    stored = path.read_bytes()
    start = 144 + struct.unpack("<I", stored[140:144])[0]
    path.write_bytes(stored[:start] + deep + stored[start:])
    with pytest.raises(UnreadableObject):
        read_clip(path, limits=LIMITS)


def test_a_corrupt_rle_segment_is_an_error_and_never_a_crash(tmp_path: Path) -> None:
    pixels = SIZE[0] * SIZE[1]
    too_long = b"".join(bytes([257 - 128, 7]) for _ in range(pixels // 128 + 2))  # two runs more than pixels
    header = struct.pack("<16I", 2, 64, 64 + len(too_long), *[0] * 13)
    path = write(
        tmp_path / "a.dcm",
        RLELossless,
        PixelData=encapsulate([header + too_long + too_long]),
        NumberOfFrames=1,
        SamplesPerPixel=1,
        PlanarConfiguration=None,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
    )
    with pytest.raises(Undecodable, match="corrupt"):
        read_clip(path, limits=LIMITS)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(132, 1500), st.integers(0, 255)), min_size=1, max_size=12))
@pytest.mark.filterwarnings("ignore")
def test_any_damaged_header_gives_a_clip_or_a_reason(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    path = jpeg_file(tmp_path / "a.dcm", encapsulate(jpegs(picture())))
    stored = bytearray(path.read_bytes())
    for place, value in changes:
        stored[place % len(stored)] = value
    path.write_bytes(stored)
    try:
        clip = read_clip(path, limits=LimitsSection(decoded_bytes=1 << 24, frame_bytes=1 << 22))
    except EchonodeError as error:
        outcome = str(error)
    else:
        outcome = f"{clip.frames.shape}"
    assert outcome
