"""The field's layouts of M-mode data, and what simulated sweeps teach."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from echonode.core.errors import BadInput
from echonode.phantom.cohort import Cohort
from echonode.tasks.mmode.case import Case
from echonode.tasks.mmode.dataset import (
    Cache,
    end_systoles,
    mask_layout,
    quality_layout,
    samples,
    simulated_sample,
)
from echonode.tasks.mmode.sample import UNKNOWN, Sample, relit, seen
from echonode.tasks.mmode.spoiling import spoiled
from echonode.tasks.mmode.train_quality import bootstrap_of, told_of
from echonode.training.dataset import DatasetManifest, Split, frozen
from tests.support.mmode import SECONDS, heart, write_mmode

HEADING = "Recording,Good-Start,Good-End,Bad-Start,Bad-End\n"


def _data(folder: Path, table: Path) -> DatasetManifest:
    return frozen(quality_layout(table), name="mmode", source="a test", seed=0, roots=[folder], shares=(1.0, 0.0, 0.0))


def test_an_experts_spans_become_labels_of_columns(tmp_path: Path) -> None:
    """Times, not columns: the same table fits recordings of any sweep speed; two spaces part good spans, one bad ones."""
    strip = heart(columns=500).strip
    write_mmode(tmp_path / "mouse7_1.dcm", strip[None])
    table = tmp_path / "spans.csv"
    table.write_text(HEADING + "mouse7_1.dcm,0  0.5,0.2  0.7,0.2 0.8,0.4 0.9\n")
    data = _data(tmp_path, table)
    (item,) = data.items
    assert item.patient == "mouse7"
    (path,) = samples(data, Split.TRAIN, Cache(folder=tmp_path / "cache", processes=1), quiet=True)
    good = Sample.load(path).good
    assert len(good) == round(500 * SECONDS / 0.01)
    assert good[:20].tolist() == [1] * 20
    assert good[20:40].tolist() == [0] * 20
    assert good[40:50].tolist() == [UNKNOWN] * 10
    assert good[50:70].tolist() == [1] * 20
    assert good[80:90].tolist() == [0] * 10


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gone.dcm,0,1,,", "is not beside it"),
        ("there.dcm,0 1,1,,", "as many starts as ends"),
        ("there.dcm,2,1,,", "each before its end"),
        ("there.dcm,now,1,,", "now"),
    ],
)
def test_a_wrong_line_of_the_expert_is_named(line: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "there.dcm").write_bytes(b"")
    (tmp_path / "spans.csv").write_text(HEADING + line + "\n")
    with pytest.raises(BadInput, match=words):
        list(quality_layout(tmp_path))


def test_windows_of_one_recording_stay_together(tmp_path: Path) -> None:
    """A split by window would show the same heart in training and in the test."""
    for folder in ("img", "mask"):
        (tmp_path / folder).mkdir()
        for stem in ("a_1", "a_2", "b_1"):
            picture = np.zeros((64, 64), np.uint8)
            picture[20:44] = 255
            cv2.imwrite(str(tmp_path / folder / f"{stem}.png"), picture)
    found = list(mask_layout(tmp_path))
    assert [each.patient for each in found] == ["a", "a", "b"]
    data = frozen(found, name="m", source="a test", seed=0, roots=[tmp_path], shares=(1.0, 0.0, 0.0))
    paths = samples(data, Split.TRAIN, Cache(folder=tmp_path / "cache", processes=1), quiet=True)
    walls = Sample.load(paths[0]).walls
    assert walls[1, 30] == pytest.approx(20 * 2.5 - 0.5)
    assert walls[2, 30] == pytest.approx(44 * 2.5 - 0.5)
    assert np.isnan(walls[0]).all(), "a mask of the cavity does not tell where the septum begins"
    (tmp_path / "mask" / "b_1.png").unlink()
    with pytest.raises(BadInput, match="has no mask"):
        list(mask_layout(tmp_path))


def test_both_orders_of_the_authors_folders_are_read(tmp_path: Path) -> None:
    """Their script writes good/npys and their loader reads npys/good."""
    for number, folder in enumerate(("good/npys", "npys/bad")):
        (tmp_path / folder).mkdir(parents=True)
        np.save(tmp_path / folder / f"m{number}_0.npy", np.full((32, 32), 9, np.uint8))
    found = {each.patient: each.labels["good"] for each in quality_layout(tmp_path)}
    assert found == {"m0": True, "m1": False}


def test_a_simulated_sweep_teaches_its_own_truth(tmp_path: Path) -> None:
    """Rows and columns of the truth must lie on the picture as the networks see it, or they learn a bias."""
    plan = Cohort.parse("phantom:1@5").__getitem__(0).sweeps[0]
    swept = plan.sweep(rows=240, columns=320)
    case = Case.of(swept, key="k", patient="p", quality=plan.quality)
    case.save(tmp_path / "case.npz")
    again = Case.load(tmp_path / "case.npz")
    assert np.array_equal(again.clip.frames, swept.frame[None])
    assert again.clip.regions == swept.regions
    sample = simulated_sample(again)
    lvid = sample.walls[2] - sample.walls[1]
    assert sample.diastoles is not None
    assert sample.systoles is not None
    inside = [round(float(at)) for at in sample.diastoles if 0 <= at < len(lvid) - 40]
    assert np.mean([lvid[at] for at in inside]) == pytest.approx(case.lvidd_mm, abs=1.0)
    assert np.mean([lvid[round(float(at))] for at in sample.systoles]) == pytest.approx(case.lvids_mm, abs=1.0)
    sample.save(tmp_path / "sample.npz")
    kept = Sample.load(tmp_path / "sample.npz")
    assert np.array_equal(kept.picture, sample.picture)
    view = seen(kept, np.random.default_rng(1))
    assert view.picture.shape == (160, 192)
    assert relit(view.picture, np.random.default_rng(1)).shape == (160, 192)


def test_scaling_a_view_scales_its_truth() -> None:
    rows = np.tile(np.arange(160.0)[:, None], (1, 300))
    walls = np.stack([np.full(300, at, np.float32) for at in (30, 50, 90, 110)])
    sample = Sample(
        key="k", patient="p", picture=rows.astype(np.uint8), walls=walls, diastoles=np.array([150], np.float32),
        good=np.ones(300, np.int8),
    )  # fmt: skip
    for seed in range(5):
        view = seen(sample, np.random.default_rng(seed))
        known = np.isfinite(view.walls[1])
        at = np.rint(view.walls[1, known]).astype(int)
        values = view.picture[at, np.flatnonzero(known)].astype(float)
        np.testing.assert_allclose(values, 50, atol=1.5)


def test_what_was_made_bad_is_known() -> None:
    picture = np.random.default_rng(0).integers(0, 200, (160, 300)).astype(np.uint8)
    for seed in range(12):
        made, good = spoiled(picture, np.random.default_rng(seed))
        changed = (made != picture).any(axis=0)
        assert not changed[good].any(), "a stretch that is called good is left as it was"
        assert (changed[~good].mean() if (~good).any() else 1.0) > 0.3


def test_a_stretch_that_is_half_good_is_not_learned_from() -> None:
    good = np.array([1] * 8 + [0] * 8 + [1] * 4 + [0] * 4 + [UNKNOWN] + [1] * 7, np.int8)
    assert told_of(good).tolist() == [1.0, 0.0, -1.0, -1.0]


def test_members_learn_from_different_patients() -> None:
    patients = [f"p{number // 3}" for number in range(60)]
    one, two = (bootstrap_of(patients, seed=0, member=member) for member in (0, 1))
    assert one != two
    assert one == bootstrap_of(patients, seed=0, member=0)


def test_an_end_systole_at_the_end_is_not_known() -> None:
    lvid = 50 - 10 * np.sin(np.pi * np.arange(100) / 60)
    found = end_systoles(lvid, np.array([0.0, 60.0]))
    assert found is not None
    assert found.tolist() == [30.0]
