"""Every real ultrasound file in every transfer syntax that clients ask for: the same picture, honestly labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from echonode.core.errors import Undecodable
from echonode.core.settings import LimitsSection
from echonode.dicom import elements
from echonode.dicom.encode import JPEG_LS
from echonode.dicom.part10 import part10_head
from echonode.dicom.pixels import open_pixels
from echonode.dicom.storage import EXPLICIT_LE
from echonode.dicom.transcode import transcode_file, transcode_frames

JPEG = "1.2.840.10008.1.2.4.50"
FOLDERS = ("ultrasound/single", "ultrasound/adult_xario", "ultrasound/paediatric_hp", "derived")
HEAVY = ("GREYSCALE_CINE.dcm", "I_000031.dcm", "I_000002.dcm", "I_000003.dcm", "I_000038.dcm")
LIMITS = LimitsSection()


def files(shared_data: Path) -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((shared_data / folder).glob("*.dcm"))]
    return [path for path in found if path.name not in HEAVY and "truncated" not in path.name]


def transcoded(source: Path, target: Path, syntax: str) -> Dataset:
    data = target.with_suffix(".data")
    transcode_file(source, data, transfer_syntax_uid=syntax, limits=LIMITS)
    head = part10_head(sop_class_uid="1.2", sop_instance_uid="1.2", transfer_syntax_uid=syntax)
    target.write_bytes(head + data.read_bytes())
    return dcmread(target, stop_before_pixels=True)


def shown(path: Path, frames: int) -> list[np.ndarray]:
    """The first, the middle and the last frame as displayed; all of a video's, which has no frames of its own."""
    with open_pixels(path, limits=LIMITS) as pixels:
        if pixels.is_video:
            return list(pixels.iter_frames())
        decoder = pixels.decoder()
        if decoder.needs_range:
            decoder.window = decoder.value_range(pixels.frame_bytes(index) for index in range(pixels.frames))
        return [decoder.decode(pixels.frame_bytes(index)) for index in sorted({0, frames // 2, frames - 1})]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("syntax", [EXPLICIT_LE, JPEG_LS, JPEG])
def test_every_object_is_the_same_picture_in_every_transfer_syntax(
    syntax: str, shared_data: Path, tmp_path: Path
) -> None:
    for source in files(shared_data):
        result = transcoded(source, tmp_path / source.name, syntax)
        original = dcmread(source, stop_before_pixels=True)
        count = elements.integer(original, "NumberOfFrames") or 1
        ours, theirs = shown(tmp_path / source.name, count), shown(source, count)
        if len(theirs) > 3:
            theirs = [theirs[index] for index in sorted({0, count // 2, count - 1})]
        for mine, its in zip(ours, theirs, strict=True):
            assert mine.shape == its.shape, source.name
            apart = np.abs(mine.astype(int) - its.astype(int))
            if syntax == JPEG:
                assert apart.mean() < 3, (source.name, apart.mean())
            else:
                assert apart.max() == 0, source.name
        kept = [tag for tag in ("PatientName", "SOPInstanceUID", "NumberOfFrames", "FrameTime") if tag in original]
        assert all(result[tag].value == original[tag].value for tag in kept)
        (tmp_path / source.name).unlink()


@pytest.mark.filterwarnings("ignore")
def test_a_frame_by_itself_is_the_one_of_the_whole_object(shared_data: Path, tmp_path: Path) -> None:
    """A viewer that asks for single frames and one that takes the object must see the same."""
    for name in ("US-PAL-8-10x-echo.dcm", "examples_ybr_color.dcm"):
        source = shared_data / "ultrasound/single" / name
        for syntax in (EXPLICIT_LE, JPEG_LS, JPEG):
            transcoded(source, tmp_path / name, syntax)
            lengths = transcode_frames(
                source, tmp_path / "frames", frames=(7, 2, 7), transfer_syntax_uid=syntax, limits=LIMITS
            )
            data = (tmp_path / "frames").read_bytes()
            with open_pixels(tmp_path / name, limits=LIMITS) as pixels:
                wanted = [pixels.frame_bytes(index) for index in (7, 2, 7)]
            position = 0
            for length, whole in zip(lengths, wanted, strict=True):
                assert data[position : position + length].rstrip(b"\0") == whole.rstrip(b"\0"), (name, syntax)
                position += length


@pytest.mark.filterwarnings("ignore")
def test_the_lossy_history_grows_by_each_step_and_is_never_forgotten(shared_data: Path, tmp_path: Path) -> None:
    """A reader must be able to tell how often, how much and by what method a picture was compressed."""
    single = shared_data / "ultrasound/single"
    plain = transcoded(single / "color-pl.dcm", tmp_path / "a", JPEG)
    assert plain.LossyImageCompression == "01"
    assert plain.LossyImageCompressionMethod == "ISO_10918_1"
    assert float(plain.LossyImageCompressionRatio) > 3
    assert plain.PhotometricInterpretation == "YBR_FULL_422"
    lossless = transcoded(single / "examples_ybr_color.dcm", tmp_path / "b", JPEG_LS)
    assert lossless.LossyImageCompression == "01"
    from_j2k = dcmread(single / "US1_J2KI.dcm")
    from_j2k.LossyImageCompression = "01"
    from_j2k.LossyImageCompressionRatio, from_j2k.LossyImageCompressionMethod = ["12"], ["ISO_15444_1"]
    from_j2k.save_as(tmp_path / "lossy.dcm")
    twice = transcoded(tmp_path / "lossy.dcm", tmp_path / "c", JPEG)
    assert list(twice.LossyImageCompressionMethod) == ["ISO_15444_1", "ISO_10918_1"]
    assert len(twice.LossyImageCompressionRatio) == 2
    del from_j2k.LossyImageCompressionRatio
    from_j2k.save_as(tmp_path / "lossy.dcm")
    unknown = transcoded(tmp_path / "lossy.dcm", tmp_path / "d", JPEG)
    assert unknown.LossyImageCompressionMethod == "ISO_10918_1"
    assert "Lossy compressed before" in unknown.DerivationDescription


@pytest.mark.filterwarnings("ignore")
def test_a_palette_goes_with_jpeg_and_stays_with_jpeg_ls(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "ultrasound/single/US-PAL-8-10x-echo.dcm"
    jpeg = transcoded(source, tmp_path / "a", JPEG)
    assert (jpeg.PhotometricInterpretation, jpeg.SamplesPerPixel) == ("YBR_FULL_422", 3)
    assert "RedPaletteColorLookupTableData" not in jpeg
    lossless = transcoded(source, tmp_path / "b", JPEG_LS)
    assert (lossless.PhotometricInterpretation, lossless.SamplesPerPixel) == ("PALETTE COLOR", 1)
    assert "RedPaletteColorLookupTableData" in lossless


@pytest.mark.filterwarnings("ignore")
def test_pixels_that_jpeg_cannot_hold_are_refused_and_leave_nothing(shared_data: Path, tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match="8 bits"):
        transcode_file(
            shared_data / "nasty/MR_small_padded.dcm", tmp_path / "out", transfer_syntax_uid=JPEG, limits=LIMITS
        )
    assert not list(tmp_path.iterdir())
    result = transcoded(shared_data / "nasty/MR_small_padded.dcm", tmp_path / "ls", JPEG_LS)
    assert result.BitsAllocated == 16
    assert shown(tmp_path / "ls", 1)[0].std() > 10
