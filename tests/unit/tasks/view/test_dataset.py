"""The layouts that views are learned from, and the cache of what they hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from echonode.core.errors import BadInput
from echonode.dicom.video import write_video
from echonode.tasks.view import dataset as view_dataset
from echonode.tasks.view.classes import CLASSES
from echonode.tasks.view.dataset import Cache, layout, pictures_of
from echonode.tasks.view.simulated import Recording, Shown
from echonode.training.dataset import Candidate, Split, frozen


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Two videos in folders named for views, and a DICOM loop whose header codes one."""
    chance = np.random.default_rng(1)
    for place in ("train/A2C/anna_1.mp4", "test/psax/otto_1.mp4"):
        file = tmp_path / "site" / place
        file.parent.mkdir(parents=True)
        frames = np.zeros((8, 96, 96, 3), np.uint8)
        frames[:, 20:80, 20:80] = chance.integers(0, 255, (8, 60, 60, 1))
        write_video(file, frames, fps=25)
    real = get_testdata_file("examples_ybr_color.dcm")
    assert isinstance(real, str)
    coded = dcmread(real)
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "399214001", "SCT", "Apical four chamber"
    coded.ViewCodeSequence = [item]
    coded.save_as(tmp_path / "site" / "loop.dcm")
    (tmp_path / "site" / "notes.txt").write_text("nothing")
    return tmp_path / "site"


def test_folders_and_headers_tell_the_view(site: Path) -> None:
    """A site has its loops in folders, or has a scanner that codes the view: neither needs a list."""
    found = {each.key: each for each in layout(site)}
    assert {key: each.labels["view"] for key, each in found.items()} == {
        "loop.dcm": "A4C", "test/psax/otto_1.mp4": "PSAX", "train/A2C/anna_1.mp4": "A2C",
    }  # fmt: skip
    assert found["train/A2C/anna_1.mp4"].split is Split.TRAIN
    assert found["train/A2C/anna_1.mp4"].patient == "anna"
    patient = str(dcmread(site / "loop.dcm").PatientID)
    assert patient not in found["loop.dcm"].patient


def test_a_list_tells_the_view_and_a_wrong_line_is_named(site: Path) -> None:
    """A typing error in a list of thousands must be found by its line."""
    listed = site / "views.csv"
    listed.write_text("file,view,patient,split\nloop.dcm,SC-SAX,p1,val\ntest/psax/otto_1.mp4,PSAX,p2,\n")
    first, second = layout(listed)
    assert (first.labels["view"], first.patient, first.split) == ("SUBCOSTAL", "p1", Split.VALIDATION)
    assert second.split is None
    for line, words in (
        ("loop.dcm,heart", "line 2.*'heart'"),
        ("gone.dcm,PLAX", "line 2.*not there"),
        (",PLAX", "file"),
    ):
        listed.write_text(f"file,view\n{line}\n")
        with pytest.raises(BadInput, match=words):
            list(layout(listed))


def test_recordings_are_prepared_once_as_the_runner_prepares_them(site: Path, tmp_path: Path) -> None:
    """Preparing thousands of loops takes hours: it must not be done twice, nor otherwise than in use."""
    data = frozen(layout(site), name="view", source="a site", seed=0, roots=[site])
    cache = Cache(tmp_path / "cache", data, Recording(frames=3, side=64))
    samples = cache.samples(data.items)
    assert [CLASSES[sample.label] for sample in samples] == ["A4C", "PSAX", "A2C"]
    assert {pictures.shape for pictures in pictures_of(samples)} == {(3, 64, 64)}
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    cache.samples(data.items)
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}


def test_a_file_that_cannot_be_read_is_left_out_and_named(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One damaged video must not end the training of a night, nor go missing from a table without a word."""
    shutil.copy(site / "notes.txt", site / "train" / "A2C" / "broken_1.mp4")
    data = frozen(layout(site), name="view", source="a site", seed=0, roots=[site])
    assert len(data.items) == 4
    assert len(Cache(tmp_path / "cache", data, Recording(frames=2, side=48)).samples(data.items)) == 3
    assert capsys.readouterr().err == "left out: train/A2C/broken_1.mp4: no picture in it, or it cannot be read\n"


def test_only_what_is_learned_from_is_varied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The locked test must show the simulated studies as they are."""
    seen = {}

    def shown(study: object, recording: Recording) -> list[Shown]:
        seen[len(seen)] = recording.varied
        return [Shown(pictures=np.zeros((2, 48, 48), np.uint8), view="PLAX", kind="planned")]

    monkeypatch.setattr(view_dataset, "shown", shown)
    found = [
        Candidate(key=str(split), patient=str(split), split=split, phantom=("phantom:3@5/routine", number))
        for number, split in enumerate((Split.TRAIN, Split.VALIDATION, Split.TEST))
    ]
    data = frozen(found, name="view", source="phantom", seed=0)
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        Cache(tmp_path, data, Recording(frames=2, side=48)).samples(data.by_split()[split])
    assert seen == {0: True, 1: False, 2: False}
