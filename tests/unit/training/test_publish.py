"""What comes out of a run: the package, its card, its mark; checkpoints that read back safely; figures."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from echonode.core.errors import BadInput
from echonode.registry.verify import package_digest, read_manifest, verify
from echonode.training import figures
from echonode.training.arguments import TrainingArguments
from echonode.training.checkpoint import load_checkpoint, save_checkpoint
from echonode.training.ema import MovingAverage
from echonode.training.publish import metric, publish
from echonode.training.run import Run
from echonode.training.sources import dataset_of
from echonode.training.statistics import Interval
from echonode.training.table import Table

MANIFEST = {"task": "tiny", "title": "Tiny | one", "trained_on": "two hearts", "config": {"means": [0.5, 1.0]}}
ERROR = metric("EF MAE", Interval(value=3.2, low=2.9, high=float("nan"), n=40), unit="%", on="seed 2", locked=True)


def published(folder: Path, value: float = 1.0, half: tuple[str, ...] = ("net",), init: Path | None = None) -> Path:
    arguments = TrainingArguments(
        task="tiny", data=("phantom:4@1/quick",), out=folder / "run", name="tiny-1", models=folder / "models",
        init=init,
    )  # fmt: skip
    data = dataset_of(arguments, name="set")
    with Run.of(arguments, identity=arguments.identity(), total=3, dataset=data) as run:
        package = publish(
            run, arguments, recipe="tiny", manifest=MANIFEST, steps=3, metrics=(ERROR,), half=half,
            weights={"net": {"b": torch.full((3,), value), "a": torch.arange(4)[::2]}, "head": {"w": torch.ones(2, 2).T}},
            tables={"By band": Table(columns=("band", "MAE"), rows=(("< 30", 4.0), ("rest", float("nan"))), words="Locked.")},
            words={"What it is not": ["A medical device."]},
        )  # fmt: skip
    assert package is not None
    return package


def test_a_package_of_the_same_run_has_the_same_bytes(tmp_path: Path) -> None:
    """Whoever trains it again can see that it is the same model."""
    a, b = published(tmp_path / "a"), published(tmp_path / "b")
    assert {path.name: path.read_bytes() for path in a.iterdir()} == {
        path.name: path.read_bytes() for path in b.iterdir()
    }
    assert [path.name for path in a.parent.iterdir()] == ["tiny-1"]


def test_what_learned_from_phantoms_alone_is_marked_and_the_mark_is_in_the_digest(tmp_path: Path) -> None:
    """A model that never saw a patient must not lose that mark by an edit of a text file that nobody notices."""
    folder = published(tmp_path)
    manifest = read_manifest(folder)
    assert verify(folder).simulated
    assert manifest.simulated
    assert package_digest(manifest) != package_digest(manifest.model_copy(update={"simulated": False}))
    assert manifest.trained is not None
    assert (manifest.trained.recipe, manifest.trained.steps, manifest.trained.seeds) == ("tiny", 3, (0,))
    assert manifest.metrics[0].high is None
    card = (folder / "MODEL_CARD.md").read_text()
    for words in ("Trained on simulated data alone", "| EF MAE | 3.2 % |  | 40 | seed 2 (locked) |", "| < 30 | 4 |",
                  "## What it is not", "Locked."):  # fmt: skip
        assert words in card


def test_a_card_says_what_a_network_began_from(tmp_path: Path) -> None:
    """Whoever asks what a model learned from must hear of what it learned before."""
    weights = tmp_path / "older.safetensors"
    weights.write_bytes(b"weights")
    card = (published(tmp_path / "a", init=weights) / "MODEL_CARD.md").read_text()
    assert hashlib.sha256(b"weights").hexdigest() in card
    assert "began from" not in (published(tmp_path / "b") / "MODEL_CARD.md").read_text()


def test_another_model_of_that_name_is_not_overwritten(tmp_path: Path) -> None:
    folder = published(tmp_path)
    (tmp_path / "run").rename(tmp_path / "old-run")
    before = (folder / "manifest.toml").read_bytes()
    with pytest.raises(BadInput, match="already another model"):
        published(tmp_path, value=2.0)
    assert (folder / "manifest.toml").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["tiny-1"]


def test_weights_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    """An infinite weight would answer with nothing but not-a-number, for every patient."""
    with pytest.raises(BadInput, match="no finite number as float16"):
        published(tmp_path, value=1e6)
    assert not list((tmp_path / "models").iterdir())


def test_a_checkpoint_refuses_what_it_could_not_read_back(tmp_path: Path) -> None:
    """To learn of it at the resume would be hours too late."""
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"state": {"score": np.float64(1.5), "seen": np.arange(3), "on": (1, None)}})
    state = load_checkpoint(path)["state"]
    assert (state["score"], state["on"], state["seen"].tolist()) == (1.5, (1, None), [0, 1, 2])
    with pytest.raises(TypeError, match=r"state\.path: a \w*Path cannot be kept"):
        save_checkpoint(path, {"state": {"path": tmp_path}})
    assert load_checkpoint(path)["state"]["score"] == 1.5
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadInput, match=r"last\.pt: cannot be read"):
        load_checkpoint(path)


def test_an_average_follows_its_network_and_goes_on_from_its_state() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
    average = MovingAverage(network, decay=0.5)
    again = MovingAverage(network, decay=0.5)
    for step in range(4):
        with torch.no_grad():
            network[0].weight.fill_(float(step))
        average.update(network)
        again.load_state_dict(average.state_dict())
    assert 2.0 < float(average.average[0].weight.detach()[0, 0]) < 3.0
    assert torch.equal(again.average[0].weight, average.average[0].weight)
    assert not average.average[0].weight.requires_grad


def test_figures_are_pictures_and_the_same_each_time(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    truth = chance.uniform(20, 75, 60)
    said, positive = chance.random(60), truth < 40
    for turn in ("a", "b"):
        folder = tmp_path / turn
        figures.bland_altman_plot(folder / "1.png", truth + 1, truth, quantity="EF", unit="%")
        figures.scatter_plot(folder / "2.png", truth + 1, truth, quantity="EF", unit="%")
        figures.roc_plot(folder / "3.png", {"a": (said, positive)})
        figures.reliability_plot(folder / "4.png", said, positive)
        figures.band_plot(folder / "5.png", truth + 1, truth, quantity="EF", unit="%")
        figures.curve_plot(folder / "6.png", {"a": ([1, 2], [3, 4])}, x="step", y="loss")
        figures.confusion_plot(folder / "7.png", [[3, 1], [0, 2]], ["A4C", "PLAX"])
    for number in range(1, 8):
        content = (tmp_path / "a" / f"{number}.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        assert content == (tmp_path / "b" / f"{number}.png").read_bytes()
