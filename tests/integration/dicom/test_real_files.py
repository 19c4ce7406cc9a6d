"""Every file that scanners and other people's tests gave us is read as what it is, or refused in one clear line."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest

from echonode.core.clip import Mode
from echonode.core.errors import BadInput
from echonode.core.settings import LimitsSection
from echonode.dicom.facts import facts_of
from echonode.dicom.pixels import read_clip
from tests.support.shown import everything, shown_by_pydicom

LIMITS = LimitsSection()
pytestmark = pytest.mark.filterwarnings("ignore")  # the files are odd on purpose, and pydicom says so

# file, mode, frames, mean interval in ms, calibrated, stage
FACTS = [
    ("adult_xario/I_000031", Mode.B_MODE, 64, 33.333, True, None),
    ("adult_xario/I_000032", Mode.COLOUR, 67, 33.333, True, None),
    ("adult_xario/I_000034", Mode.M_MODE, 1, None, True, None),
    ("adult_xario/I_000038", Mode.TDI, 1, None, True, None),
    ("paediatric_hp/I_000001", Mode.B_MODE, 34, 30.0, True, None),
    ("paediatric_hp/I_000002", Mode.B_MODE, 34, 31.0, True, None),
    ("paediatric_hp/I_000003", Mode.B_MODE, 17, 67.0, True, None),
    *((f"stress_acuson/I_{n:06d}", Mode.B_MODE, 10, 40.0, True, "Baseline") for n in range(7, 13)),
    ("stress_acuson/I_000013", Mode.B_MODE, 15, 27.619, True, "Low Dose"),
    ("stress_acuson/I_000014", Mode.B_MODE, 16, 25.778, True, "Low Dose"),
    ("stress_acuson/I_000015", Mode.B_MODE, 15, 25.714, True, "Low Dose"),
    ("stress_acuson/I_000016", Mode.B_MODE, 15, 26.190, True, "Low Dose"),
    ("stress_acuson/I_000017", Mode.B_MODE, 15, 27.619, True, "Low Dose"),
    ("stress_acuson/I_000018", Mode.B_MODE, 15, 26.190, True, "Low Dose"),
    ("single/examples_ybr_color", Mode.B_MODE, 30, 33.333, False, None),
    ("single/IM00001.implicit_little_endian", Mode.COLOUR, 8, 44.286, True, "Im Post 400"),
    ("single/GREYSCALE_CINE", Mode.B_MODE, 27, 33.333, True, None),
    ("single/GREYSCALE_IMAGE", Mode.B_MODE, 1, None, True, None),
    ("single/JPGLosslessP14SV1_1s_1f_8b", Mode.B_MODE, 1, None, True, None),
    ("single/OBXXXX1A", Mode.B_MODE, 1, None, True, None),
    ("single/OBXXXX1A_rle_2frame", Mode.B_MODE, 2, None, True, None),
    ("single/US-PAL-8-10x-echo", Mode.UNKNOWN, 10, 76.0, False, None),
    ("single/jpeg-ls-Palette", Mode.UNKNOWN, 10, 76.0, False, None),
    ("single/gdcm-US-ALOKA-16", Mode.B_MODE, 1, None, True, None),
    ("single/YBR_422", Mode.B_MODE, 1, None, True, None),
    ("single/no-pixel-spacing", Mode.B_MODE, 1, None, True, None),
    ("single/color-pl", Mode.COLOUR, 1, None, False, None),
    ("single/US1_UNCI", Mode.UNKNOWN, 1, None, False, None),
    ("single/US1_J2KI", Mode.UNKNOWN, 1, None, False, None),
    ("single/US1_RLE", Mode.UNKNOWN, 1, None, False, None),
    ("single/examples_jpeg2k", Mode.UNKNOWN, 1, None, False, None),
    ("single/ExplVR_BigEnd", Mode.UNKNOWN, 1, None, False, None),
]


@pytest.mark.parametrize(("name", "mode", "frames", "interval", "calibrated", "stage"), FACTS)
def test_facts_of_real_objects(
    shared_data: Path,
    name: str,
    mode: Mode,
    frames: int,
    interval: float | None,
    calibrated: bool,
    stage: str | None,
) -> None:
    header = pydicom.dcmread(shared_data / "ultrasound" / f"{name}.dcm", stop_before_pixels=True)
    facts = facts_of(header, transfer_syntax_uid=str(header.file_meta.TransferSyntaxUID), calling_ae="CART")
    assert (facts.mode, facts.frames, facts.calibrated, facts.stage) == (mode, frames, calibrated, stage)
    assert facts.frame_time_ms == (None if interval is None else pytest.approx(interval, abs=1e-3))
    assert facts.longest_gap_ms == facts.frame_time_ms or facts.longest_gap_ms == pytest.approx(facts.frame_time_ms)
    assert facts.has_pixels
    assert not facts.derived
    assert facts.mode_reason
    assert facts.view_reason
    assert (facts.modality, facts.calling_ae) == ("US", "CART")


REFUSED = {
    "xario_truncated_60pct": "cut off",
    "MR_truncated": "cut off",
    "rtplan_truncated": "no picture",
    "JPEG2000-embedded-sequence-delimiter": "does not go with",
    "chrKoreanMulti": "no pixel data",
    "parametric_map_float": "no pixel data",
    "waveform_ecg": "no picture",
    "reportsi_with_empty_number_tags": "no picture",
    "no_meta": "no readable DICOM file",
    "ExplVR_BigEndNoMeta": "no readable DICOM file",
    "ExplVR_LitEndNoMeta": "no readable DICOM file",
    "UN_sequence": "no picture",
    "chrSQEncoding": "no picture",
    "empty_charset_LEI": "no picture",
    "meta_missing_tsyntax": "no picture",
    "no-meta-length-test": "no picture",
    "no_meta_group_length": "no picture",
    "no_preamble_dicm_in_data": "no picture",
}


def test_every_file_decodes_as_pydicom_decodes_it_or_is_refused_with_a_reason(shared_data: Path) -> None:
    compared = 0
    for path in everything(shared_data):
        if path.stem in REFUSED:
            with pytest.raises(BadInput, match=REFUSED[path.stem]):
                read_clip(path, limits=LIMITS)
            continue
        frames = read_clip(path, limits=LIMITS).frames
        if path.stem in ("us_mf_h264_mp4_in_dicom", "badVR"):
            continue  # pydicom decodes neither
        expected = shown_by_pydicom(path)
        assert expected.shape == frames.shape, path.name
        if expected.max() <= 255 and expected.min() >= 0:
            difference = np.abs(expected.astype(int) - frames)
            assert difference.max() <= 3, path.name
            assert difference.mean() < 0.05, path.name
            compared += 1
    assert compared > 40


def test_facts_of_every_file_are_found_without_an_exception(shared_data: Path) -> None:
    for path in everything(shared_data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            facts_of(header, transfer_syntax_uid="")


def test_an_mp4_inside_dicom_gives_all_its_frames(shared_data: Path) -> None:
    clip = read_clip(shared_data / "derived" / "us_mf_h264_mp4_in_dicom.dcm", limits=LIMITS)
    assert clip.frames.shape == (70, 600, 800, 3)
    assert clip.mode is Mode.COLOUR
