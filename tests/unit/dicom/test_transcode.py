"""Objects decoded on their way out: the same picture, a header that says what it is, and nothing decoded blindly."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.filereader import read_dataset

from echonode.core.errors import BudgetExceeded, EchonodeError, Undecodable
from echonode.core.settings import LimitsSection
from echonode.dicom.part10 import part10_head
from echonode.dicom.storage import EXPLICIT_LE, IMPLICIT_LE
from echonode.dicom.transcode import transcode_file, transcode_frames


def transcoded(source: Path, target: Path, syntax: str, limits: LimitsSection | None = None) -> Dataset:
    transcode_file(source, target, transfer_syntax_uid=syntax, limits=limits or LimitsSection())
    head = part10_head(sop_class_uid="1.2", sop_instance_uid="1.2", transfer_syntax_uid=syntax)
    return dcmread(BytesIO(head + target.read_bytes()))


def example(name: str) -> Path:
    path = get_testdata_file(name)
    assert path is not None
    return Path(str(path))


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE])
@pytest.mark.parametrize(
    "name", ["MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small.dcm"]
)
def test_lossless_pixels_are_the_same_to_the_bit(name: str, syntax: str, tmp_path: Path) -> None:
    result = transcoded(example(name), tmp_path / "out", syntax)
    assert np.array_equal(result.pixel_array, dcmread(example("MR_small.dcm")).pixel_array)
    assert result.PatientName == dcmread(example(name)).PatientName


def test_a_jpeg_loop_comes_out_as_rgb_frames_and_says_that_it_was_lossy(tmp_path: Path) -> None:
    source = example("examples_ybr_color.dcm")
    result = transcoded(source, tmp_path / "out", EXPLICIT_LE)
    original = dcmread(source)
    assert result.PhotometricInterpretation == "RGB"
    assert result.PlanarConfiguration == 0
    assert result.pixel_array.shape == original.pixel_array.shape
    assert result.get("LossyImageCompression") == original.get("LossyImageCompression")
    assert np.abs(result.pixel_array.astype(int) - original.pixel_array.astype(int)).max() <= 3


def test_a_frame_of_big_endian_words_comes_out_little_endian(tmp_path: Path) -> None:
    lengths = transcode_frames(
        example("MR_small_bigendian.dcm"),
        tmp_path / "out",
        frames=(0,),
        transfer_syntax_uid=EXPLICIT_LE,
        limits=LimitsSection(),
    )
    assert (tmp_path / "out").read_bytes() == dcmread(example("MR_small.dcm")).PixelData
    assert lengths == [(tmp_path / "out").stat().st_size]


def test_a_report_keeps_every_element(tmp_path: Path) -> None:
    source = example("reportsi.dcm")
    result = transcoded(source, tmp_path / "out", IMPLICIT_LE)
    original = dcmread(source)
    assert [element.tag for element in result] == [element.tag for element in original]
    assert result.ContentSequence[0].ConceptNameCodeSequence == original.ContentSequence[0].ConceptNameCodeSequence


def test_the_budget_is_judged_before_anything_is_decoded(tmp_path: Path) -> None:
    limits = LimitsSection(frame_bytes=1 << 20, decoded_bytes=1 << 20)
    with pytest.raises(BudgetExceeded):
        transcoded(example("examples_ybr_color.dcm"), tmp_path / "out", EXPLICIT_LE, limits)
    assert not (tmp_path / "out").exists()


def test_a_bomb_of_a_few_bytes_is_refused(tmp_path: Path) -> None:
    """60000 x 60000 x 100 declared, 64 bytes there: others try to allocate 335 GiB."""
    dataset = dcmread(example("MR_small_RLE.dcm"))
    dataset.Rows = dataset.Columns = 60000
    dataset.NumberOfFrames = 100
    dataset.save_as(tmp_path / "bomb.dcm")
    with pytest.raises(BudgetExceeded):
        transcoded(tmp_path / "bomb.dcm", tmp_path / "out", EXPLICIT_LE)


def test_other_syntaxes_are_not_made(tmp_path: Path) -> None:
    with pytest.raises(Undecodable):
        transcoded(example("MR_small.dcm"), tmp_path / "out", "1.2.840.10008.1.2.5")


@pytest.mark.filterwarnings("ignore")
def test_every_odd_file_is_transcoded_or_refused_with_a_reason(shared_data: Path, tmp_path: Path) -> None:
    done, reasons = 0, []
    for source in sorted(shared_data.rglob("*.dcm")):
        if source.stat().st_size > 20 << 20 or "adult" in str(source) or "stress" in str(source):
            continue
        try:
            transcode_file(source, tmp_path / "out", transfer_syntax_uid=EXPLICIT_LE, limits=LimitsSection())
        except EchonodeError as error:
            reasons.append(str(error))
            continue
        dataset = read_dataset(BytesIO((tmp_path / "out").read_bytes()), is_implicit_VR=False, is_little_endian=True)
        assert len(list(dataset.iterall())) > 1, source.name
        done += 1
    assert done > 20
    assert all(reasons)
