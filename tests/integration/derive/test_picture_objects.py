"""Segmentation, overlay and captures as a PACS and a viewer meet them: valid, honest, in time, of the right frames."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.core.results import LabelMap, Picture
from echonode.core.settings import LimitsSection, NodeSection
from echonode.derive.capture import build_capture
from echonode.derive.common import DerivedObject
from echonode.derive.overlay import build_overlay
from echonode.derive.segmentation import build_segmentation
from echonode.derive.synthetic import build_synthetic
from echonode.dicom.codestream import jpeg_header
from echonode.dicom.pixels import open_pixels, read_clip
from tests.support.labels import SEGMENTS, label_map
from tests.support.loops import loop_dataset, write_loop
from tests.support.validators import consistency_errors, iod_errors, iod_warnings

LIMITS = LimitsSection()
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PACKAGE = Package(
    name="phantom-segmentation", version="1.0.0", task="segmentation", title="Segmentation", folder=Path(),
    digest="ab" * 32, weights_sha256={"net": "cd" * 32},
)  # fmt: skip
COMMON: dict[str, Any] = {
    "package": PACKAGE, "parameters": {}, "node": NodeSection(institution="Echo Lab", station="echo-1"), "now": NOW,
}  # fmt: skip
PICTURE = Picture(pixels=np.full((240, 320, 3), 60, np.uint8), title="M-mode")
MADE_UP = Picture(pixels=np.full((128, 128, 3), 60, np.uint8), title="Synthetic echo", synthetic=True)
RIGHT_PATIENT = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Right^Patient"}]},
    "00100020": {"vr": "LO", "Value": ["R1"]},
}
REAL = (
    "adult_xario/I_000031", "adult_xario/I_000038", "paediatric_hp/I_000001", "paediatric_hp/I_000003",
    "stress_acuson/I_000013", "single/examples_ybr_color", "single/OBXXXX1A_rle_2frame", "single/color-pl",
    "single/US-PAL-8-10x-echo", "single/jpeg-ls-Palette", "single/US1_J2KI", "single/GREYSCALE_CINE",
)  # fmt: skip
Make = Callable[[Path], DerivedObject]


def size_of(source: Path) -> tuple[int, int, int]:
    with open_pixels(source, limits=LIMITS) as pixels:
        return pixels.layout.frames, pixels.layout.rows, pixels.layout.columns


def labels_of(source: Path, *, most: int = 10_000) -> LabelMap:
    frames, rows, columns = size_of(source)
    return label_map(min(frames, most), rows, columns)


MAKERS: dict[str, Make] = {
    "segmentation": lambda source: build_segmentation(source, labels_of(source, most=12), **COMMON),
    "overlay": lambda source: build_overlay(source, labels_of(source, most=12), marks={0: "ED"}, **COMMON),
    "capture": lambda source: build_capture(source, PICTURE, **COMMON),
    "synthetic": lambda source: build_synthetic(source, MADE_UP, in_patient_study=True, **COMMON),
    "synthetic-apart": lambda source: build_synthetic(source, MADE_UP, **COMMON),
}


def written(derived: DerivedObject, folder: Path) -> tuple[Path, Dataset]:
    path = folder / f"{derived.kind}-{derived.sop_instance_uid[-8:]}.dcm"
    derived.write(path)
    return path, pydicom.dcmread(path)


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """Ten frames of 160 x 160 at 50 frames a second."""
    path = tmp_path / "loop.dcm"
    write_loop(path)
    return path


@pytest.fixture
def still(tmp_path: Path) -> Path:
    """One frame, as a strip of M-mode comes."""
    dataset = loop_dataset(frames=1)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    for keyword in ("NumberOfFrames", "FrameTime", "CineRate", "FrameIncrementPointer"):
        delattr(dataset, keyword)
    path = tmp_path / "still.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("shape", ["loop", "still"])
def test_validators_are_content(request: pytest.FixtureRequest, tmp_path: Path, shape: str, kind: str) -> None:
    source: Path = request.getfixturevalue(shape)
    path, _ = written(MAKERS[kind](source), tmp_path)
    assert iod_errors(path) == []
    assert [line for line in iod_warnings(path) if "DICOMDIR" not in line] == []
    assert consistency_errors([source, path]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_validators_find_no_error_of_ours_on_what_scanners_sent(shared_data: Path, tmp_path: Path, name: str) -> None:
    source = shared_data / "ultrasound" / f"{name}.dcm"
    # A source's own UIDs and dates come along: what is wrong with them is wrong in both.
    foreign = ("root for UID", "Leading zeroes", "IE=<Study>")
    paths = [written(make(source), tmp_path)[0] for make in MAKERS.values()]
    for path in paths:
        assert [line for line in iod_errors(path) if not any(word in line for word in foreign)] == [], path.name
    before = consistency_errors([source])
    after = consistency_errors([source, *paths])
    assert [line for line in after if line not in before and not any(word in line for word in foreign)] == []


def test_a_loop_of_one_video_stream_is_outlined_too(tmp_path: Path) -> None:
    from echonode.phantom.cohort import Cohort
    from echonode.phantom.frames import Syntax
    from echonode.phantom.writing import write_study

    study = Cohort.parse("phantom:1@3/quick")[0]
    plan = replace(study.loops[0], frames=5)
    write_study(replace(study, plans=(plan,)), tmp_path / "study", syntax=Syntax.H264, scale=0.3, labels=False)
    (source,) = (tmp_path / "study").glob("*.dcm")
    for kind in ("segmentation", "overlay"):
        path, dataset = written(MAKERS[kind](source), tmp_path)
        assert iod_errors(path) == []
        assert dataset.LossyImageCompression == "01"
        assert "ISO_14496_10" in dataset.LossyImageCompressionMethod


@pytest.mark.parametrize("columns", [160, 157])
def test_a_segmentation_gives_back_every_label_by_its_source_frame(tmp_path: Path, columns: int) -> None:
    from highdicom.seg import segread

    source = tmp_path / "loop.dcm"
    dataset = loop_dataset(frames=7)
    dataset.Columns = columns  # 157 x 160 pixels are no whole number of bytes: frames share one
    dataset.PixelData = dataset.PixelData[: 7 * 160 * columns]
    dataset.save_as(source, enforce_file_format=True)
    labels = label_map(4, 160, columns, first=2)
    path, _ = written(build_segmentation(source, labels, **COMMON), tmp_path)
    read = segread(path).get_pixels_by_source_frame(
        dataset.SOPInstanceUID, [3, 4, 5, 6], combine_segments=True, relabel=False
    )
    assert np.array_equal(read, labels.labels)


def test_a_still_gives_back_its_labels(tmp_path: Path, still: Path) -> None:
    from highdicom.seg import segread

    labels = label_map(1, 160, 160)
    path, dataset = written(build_segmentation(still, labels, **COMMON), tmp_path)
    uid = pydicom.dcmread(still).SOPInstanceUID
    read = segread(path).get_pixels_by_source_instance([uid], combine_segments=True, relabel=False)
    assert np.array_equal(read, labels.labels)
    image = dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    assert "ReferencedFrameNumber" not in image, "a still has no frames to refer to"


def test_each_frame_of_a_segmentation_names_its_segment_and_source_frame(tmp_path: Path, loop: Path) -> None:
    labels = label_map(4, 160, 160, first=5)
    _, dataset = written(build_segmentation(loop, labels, **COMMON), tmp_path)
    told = []
    for group in dataset.PerFrameFunctionalGroupsSequence:
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert image.ReferencedSOPInstanceUID == pydicom.dcmread(loop).SOPInstanceUID
        told.append((group.SegmentIdentificationSequence[0].ReferencedSegmentNumber, image.ReferencedFrameNumber))
    # The atrium is seen in every other frame of the labels alone.
    assert told == [(1, 6), (1, 7), (1, 8), (1, 9), (2, 6), (2, 7), (2, 8), (2, 9), (3, 7), (3, 9)]
    assert dataset.NumberOfFrames == 10
    assert [item.SegmentedPropertyTypeCodeSequence[0].CodeValue for item in dataset.SegmentSequence] == [
        code.value for code in SEGMENTS.values()
    ]
    assert len({item.TrackingUID for item in dataset.SegmentSequence}) == 3


def test_a_structure_that_is_never_seen_keeps_its_number(tmp_path: Path, loop: Path) -> None:
    labels = label_map(10, 160, 160)
    only = replace(labels, labels=np.where(labels.labels == 3, 3, 0).astype(np.uint8))
    path, dataset = written(build_segmentation(loop, only, **COMMON), tmp_path)
    numbers = {group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
               for group in dataset.PerFrameFunctionalGroupsSequence}  # fmt: skip
    assert numbers == {3}
    assert iod_errors(path) == []


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (label_map(10, 160, 150), "were not made from"),
        (label_map(4, 160, 160, first=8), "do not belong"),
        (replace(label_map(2, 160, 160), frames=(1, 0)), "in order"),
        (replace(label_map(2, 160, 160), segments={1: SEGMENTS[1]}), "have no name"),
        (replace(label_map(2, 160, 160), labels=np.zeros((2, 160, 160), np.uint8)), "no structure"),
    ],
)
def test_labels_that_do_not_belong_to_the_source_are_refused(loop: Path, labels: LabelMap, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        build_segmentation(loop, labels, **COMMON)


def test_an_overlay_plays_as_fast_as_its_source_and_shows_every_frame(tmp_path: Path, loop: Path) -> None:
    path, dataset = written(build_overlay(loop, labels_of(loop), **COMMON), tmp_path)
    assert (float(dataset.FrameTime), dataset.CineRate, dataset.RecommendedDisplayFrameRate) == (20.0, 50, 50)
    assert dataset.NumberOfFrames == 10
    assert dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    with open_pixels(path, limits=LIMITS) as pixels:
        assert jpeg_header(pixels.frame_bytes(0)).sampling == "4:2:2"
    shown, source = read_clip(path, limits=LIMITS).frames, read_clip(loop, limits=LIMITS).frames
    for index in range(10):
        frame = shown[index, 26 : 26 + 480].astype(int).mean(axis=2)
        nearest = min(range(10), key=lambda i: np.abs(frame - _grown(source[i])).mean())
        assert nearest == index, "a frame stands in the place of another"


def _grown(frame: np.ndarray) -> np.ndarray:
    return np.repeat(np.repeat(frame[..., 0], 3, axis=0), 3, axis=1).astype(int)


def test_frames_without_labels_are_shown_without_outlines(tmp_path: Path, loop: Path) -> None:
    path, dataset = written(build_overlay(loop, label_map(3, 160, 160, first=4), **COMMON), tmp_path)
    shown = read_clip(path, limits=LIMITS).frames
    coloured = [int((np.ptp(frame[26:506].astype(int), axis=2) > 60).sum()) for frame in shown]
    assert min(coloured[4:7]) > 500 > max(coloured[:4] + coloured[7:])
    assert "3 of 10 frames" in dataset.DerivationDescription


def test_marks_are_told_and_make_another_object(tmp_path: Path, loop: Path) -> None:
    plain = build_overlay(loop, labels_of(loop), **COMMON)
    marked = build_overlay(loop, labels_of(loop), marks={0: "ED", 5: "ES"}, **COMMON)
    assert plain.sop_instance_uid != marked.sop_instance_uid, "one UID names two movies"
    _, dataset = written(marked, tmp_path)
    assert "ED in frame 1, ES in frame 6" in dataset.DerivationDescription
    with pytest.raises(BadInput):
        build_overlay(loop, labels_of(loop), marks={10: "ED"}, **COMMON)


@pytest.mark.parametrize("kind", MAKERS)
def test_every_object_says_what_it_is_and_where_it_comes_from(tmp_path: Path, loop: Path, kind: str) -> None:
    source = pydicom.dcmread(loop)
    derived = MAKERS[kind](loop)
    _, dataset = written(derived, tmp_path)
    assert (dataset.SOPInstanceUID, dataset.SeriesInstanceUID) == (derived.sop_instance_uid, derived.series_uid)
    assert dataset.file_meta.TransferSyntaxUID == derived.transfer_syntax_uid
    assert dataset.SOPClassUID == derived.sop_class_uid
    assert dataset.ContentQualification == "RESEARCH"
    assert dataset.SeriesDescription.endswith("RESEARCH")
    assert dataset.BodyPartExamined == "HEART"
    assert "RESEARCH USE ONLY" in dataset.ImageComments
    assert dataset.Manufacturer == "echonode"
    assert "SequenceOfUltrasoundRegions" not in dataset
    assert "PixelSpacing" not in dataset
    equipment = dataset.ContributingEquipmentSequence[-1]
    assert "cd" * 32 in equipment.ContributionDescription
    synthetic = kind.startswith("synthetic")
    assert dataset.get("SyntheticData") == ("YES" if synthetic else None)
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == ("109100" if synthetic else "109102")
    assert dataset.Modality == {"segmentation": "SEG", "overlay": "US", "capture": "US"}.get(kind, "OT")
    if kind == "synthetic-apart":
        return
    assert dataset.StudyInstanceUID == source.StudyInstanceUID
    assert (dataset.PatientID, dataset.AccessionNumber) == ("P1", "A1")
    assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
    reference = dataset.ReferencedSeriesSequence[0]
    assert reference.SeriesInstanceUID == source.SeriesInstanceUID
    assert reference.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_series_numbers_tell_kinds_apart(tmp_path: Path, loop: Path) -> None:
    numbers = {kind: written(make(loop), tmp_path)[1].SeriesNumber for kind, make in MAKERS.items()}
    assert numbers.pop("synthetic-apart") == numbers["synthetic"]
    assert len(set(numbers.values())) == len(numbers)


@pytest.mark.parametrize("kind", MAKERS)
def test_objects_of_a_lossy_source_say_that_it_was_lossy(tmp_path: Path, loop: Path, kind: str) -> None:
    overlay, _ = written(MAKERS["overlay"](loop), tmp_path)  # a JPEG
    _, dataset = written(MAKERS[kind](overlay), tmp_path)
    if kind == "synthetic-apart":
        assert dataset.LossyImageCompression == "00"
        return
    assert dataset.LossyImageCompression == "01"
    methods, ratios = dataset.LossyImageCompressionMethod, dataset.LossyImageCompressionRatio
    many = kind == "overlay"
    assert (list(methods) if many else [methods]) == ["ISO_10918_1"] * (2 if many else 1)
    assert len(ratios if many else [ratios]) == (2 if many else 1)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_retry_makes_the_same_object_and_a_change_another(tmp_path: Path, loop: Path, kind: str) -> None:
    def make(**changes: Any) -> DerivedObject:
        options = COMMON | changes
        if kind == "segmentation":
            return build_segmentation(loop, labels_of(loop), **options)
        if kind == "overlay":
            return build_overlay(loop, labels_of(loop), **options)
        if kind == "capture":
            return build_capture(loop, PICTURE, **options)
        return build_synthetic(loop, MADE_UP, in_patient_study=kind == "synthetic", **options)

    first = make()
    first.write(tmp_path / "a.dcm")
    make().write(tmp_path / "b.dcm")
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    others = [make(revision=1), make(parameters={"seed": 1}), make(package=replace(PACKAGE, digest="ee" * 32))]
    if kind not in ("segmentation", "overlay"):
        others.append(make(index=1))
    assert len({first.sop_instance_uid, *(other.sop_instance_uid for other in others)}) == len(others) + 1


@pytest.mark.parametrize("kind", ["segmentation", "overlay", "capture"])
def test_a_corrected_patient_is_the_one_that_objects_name(tmp_path: Path, loop: Path, kind: str) -> None:
    options = COMMON | {"patient": RIGHT_PATIENT, "revision": 1}
    derived = {
        "segmentation": lambda: build_segmentation(loop, labels_of(loop), **options),
        "overlay": lambda: build_overlay(loop, labels_of(loop), **options),
        "capture": lambda: build_capture(loop, PICTURE, **options),
    }[kind]()
    path, dataset = written(derived, tmp_path)
    assert (str(dataset.PatientName), dataset.PatientID) == ("Right^Patient", "R1")
    assert not dataset.PatientBirthDate
    assert b"Echo^Ada" not in path.read_bytes()


def test_private_elements_and_icons_of_the_source_stay_behind(tmp_path: Path) -> None:
    source = loop_dataset()
    source.private_block(0x200D, "VENDOR", create=True).add_new(0x01, "LO", "secret raw data")
    source.IconImageSequence = [Dataset()]
    source.save_as(tmp_path / "loop.dcm", enforce_file_format=True)
    for make in MAKERS.values():
        path, dataset = written(make(tmp_path / "loop.dcm"), tmp_path)
        assert b"secret raw data" not in path.read_bytes()
        assert "IconImageSequence" not in dataset


def test_a_synthetic_picture_apart_leads_to_no_patient(tmp_path: Path, loop: Path) -> None:
    source = pydicom.dcmread(loop)
    derived = build_synthetic(loop, MADE_UP, **COMMON)
    path, dataset = written(derived, tmp_path)
    assert dataset.PatientID.startswith("SYNTHETIC")
    assert derived.study_uid == dataset.StudyInstanceUID != source.StudyInstanceUID
    content = path.read_bytes()
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "AccessionNumber", "Manufacturer"):
        assert str(source[keyword].value).encode() not in content, keyword
    assert not dataset.StudyDate
    assert b"Echo^Ada" not in content
    assert not {"SourceImageSequence", "ReferencedSeriesSequence"} & set(dataset.dir())
    other, _ = written(build_synthetic(loop, MADE_UP, index=1, **COMMON), tmp_path)
    assert consistency_errors([path, other]) == []


def test_a_synthetic_picture_carries_its_banner_seed_and_sampler(tmp_path: Path, loop: Path) -> None:
    options = COMMON | {"parameters": {"sampler": "ddim", "steps": 50, "seed": 7}}
    path, dataset = written(build_synthetic(loop, MADE_UP, **options), tmp_path)
    assert dataset.ConversionType == "SYN"
    assert "sampler ddim, steps 50, seed 7" in dataset.DerivationDescription
    shown = read_clip(path, limits=LIMITS).frames[0]
    assert (shown == (255, 205, 60)).all(axis=2).any(), "no banner is burnt in"
    none, _ = written(build_synthetic(None, MADE_UP, **options), tmp_path)
    assert iod_errors(none) == []


def test_a_synthetic_picture_tells_how_it_was_made_when_nothing_was_asked(tmp_path: Path, loop: Path) -> None:
    """Without sampler, steps and seed nobody can make the picture again."""
    package = replace(PACKAGE, config={"sampler": "dpm-solver++", "respacing": "20"})
    made = build_synthetic(loop, MADE_UP, **COMMON | {"package": package})
    _, dataset = written(made, tmp_path)
    assert "sampler dpm-solver++, respacing 20, seed 0" in dataset.DerivationDescription
    asked = build_synthetic(loop, MADE_UP, **COMMON | {"package": package, "parameters": {"steps": 9}})
    _, dataset = written(asked, tmp_path)
    assert "sampler dpm-solver++, steps 9, seed 0" in dataset.DerivationDescription


def test_pictures_of_patients_and_pictures_of_nobody_are_not_mixed_up(loop: Path) -> None:
    with pytest.raises(BadInput):
        build_capture(loop, MADE_UP, **COMMON)
    with pytest.raises(BadInput):
        build_synthetic(loop, PICTURE, **COMMON)
    with pytest.raises(BadInput):
        build_synthetic(None, MADE_UP, in_patient_study=True, **COMMON)
    with pytest.raises(BadInput):
        build_capture(loop, Picture(pixels=np.zeros((4, 4), np.uint8), title="flat"), **COMMON)


def test_a_capture_fits_a_screen_and_names_its_model(tmp_path: Path, loop: Path) -> None:
    large = Picture(pixels=np.full((1500, 2600, 3), 255, np.uint8), title="Area of the ventricle, größer")
    path, dataset = written(build_capture(loop, large, identifies=True, **COMMON), tmp_path)
    assert max(dataset.Rows, dataset.Columns) <= 1024
    assert dataset.BurnedInAnnotation == "YES"
    assert "größer" in dataset.ImageComments
    strip = read_clip(path, limits=LIMITS).frames[0][-22:]
    assert strip.min() < 60, "no footer"


@pytest.mark.parametrize("kind", ["segmentation", "overlay", "capture", "synthetic"])
def test_dcmtk_decodes_a_frame(program: Callable[[str], str], tmp_path: Path, loop: Path, kind: str) -> None:
    tool = program("dcmj2pnm")
    path, _ = written(MAKERS[kind](loop), tmp_path)
    done = subprocess.run([tool, "--write-png", "--frame", "1", str(path), str(tmp_path / "f.png")], check=False)
    assert done.returncode == 0
    assert (tmp_path / "f.png").stat().st_size > 200
