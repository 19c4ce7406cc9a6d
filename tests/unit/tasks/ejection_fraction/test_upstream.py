"""The authors' files in every layout that they wrote; a wrong one must never become a model."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echonode.core.errors import CheckpointRefused
from echonode.tasks.ejection_fraction.upstream import import_coreecho, import_echonet_dynamic

State = dict[str, Any]


def _saved(tmp_path: Path, content: object, *, zipped: bool = True) -> Path:
    file = tmp_path / "file.pth"
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file


def _parallel(state: State) -> State:
    return {f"module.{key}": value for key, value in state.items()}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    return folder


def test_best_and_last_are_the_same_model(tmp_path: Path, package: Path, uniformer: State, regressor: State) -> None:
    best = {"epoch": 3, "model": uniformer, "regressor": regressor, "best_error": torch.tensor(3.9)}
    tables = import_coreecho(_saved(tmp_path, best), package, {})
    assert tables["config"]["method"] == "regressor"
    assert tables["config"]["frames"] == 36
    first = {path.name: path.read_bytes() for path in package.iterdir()}
    assert sorted(first) == ["encoder.safetensors", "regressor.safetensors"]
    last = best | {
        "model": _parallel(uniformer), "regressor": _parallel(regressor), "opt": argparse.Namespace(lr=1e-4, device="cuda"),
        "best_error": np.float64(3.9),
    }  # fmt: skip
    assert tables["metrics"] == [], "nothing in the file tells that it is the authors' own"
    (error,) = import_coreecho(_saved(tmp_path, last, zipped=False), package, {"published": "yes"})["metrics"]
    assert (error["name"], error["value"], error["locked"]) == ("EF RMSE", 5.13, True)
    assert "as the authors of CoReEcho published it" in error["on"]
    assert {path.name: path.read_bytes() for path in package.iterdir()} == first


def test_a_lone_encoder_must_say_whether_its_head_was_trained(tmp_path: Path, package: Path, uniformer: State) -> None:
    """CoReEcho keeps a head that nobody trained: taken for an ejection fraction it would be a random number."""
    file = _saved(tmp_path, {"state_dict": _parallel(uniformer)})
    with pytest.raises(CheckpointRefused, match="method=head or method=embedding"):
        import_coreecho(file, package, {})
    assert import_coreecho(file, package, {"method": "head"})["output"] == [{"name": "ejection_fraction", "unit": "%"}]
    assert import_coreecho(file, package, {"method": "embedding"})["output"] == [{"name": "embedding"}]


def test_the_initialisation_gives_no_ejection_fraction(tmp_path: Path, package: Path, kinetics: State) -> None:
    tables = import_coreecho(_saved(tmp_path, kinetics), package, {})
    assert tables["config"]["method"] == "embedding"
    assert tables["config"]["outputs"] == 400
    with pytest.raises(CheckpointRefused, match="400 outputs"):
        import_coreecho(_saved(tmp_path, kinetics), package, {"method": "head"})


def test_echonet_dynamic_brings_its_own_clip(tmp_path: Path, package: Path, r2plus1d: State) -> None:
    content = {
        "epoch": 44, "state_dict": _parallel(r2plus1d), "period": 3, "frames": 16, "best_loss": 30.0, "loss": np.float64(1),
        "r2": np.float64(0.8), "opt_dict": {"state": {}, "param_groups": []}, "scheduler_dict": {"last_epoch": 44},
    }  # fmt: skip
    config = import_echonet_dynamic(_saved(tmp_path, content), package, {})["config"]
    assert (config["frames"], config["stride"], config["padding"], config["all_starts"]) == (16, 3, "after", True)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda best: {key: value for key, value in best.items() if key != "regressor"}, "lacks regressor"),
        (lambda best: best | {"optimizer": {}}, "surplus optimizer"),
        (lambda best: best | {"regressor": best["model"]}, "regressor lacks 0.bias"),
        (
            lambda best: best | {"model": best["model"] | {"head.bias": torch.tensor([float("nan")])}},
            "no finite number",
        ),
        (lambda best: best | {"model": best["model"] | {"extra": torch.ones(1)}}, "has surplus extra"),
        (lambda best: best | {"model": [1]}, "a dictionary of tensors is expected"),
        (lambda best: best["model"] | {"head.bias": torch.ones(7)}, "7 outputs"),
        (lambda best: {"epoch": 1}, "encoder alone"),
    ],
)
def test_what_is_no_coreecho_file_is_one_line(
    spoil: Callable[[State], State], says: str, tmp_path: Path, package: Path, uniformer: State, regressor: State
) -> None:
    file = _saved(tmp_path, spoil({"epoch": 3, "model": uniformer, "regressor": regressor}))
    with pytest.raises(CheckpointRefused, match=says) as caught:
        import_coreecho(file, package, {})
    assert "\n" not in str(caught.value)
    assert not list(package.iterdir())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"epoch": 1}, "lacks state_dict"),
        ({"state_dict": {}, "seg": 1}, "surplus seg"),
        ({"state_dict": {}, "frames": "many"}, "whole numbers"),
        ({"state_dict": {"fc.bias": torch.ones(1)}}, "lacks fc.weight"),
    ],
)
def test_what_is_no_file_of_echonet_dynamic_is_one_line(
    content: State, says: str, tmp_path: Path, package: Path
) -> None:
    with pytest.raises(CheckpointRefused, match=says):
        import_echonet_dynamic(_saved(tmp_path, content), package, {})
    with pytest.raises(CheckpointRefused, match="takes no option"):
        import_echonet_dynamic(_saved(tmp_path, content), package, {"view": "A4C"})
    assert not list(package.iterdir())
