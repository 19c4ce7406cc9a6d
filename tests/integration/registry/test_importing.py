"""Import of a checkpoint in the authors' layout, through the child process, all or nothing."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from echonode.core.errors import BadInput, CheckpointRefused, NotFound
from echonode.registry.catalogue import Catalogue
from echonode.registry.importing import import_checkpoint
from echonode.tasks.slow_motion.net import build
from echonode.tasks.slow_motion.runner import open_runner

Content = dict[str, Any]


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def layout() -> Content:
    """The authors' dictionary with random weights."""
    torch.manual_seed(0)
    return {
        "Detail": "end to end", "epoch": 199, "timestamp": datetime.datetime(2018, 8, 1), "trainBatchSz": 6,
        "validationBatchSz": 10, "learningRate": 1e-4, "loss": [[1.0, 2.0]], "valLoss": [[1.0]], "valPSNR": [[20.0]],
        "state_dictFC": build("superslomo-flow").state_dict(),
        "state_dictAT": build("superslomo-interpolation").state_dict(),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_published_file_becomes_a_package_that_runs(zipped: bool, layout: Content, tmp_path: Path) -> None:
    file, into = tmp_path / "SuperSloMo39.ckpt", tmp_path / "models"
    torch.save(layout, file, _use_new_zipfile_serialization=zipped)
    package = import_checkpoint("superslomo", file, name="adobe", into=into, options={"licence": 'as "is"'})
    assert package == Catalogue([into]).get("adobe")
    assert package.config["warp_convention"] == "legacy"
    assert package.config["means"] == [0.429, 0.431, 0.397]
    assert sorted(path.name for path in into.iterdir()) == ["adobe"]
    assert 'as "is"' in (into / "adobe" / "MODEL_CARD.md").read_text()
    open_runner(package, "cpu", 1)
    with pytest.raises(BadInput, match="already"):
        import_checkpoint("superslomo", file, name="adobe", into=into)


@pytest.mark.slow
def test_file_of_the_echo_authors_code_gets_their_convention(layout: Content, tmp_path: Path) -> None:
    file = tmp_path / "echo.ckpt"
    torch.save({**layout, "valSSIM": [[0.9]]}, file)
    package = import_checkpoint(
        "superslomo", file, name="echo", into=tmp_path / "models", options={"warp_convention": "exact"}
    )
    assert package.config["means"] == [0.186, 0.184, 0.206]
    assert package.config["warp_convention"] == "exact"


def _without(key: str) -> Callable[[Content, Path], Content]:
    return lambda layout, _: {name: value for name, value in layout.items() if name != key}


def _spoiled(key: str, tensor: str, value: Any) -> Callable[[Content, Path], Content]:
    return lambda layout, _: {**layout, key: {**layout[key], tensor: value}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda layout, trace: {**layout, "Detail": Bomb(trace)}, "never unpickled"),
        (_without("state_dictAT"), "lacks state_dictAT"),
        (lambda layout, _: {**layout, "optimizer": 1}, "surplus optimizer"),
        (_spoiled("state_dictFC", "extra", torch.ones(1)), "surplus extra"),
        (_spoiled("state_dictFC", "conv3.bias", torch.ones(5)), "wrong shapes"),
        (_spoiled("state_dictAT", "conv3.bias", torch.full((5,), float("nan"))), "no finite number"),
    ],
    ids=["code", "missing", "surplus", "surplus tensor", "shape", "nan"],
)
def test_hostile_file_leaves_nothing(
    spoil: Callable[[Content, Path], Content], says: str, layout: Content, tmp_path: Path
) -> None:
    file, into, trace = tmp_path / "x.ckpt", tmp_path / "models", tmp_path / "trace"
    torch.save(spoil(layout, trace), file)
    with pytest.raises(CheckpointRefused, match=says) as caught:
        import_checkpoint("superslomo", file, name="bad", into=into)
    assert "\n" not in str(caught.value)
    assert not trace.exists()
    assert not into.exists()


@pytest.mark.slow
def test_cut_off_file_leaves_other_models_alone(layout: Content, tmp_path: Path) -> None:
    file, into = tmp_path / "x.ckpt", tmp_path / "models"
    (into / "other").mkdir(parents=True)
    torch.save(layout, file)
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(CheckpointRefused, match="damaged or cut off"):
        import_checkpoint("superslomo", file, name="bad", into=into)
    assert [path.name for path in into.iterdir()] == ["other"]


def test_code_never_runs_in_the_child_either(tmp_path: Path) -> None:
    file, into, trace = tmp_path / "x.ckpt", tmp_path / "models", tmp_path / "trace"
    torch.save({"state_dictFC": {}, "state_dictAT": {}, "Detail": Bomb(trace)}, file)
    with pytest.raises(CheckpointRefused, match="never unpickled"):
        import_checkpoint("superslomo", file, name="bad", into=into)
    assert not trace.exists()
    assert not into.exists()


@pytest.mark.parametrize("name", ["../up", "", "a/b", "UPPER", ".hidden", "x" * 64])
def test_hostile_names(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.ckpt"
    file.write_bytes(b"x")
    with pytest.raises(BadInput, match="no model name"):
        import_checkpoint("superslomo", file, name=name, into=tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_what_is_no_file_or_no_kind(tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused):
        import_checkpoint("superslomo", tmp_path, name="x", into=tmp_path / "models")
    with pytest.raises(CheckpointRefused):
        import_checkpoint("superslomo", tmp_path / "absent", name="x", into=tmp_path / "models")
    with pytest.raises(NotFound, match="superslomo"):
        import_checkpoint("fasterslomo", tmp_path, name="x", into=tmp_path / "models")
    assert not (tmp_path / "models").exists()
