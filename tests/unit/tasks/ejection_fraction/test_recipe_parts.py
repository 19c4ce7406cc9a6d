"""What the recipe learns from: lists of sites, clips with their truth, where a training begins, maps of embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from echonode.core.errors import BadInput, CheckpointRefused, PackageInvalid
from echonode.tasks.ejection_fraction import train
from echonode.tasks.ejection_fraction.beginning import begin
from echonode.tasks.ejection_fraction.clips import Loop, clip_by_number, clip_by_time
from echonode.tasks.ejection_fraction.convention import Convention
from echonode.tasks.ejection_fraction.dataset import layout
from echonode.tasks.ejection_fraction.embeddings import principal, t_sne
from echonode.tasks.ejection_fraction.estimator import arguments_of
from echonode.tasks.ejection_fraction.learner import Learner, Weights
from echonode.tasks.ejection_fraction.loops import four_chamber
from echonode.tasks.ejection_fraction.net import build
from echonode.training.arguments import TrainingArguments
from echonode.training.dataset import Split

SMALL = Convention(frames=24, side=80, period_ms=50.0)
WIDTHS, DEPTHS = (8, 16, 64), (1, 1, 1)


def dynamic(folder: Path, rows: str, *, tracings: str | None = None, videos: tuple[str, ...] = ("A", "B", "C")) -> Path:
    (folder / "Videos").mkdir(parents=True)
    for name in videos:
        (folder / "Videos" / f"{name}.avi").write_bytes(name.encode())
    (folder / "FileList.csv").write_text("FileName,EF,ESV,EDV,Split\n" + rows)
    if tracings is not None:
        (folder / "VolumeTracings.csv").write_text("FileName,X1,Y1,X2,Y2,Frame\n" + tracings)
    return folder


def test_the_splits_of_echonet_dynamic_are_kept_and_untraced_videos_left_out(tmp_path: Path) -> None:
    """Else a published number is compared with one of other patients."""
    folder = dynamic(
        tmp_path, "A,55.5,1,2,TRAIN\nB,30,1,2,VAL\nC,70,1,2,TEST\n",
        tracings="A.avi,1,1,2,2,10\nA.avi,1,1,2,2,30\nB.avi,0,0,1,1,3\nB.avi,0,0,1,1,9\nC.avi,1,1,2,2,7\n",
    )  # fmt: skip
    found = list(layout(folder))
    assert [(each.key, each.split, each.labels["ef"]) for each in found] == [
        ("A", Split.TRAIN, 55.5),
        ("B", Split.VALIDATION, 30.0),
    ]
    assert found[0].files[0].name == "A.avi"


def test_a_list_that_names_a_missing_video_or_no_percentage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such video"):
        list(layout(dynamic(tmp_path / "one", "D,55,1,2,TRAIN\n")))
    with pytest.raises(BadInput, match="percentage"):
        list(layout(dynamic(tmp_path / "two", "A,high,1,2,TRAIN\n")))


def test_a_folder_with_one_csv_needs_only_file_and_ef(tmp_path: Path) -> None:
    (tmp_path / "one.dcm").write_bytes(b"1")
    (tmp_path / "two.mp4").write_bytes(b"2")
    (tmp_path / "list.csv").write_text("file,EF,patient,split\none,61,P1,train\ntwo.mp4,33.0,P2,\n")
    found = list(layout(tmp_path))
    assert [(each.patient, each.files[0].name, each.labels["ef"], each.split) for each in found] == [
        ("P1", "one.dcm", 61.0, Split.TRAIN),
        ("P2", "two.mp4", 33.0, None),
    ]
    (tmp_path / "other.csv").write_text("")
    with pytest.raises(BadInput, match="2 are there"):
        list(layout(tmp_path))


def beating(frames: int = 30) -> Loop:
    """A bright cavity, so that picture and cavity show the same place."""
    pictures, cavity = np.zeros((frames, 96, 96), np.uint8), np.zeros((frames, 48, 48), np.uint8)
    for number in range(frames):
        length = 26 + round(6 * np.cos(number / 4))
        cv2.ellipse(pictures[number], (52, 44), (14, length), 10, 0, 360, 255, -1)
        cavity[number] = cv2.resize(pictures[number], (48, 48), interpolation=cv2.INTER_AREA)
    volume = 100 + 30 * np.cos(np.arange(frames) / 4)
    return Loop(pictures=pictures, ef_percent=46.0, cavity=cavity, volume_ml=volume.astype(np.float32))


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_cavity_moves_with_the_picture(seed: int) -> None:
    """A network that learns a cavity beside the one it sees learns nothing."""
    given = clip_by_time(beating(), SMALL, chance=np.random.default_rng(seed))
    clip, cells, course = given["clip"], given["cells"], given["course"]
    assert clip.shape == (1, 24, 80, 80)
    assert cells.shape == (8, 10, 10)
    assert course.shape == (2, 24)
    bright = (clip[0, 1::3] > 1.0).astype(np.float32).reshape(8, 10, 8, 10, 8).mean(axis=(2, 4))
    assert float(np.corrcoef(bright.ravel(), cells.ravel())[0, 1]) > 0.97
    assert np.exp(course[0, 1::3]) == pytest.approx(cells.sum(axis=(1, 2)), rel=0.02)
    assert abs(float(course[1].mean())) < 1e-5


def test_without_chance_a_clip_is_the_same_each_time_and_unknown_truth_is_said() -> None:
    loop = beating()
    bare = Loop(pictures=loop.pictures, ef_percent=50.0, cavity=None, volume_ml=None)
    one, two = (clip_by_time(bare, SMALL, chance=None) for _ in range(2))
    assert all((one[name] == two[name]).all() for name in one)
    assert (one["cells"] == -1).all()


def test_a_short_video_gets_black_frames_before_normalisation_as_the_authors_do() -> None:
    """CoReEcho's black is not EchoNet-Dynamic's mean grey."""
    loop = Loop(pictures=np.full((20, 112, 112), 90, np.uint8), ef_percent=50.0, cavity=None, volume_ml=None)
    clip = clip_by_number(loop, Convention(), chance=np.random.default_rng(0), shifted=False)["clip"]
    assert clip.shape == (3, 36, 112, 112)
    assert clip[0, -1, 50, 50] == pytest.approx(-0.65148, abs=1e-5)


def test_simulated_patients_of_training_have_every_ejection_fraction() -> None:
    """A cohort has mostly healthy hearts; a network trained on it shrinks towards them."""
    plans = [four_chamber(("phantom:40@9", number), spread=True) for number in range(40)]
    values = [plan.patient.ef_percent for plan in plans if plan is not None]
    assert min(values) < 25
    assert max(values) > 65
    assert abs(float(np.mean(values)) - 45) < 8
    assert four_chamber(("phantom:40@9", 3), spread=True) == four_chamber(("phantom:99@9", 3), spread=True)


def networks() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "encoder": build("uniformer-compact", widths=WIDTHS, depths=DEPTHS),
            "regressor": build("ef-regressor", features=2 * WIDTHS[-1]),
            "cells": nn.Conv2d(WIDTHS[1], 1, 1),
            "course": nn.Linear(WIDTHS[-1], 6),
        }
    )


def batch() -> dict[str, torch.Tensor]:
    made = [clip_by_time(beating(), SMALL, chance=np.random.default_rng(seed)) for seed in range(3)]
    return {name: torch.from_numpy(np.stack([each[name][None] for each in made])) for name in made[0]}


def test_under_torchrun_each_process_has_samples_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs that see the same samples learn no more than one, and an epoch is one pass of both together."""
    seen: dict[str, Any] = {}

    def fit(
        run: Any, arguments: Any, options: Any, convention: Any, data: Any, loops: Any, order: Any, first: int
    ) -> None:
        seen.update(order=order, first_of_head=first)

    class Room:
        def __enter__(self) -> None: ...
        def __exit__(self, *given: object) -> None: ...

    def run(*given: Any, **named: Any) -> Room:
        seen.update(named)
        return Room()

    monkeypatch.setattr(train.Run, "of", run)
    monkeypatch.setattr(train, "fit", fit)
    monkeypatch.setattr(train, "kept_loops", lambda *given, **named: ([(None, tmp_path)] * 40, {}))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    train.main(
        TrainingArguments(task="x", data=("phantom:8@3",), out=tmp_path / "run", recipe="published", batch=4)
    )  # fmt: skip
    assert (seen["order"].rank, seen["order"].world_size, seen["order"].steps_per_epoch) == (1, 2, 5)
    assert (seen["first_of_head"], seen["total"]) == (26 * 5, 31 * 5)


