"""What a reader of a model card would be told wrongly: marks of a loop twice, of no evaluation, or of what was learned from."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from echonode.core.errors import BadInput
from echonode.registry.catalogue import Catalogue
from echonode.tasks.slow_motion.evaluate.scores import BLENDING, REPETITION, Score, dis_name, sharp_name
from echonode.tasks.slow_motion.train import main
from echonode.tasks.slow_motion.train.folds import Folds
from echonode.training.arguments import TrainingArguments

SMALL = {
    "width": "8", "deep": "8", "fine": "8", "blocks": "1", "targets": "2", "crops": "1", "drawn": "48", "crop": "32",
    "everything": "true",
}  # fmt: skip


def score(psnr: float) -> dict[str, float | int]:
    return dataclasses.asdict(
        Score(
            frames=3,
            psnr=psnr,
            psnr_structures=psnr + 3,
            ssim=0.8,
            pulsing=0.92,
            pulsing_sobel=0.9,
            milliseconds=5.0,
            repeated=0,
        )
    )


def evaluation(path: Path, *, model: str, loop: str, gain: float) -> Path:
    scores = {REPETITION: score(20.0), BLENDING: score(22.0)}
    for sigma, psnr in ((0, 23.0), (2, 24.0)):
        scores |= {dis_name(sigma): score(psnr), sharp_name(sigma): score(psnr - 0.5)}
    rows = [
        {"loop": loop, "study": "s", "factor": factor, "gap_ms": 60.0, "sector_share": 0.4, "skipped": 0,
         "scores": {**scores, model: score(24.0 + gain)}}
        for factor in (2, 4)
    ]  # fmt: skip
    path.write_text(json.dumps({"models": {model: "ab"}, "options": {"sigmas": [0, 2]}, "loops": rows}))
    return path


def loops(root: Path) -> Path:
    random = np.random.default_rng(1)
    for split in ("train", "validation", "test"):
        folder = root / split / "0"
        folder.mkdir(parents=True)
        wide = random.integers(0, 255, (64, 80), np.uint8)
        for number in range(12):
            Image.fromarray(np.ascontiguousarray(wide[:, number : number + 64])).save(folder / f"{number:06d}.png")
    return root


def arguments(tmp_path: Path, **options: str) -> TrainingArguments:
    return TrainingArguments(
        task="slow-motion", data=(str(loops(tmp_path / "data")),), out=tmp_path / "run", steps=1, batch=2, threads=1,
        device="cpu", options={**SMALL, **options}, name="all-of-them", models=tmp_path / "models",
    )  # fmt: skip


def test_the_card_of_all_carries_the_marks_of_those_that_did_not_see(tmp_path: Path) -> None:
    first = evaluation(tmp_path / "a.json", model="without-a", loop="a.dcm", gain=0.4)
    second = evaluation(tmp_path / "b.json", model="without-b", loop="b.dcm", gain=-0.2)
    main(arguments(tmp_path, folds=f"{first},{second}"))
    package = Catalogue([tmp_path / "models"]).get("all-of-them")
    card = (package.folder / "MODEL_CARD.md").read_text()
    assert "a.dcm" in card
    assert "b.dcm" in card
    assert "learned from the other studies alone" in card
    assert "without-a" not in card
    measured = {each["name"]: each for each in package.metrics}
    assert measured["PSNR above DIS 2x"]["value"] == pytest.approx(0.1)
    assert measured["PSNR above DIS 2x"]["n"] == 2
    assert measured["PSNR above sharp DIS 2x"]["value"] == pytest.approx(0.6)
    assert measured["PSNR of structures above DIS 4x"]["value"] == pytest.approx(0.1)


def test_a_loop_counts_once(tmp_path: Path) -> None:
    files = [evaluation(tmp_path / f"{name}.json", model=name, loop="a.dcm", gain=0.1) for name in ("x", "y")]
    with pytest.raises(BadInput, match=r"a\.dcm is judged by more than one fold"):
        Folds.read(files, name="all")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"models": {"a": "1", "b": "2"}, "options": {"sigmas": [0]}, "loops": []}']
)
def test_what_is_no_evaluation_of_one_model_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(BadInput, match=r"bad\.json") as refused:
        Folds.read([tmp_path / "bad.json"], name="all")
    assert "\n" not in str(refused.value)


def test_folds_are_no_marks_of_a_network_that_kept_a_test_of_its_own(tmp_path: Path) -> None:
    file = evaluation(tmp_path / "a.json", model="without-a", loop="a.dcm", gain=0.4)
    with pytest.raises(BadInput, match="everything=true"):
        main(arguments(tmp_path, folds=str(file), everything="false"))
