"""Telling another decoder's copy of a loop from another loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from echonode.core.settings import LimitsSection
from echonode.dicom.part10 import part10_head
from echonode.dicom.sameness import compare_datasets, compare_pixels
from tests.support.door import encoded, picture

LIMITS = LimitsSection()


@pytest.fixture(scope="module")
def loop() -> Path:
    """A real colour loop in JPEG baseline."""
    return Path(str(get_testdata_file("examples_ybr_color.dcm")))


def write(folder: Path, dataset: Dataset, syntax: str, name: str) -> Path:
    head = part10_head(
        sop_class_uid=dataset.SOPClassUID, sop_instance_uid=dataset.SOPInstanceUID, transfer_syntax_uid=syntax
    )
    path = folder / name
    path.write_bytes(head + encoded(dataset, syntax))
    return path


def decoded_elsewhere(folder: Path, loop: Path, **options: bool) -> tuple[Dataset, np.ndarray]:
    """The loop as another decoder leaves it: uncompressed RGB."""
    dataset = dcmread(loop)
    streams = generate_frames(dataset.PixelData, number_of_frames=int(dataset.NumberOfFrames))
    frames = np.stack([simplejpeg.decode_jpeg(stream, colorspace="RGB", **options) for stream in streams])
    dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    dataset.add_new("PixelData", "OB", frames.tobytes())
    return dataset, frames


@pytest.mark.parametrize("options", [{}, {"fastupsample": True}, {"fastdct": True}])
def test_another_jpeg_decoder_s_copy_is_the_same_loop(tmp_path: Path, loop: Path, options: dict[str, bool]) -> None:
    dataset, _ = decoded_elsewhere(tmp_path, loop, **options)
    copy = write(tmp_path, dataset, str(ExplicitVRLittleEndian), "copy.dcm")
    same, detail = compare_pixels(loop, copy, limits=LIMITS)
    assert same, detail


@pytest.mark.parametrize("change", ["late", "darker", "mirrored", "one frame"])
def test_another_loop_is_never_taken_for_a_copy(tmp_path: Path, loop: Path, change: str) -> None:
    dataset, frames = decoded_elsewhere(tmp_path, loop)
    changed = {
        "late": np.roll(frames, 1, axis=0),
        "darker": np.maximum(frames, 4) - 4,
        "mirrored": frames[:, :, ::-1],
        "one frame": np.concatenate([frames[:-1], frames[:1]]),
    }[change]
    dataset.PixelData = np.ascontiguousarray(changed).tobytes()
    copy = write(tmp_path, dataset, str(ExplicitVRLittleEndian), "copy.dcm")
    same, detail = compare_pixels(loop, copy, limits=LIMITS)
    assert not same
    assert "differs" in detail


def test_lossless_codecs_are_compared_bit_for_bit(tmp_path: Path) -> None:
    plain = picture()
    first = write(tmp_path, plain, str(ExplicitVRLittleEndian), "plain.dcm")
    packed = dcmread(first)
    packed.compress(RLELossless, generate_instance_uid=False)
    second = write(tmp_path, packed, str(RLELossless), "packed.dcm")
    assert compare_pixels(first, second, limits=LIMITS)[0]
    other = write(tmp_path, picture(PixelData=bytes([1, *range(1, 16)])), str(ExplicitVRLittleEndian), "other.dcm")
    assert not compare_pixels(other, second, limits=LIMITS)[0], "one grey level in one pixel is another picture"


def test_sixteen_bits_are_compared_as_stored_not_as_shown(tmp_path: Path) -> None:
    def deep(value: int) -> Dataset:
        dataset = picture(BitsAllocated=16, BitsStored=16, HighBit=15)
        dataset.add_new("PixelData", "OW", (np.arange(16, dtype=np.uint16) * 4000 + value).tobytes())
        return dataset

    first = write(tmp_path, deep(0), str(ExplicitVRLittleEndian), "first.dcm")
    second = write(tmp_path, deep(0), str(ImplicitVRLittleEndian), "second.dcm")
    third = write(tmp_path, deep(1), str(ImplicitVRLittleEndian), "third.dcm")
    assert compare_pixels(first, second, limits=LIMITS)[0]
    assert not compare_pixels(first, third, limits=LIMITS)[0], "a window would show them alike"


def test_what_cannot_be_decoded_is_not_the_same(tmp_path: Path) -> None:
    first = write(tmp_path, picture(), str(ExplicitVRLittleEndian), "first.dcm")
    broken = write(tmp_path, picture(Rows=5), str(ImplicitVRLittleEndian), "broken.dcm")
    same, detail = compare_pixels(first, broken, limits=LIMITS)
    assert not same
    assert "cannot be compared" in detail


def test_data_sets_are_compared_beneath_their_encoding(tmp_path: Path) -> None:
    report = picture(PixelData=None, ContentSequence=[picture(PixelData=None)])
    first = write(tmp_path, report, str(ExplicitVRLittleEndian), "first.dcm")
    second = write(tmp_path, report, str(ImplicitVRLittleEndian), "second.dcm")
    assert compare_datasets(first, second)[0]
    report.ContentSequence[0].PatientID = "P2"
    third = write(tmp_path, report, str(ImplicitVRLittleEndian), "third.dcm")
    assert not compare_datasets(first, third)[0]