def test_the_second_stage_leaves_the_encoder_as_it_is() -> None:
    """Else the head is fitted to features that move away under it."""
    parts = networks()
    learner = Learner(
        parts, Weights(error=1.0, contrast=1.0, temperature=1.0, detached=False, cells=1.0, course=1.0), stage=2
    )
    learner.train()
    losses = learner(batch())
    assert list(losses) == ["error"]
    losses["error"].backward()
    assert not parts["encoder"].training
    assert parts["regressor"].training
    assert all(each.grad is None for each in parts["encoder"].parameters())
    assert all(each.grad is not None for each in parts["regressor"].parameters())


def test_the_first_stage_trains_every_weight() -> None:
    """A weight without a gradient stops torchrun, and learns nothing."""
    parts = networks()
    weights = Weights(error=1.0, contrast=1.0, temperature=1.0, detached=True, cells=1.0, course=1.0)
    learner = Learner(parts, weights, stage=1).train()
    losses = learner(batch())
    assert set(losses) == {"error", "contrast", "cells", "course"}
    torch.stack(list(losses.values())).sum().backward()
    assert [name for name, each in parts.named_parameters() if each.grad is None] == []


def test_a_training_begins_with_what_fits_and_refuses_what_does_not(tmp_path: Path) -> None:
    source, target = networks(), networks()
    with torch.no_grad():
        for each in source.parameters():
            each.add_(0.25)
    state = {"average": {"average": source.state_dict()}}
    torch.save({"format": 1, "step": 3, "state": state, "random": []}, tmp_path / "best.pt")
    begin(target, tmp_path / "best.pt")
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))
    other = nn.ModuleDict({"encoder": build("uniformer-compact", widths=(8, 16, 128), depths=DEPTHS)})
    with pytest.raises(CheckpointRefused, match="does not fit"):
        begin(other, tmp_path / "best.pt")


def test_sizes_that_no_network_has_are_refused() -> None:
    assert arguments_of("uniformer-compact", {"widths": [8, 16, 64], "depths": [1, 1, 1]})["widths"] == (8, 16, 64)
    with pytest.raises(PackageInvalid, match=r"config\.widths"):
        arguments_of("uniformer-compact", {"widths": [8, 16]})


def test_the_map_of_embeddings_keeps_groups_apart() -> None:
    """A map that mixes what is apart says something false."""
    chance = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 30)
    points = chance.normal(0, 1, (90, 12)) + 12 * np.eye(12)[groups]
    places = t_sne(points, perplexity=10, steps=250)
    apart = np.linalg.norm(places[:, None] - places[None, :], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (groups[apart.argmin(axis=1)] == groups).mean() > 0.97
    axes, shares = principal(points)
    assert axes.shape == (90, 2)
    assert shares.sum() > 0.7
    with pytest.raises(ValueError, match="points"):
        t_sne(points[:2])
