"""Foreign weights: nothing in them may run, and nothing wrong in them may pass."""

from __future__ import annotations

import argparse
import datetime
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from echonode.core.errors import CheckpointRefused
from echonode.tasks.common.checkpoint import Forgotten, checked_state, load_published, load_weights, without_prefix

SHAPES = {"a.weight": (2, 3), "a.bias": (2,)}


def _state() -> dict[str, Any]:
    return {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_both_formats_with_a_date(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    content = {"timestamp": datetime.datetime(2018, 8, 1, 12), "loss": [[1.0]], "state": _state()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found = load_published(path)
    assert found["timestamp"] == content["timestamp"]
    assert checked_state(found["state"], SHAPES, where="state").keys() == SHAPES.keys()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_in_a_pickle_never_runs(zipped: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "x.ckpt", tmp_path / "trace"
    torch.save({"state": _state(), "x": Bomb(trace)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointRefused, match=r"mkdir.*never unpickled"):
        load_published(path)
    assert not trace.exists()


def test_plain_pickle_is_no_checkpoint(tmp_path: Path) -> None:
    path, trace = tmp_path / "x.ckpt", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(CheckpointRefused, match="neither"):
        load_published(path)
    assert not trace.exists()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98])
def test_cut_off(zipped: bool, share: float, tmp_path: Path) -> None:
    whole = io.BytesIO()
    torch.save({"state": {"w": torch.ones(500)}}, whole, _use_new_zipfile_serialization=zipped)
    path = tmp_path / "x.ckpt"
    path.write_bytes(whole.getvalue()[: int(share * len(whole.getvalue()))])
    with pytest.raises(CheckpointRefused) as caught:
        load_published(path)
    assert "\n" not in str(caught.value)


def test_compressed_zip_is_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    with pytest.raises(CheckpointRefused, match="compressed"):
        load_published(path)


def test_too_large_and_no_dictionary(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    torch.save([1, 2], path)
    with pytest.raises(CheckpointRefused, match="dictionary"):
        load_published(path)
    with pytest.raises(CheckpointRefused, match="more than"):
        load_published(path, max_bytes=10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a.bias": None}, "lacks a.bias"),
        ({"extra": torch.ones(1)}, "has surplus extra"),
        ({"a.bias": torch.ones(3)}, r"a.bias \(3,\) instead of \(2,\)"),
        ({"a.bias": torch.tensor([1, 2])}, "int64"),
        ({"a.bias": "words"}, "no tensor at a.bias"),
        ({"a.bias": torch.tensor([0.0, float("nan")])}, "no finite number in a.bias"),
        ({"a.weight": torch.full((2, 3), float("inf"))}, "no finite number in a.weight"),
        ({"a.weight": torch.ones(2, 3).to_sparse()}, "wrong types"),
    ],
)
def test_states_that_are_not_the_network(change: dict[str, Any], message: str) -> None:
    state = {key: value for key, value in (_state() | change).items() if value is not None}
    with pytest.raises(CheckpointRefused, match=message) as caught:
        checked_state(state, SHAPES, where="state_dictFC")
    assert "state_dictFC" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_safetensors_of_another_network(tmp_path: Path) -> None:
    save_file({"b": torch.ones(2)}, tmp_path / "flow.safetensors")
    with pytest.raises(CheckpointRefused, match=r"flow.safetensors lacks a.bias, a.weight; has surplus b"):
        load_weights(tmp_path / "flow.safetensors", SHAPES)


def test_settings_of_a_run_are_forgotten_and_never_built(tmp_path: Path) -> None:
    path, trace = tmp_path / "x.ckpt", tmp_path / "trace"
    torch.save({"state": _state(), "opt": argparse.Namespace(lr=1e-4, bomb=[1])}, path)
    with pytest.raises(CheckpointRefused, match=r"argparse\.Namespace"):
        load_published(path)
    assert type(load_published(path, forgotten=["argparse.Namespace"])["opt"]) is Forgotten
    torch.save({"state": _state(), "opt": argparse.Namespace(bomb=Bomb(trace))}, path)
    with pytest.raises(CheckpointRefused, match="mkdir"):
        load_published(path, forgotten=["argparse.Namespace"])
    assert not trace.exists()


def test_counts_of_batches_stay_whole_numbers() -> None:
    state = {"n.num_batches_tracked": torch.tensor(5)}
    assert checked_state(state, {"n.num_batches_tracked": ()}, where="x")["n.num_batches_tracked"].dtype == torch.int64
    with pytest.raises(CheckpointRefused, match="wrong types"):
        checked_state({"n.num_batches_tracked": torch.tensor(5.0)}, {"n.num_batches_tracked": ()}, where="x")


def test_a_prefix_goes_only_when_every_key_has_it() -> None:
    assert list(without_prefix({"m.a": 1, "m.b": 2}, ("module.", "m."), where="x")) == ["a", "b"]
    assert list(without_prefix({"m.a": 1, "b": 2}, ("m.",), where="x")) == ["m.a", "b"]
    with pytest.raises(CheckpointRefused, match="dictionary"):
        without_prefix([1], ("m.",), where="x")
