"""From the authors' file through the command line to a number on a real loop: the same as the vectors' code gives."""

from __future__ import annotations

import csv
import json
import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echonode.cli.demo import example_loop
from echonode.cli.main import execute
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.dicom.video import read_video, write_video
from echonode.tasks.common.checkpoint import outline
from echonode.tasks.common.parity import by_rule, filled
from echonode.tasks.ejection_fraction.convention import Convention
from echonode.tasks.ejection_fraction.net import build
from echonode.tasks.ejection_fraction.prepare import published

Printed = pytest.CaptureFixture[str]
Content = dict[str, Any]


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def layout() -> Content:
    """The authors' dictionary, weights by rule."""
    torch.set_num_threads(1)
    return {
        "epoch": 24,
        "model": by_rule(outline(partial(build, "uniformer-small"))),
        "regressor": by_rule(outline(partial(build, "ef-regressor"))),
        "best_error": torch.tensor(3.9),
    }


@pytest.fixture(scope="module")
def models(layout: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with `coreecho` in it, imported through the command line."""
    folder = tmp_path_factory.mktemp("coreecho")
    torch.save(layout, folder / "best.pth")
    into = folder / "models"
    arguments = ["models", "import", "coreecho", str(folder / "best.pth"), "--name", "coreecho", "--into", str(into)]
    assert execute([*arguments, "-o", "licence=CC BY-NC 4.0"]) == 0
    (folder / "best.pth").unlink()
    return into


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a configuration, and one thread, so that the same sum is made in the same order."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECHONODE_CONFIG", raising=False)


def _expected(source: Path, starts: list[int]) -> float:
    """As the vectors are computed: networks filled by rule, clip by clip."""
    clip = read_clip(source, limits=LimitsSection()) if source.suffix == ".dcm" else read_video(source)
    convention = Convention()
    encoder, regressor = (filled(outline(partial(build, name))) for name in ("uniformer-small", "ef-regressor"))
    with torch.inference_mode():
        clips = published(clip, convention, starts=starts).tensors(convention)
        return float(np.mean([float(regressor(encoder(tensor[None])[1])) for tensor in clips]))


def _documents(printed: Printed) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.readouterr().out.splitlines()]


@pytest.mark.slow
def test_a_real_loop_gives_the_number_of_the_vectors_code(models: Path, capsys: Printed, shared_data: Path) -> None:
    loop = shared_data / "ultrasound" / "adult_xario" / "I_000031.dcm"
    arguments = ["run", "ejection-fraction", str(loop), "--model", str(models / "coreecho"), "--view", "A4C", "--json"]
    capsys.readouterr()
    assert execute([*arguments, "--clips", "2"]) == 0
    (found,) = _documents(capsys)
    (reading,) = found["readings"]
    (measurement,) = reading["measurements"]
    assert measurement["concept"]["value"] == "18043-0"
    assert measurement["unit"]["value"] == "%"
    assert reading["details"]["starts_in_frames"] == [0, 3]
    assert measurement["value"] == pytest.approx(_expected(loop, [0, 3]), abs=1e-5)
    assert measurement["value"] == pytest.approx(np.mean(reading["details"]["per_clip"]))
    assert reading["evaluation"].startswith("never evaluated in mode published")
    assert found["digest"]


@pytest.mark.slow
def test_both_preparations_of_a_listed_folder_are_held_against_the_labels(
    models: Path, capsys: Printed, tmp_path: Path
) -> None:
    """A folder of videos, EchoNet-Dynamic's list, and the authors' pickle of starts."""
    folder = tmp_path / "Videos"
    folder.mkdir()
    frames = read_clip(example_loop(), limits=LimitsSection()).frames[:, :112, 100:212]
    for name in ("0X1", "0X2"):
        write_video(folder / f"{name}.mp4", np.concatenate([frames] * 2), fps=50)
    (tmp_path / "FileList.csv").write_text("FileName,EF,Split\n0X1,55.5,TEST\n0X2,40,TEST\n0X3,60,TEST\n0X4,1,TRAIN\n")
    (tmp_path / "starts.pkl").write_bytes(pickle.dumps({"0X1.avi": np.array([2, 0]), "0X3.avi": np.array([0])}))
    capsys.readouterr()
    code = execute([
        "run", "ejection-fraction", str(folder), "--manifest", "FileList.csv", "--split", "test", "--out", "preds.csv",
        "--model", str(models / "coreecho"), "--start-indexes", "starts.pkl", "--preparation", "published,clinical",
        "--clips", "1", "--json",
    ])  # fmt: skip
    printed = capsys.readouterr()
    assert code == 2, "a video that is not there and one without starts are refused"
    with (tmp_path / "preds.csv").open() as stream:
        rows = {(row["filename"], row["preparation"]): row for row in csv.DictReader(stream)}
    assert len(rows) == 6
    row = rows["0X1", "published"]
    assert (row["frames"], row["split"], row["label"]) == ("60", "TEST", "55.5")
    assert float(row["preds"]) == pytest.approx(_expected(folder / "0X1.mp4", [2, 0]), abs=1e-5)
    assert float(row["preds"]) == pytest.approx(np.mean([float(value) for value in row["per_clip"].split()]))
    assert "no start" in rows["0X2", "published"]["refused"]
    assert "0X3" in rows["0X3", "published"]["refused"]
    assert "0X2: refused" in printed.err
    evaluation = json.loads(printed.out)["evaluation"]
    assert evaluation["published"]["mae"] == pytest.approx(abs(float(row["preds"]) - 55.5))
    assert evaluation["clinical"]["n"] == 1
    assert not list(tmp_path.glob(".preds*"))


def test_a_view_that_the_header_does_not_tell_must_be_said(models: Path, capsys: Printed) -> None:
    assert (
        execute(["run", "ejection-fraction", str(example_loop()), "--model", str(models / "coreecho"), "--json"]) == 2
    )
    printed = capsys.readouterr()
    refused = json.loads(printed.out.splitlines()[-1])["readings"][0]["refused"]
    assert refused["code"] == "view"
    assert "--view" in printed.err


def test_show_and_verify_say_what_it_is(models: Path, tmp_path: Path, checkout: Path, capsys: Printed) -> None:
    (tmp_path / "ae_config").mkdir()
    text = (checkout / "ae_config" / "node.toml").read_text()
    (tmp_path / "ae_config" / "node.toml").write_text(text.replace('"../models"', json.dumps(str(models))))
    for name in ("peers.toml", "routes.toml"):
        (tmp_path / "ae_config" / name).write_text("")
    capsys.readouterr()
    assert execute(["models", "verify", "coreecho"]) == 0
    assert execute(["models", "show", "coreecho"]) == 0
    printed = capsys.readouterr().out
    assert "sound, 2 weights files" in printed
    assert "never evaluated in mode published" in printed
    assert "CC BY-NC 4.0" in printed
    card = (models / "coreecho" / "MODEL_CARD.md").read_text()
    assert "transthoracic echo alone" in card
    assert "frames a beat: at least 12" in card
    assert "age: 18" in card


WRONG: dict[str, tuple[Callable[[Content, Path], object], str]] = {
    "code": (lambda layout, trace: {**layout, "opt": Bomb(trace)}, "never unpickled"),
    "architecture": (lambda layout, _: {**layout, "model": layout["regressor"]}, "model lacks"),
    "missing": (lambda layout, _: {**layout, "regressor": {}}, "regressor lacks"),
    "surplus": (lambda layout, _: {**layout, "regressor": {**layout["regressor"], "7.bias": torch.ones(1)}}, "surplus 7.bias"),
    "nan": (lambda layout, _: {**layout, "regressor": {**layout["regressor"], "6.bias": torch.tensor([float("nan")])}}, "no finite"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [*WRONG, "cut off"])
def test_a_wrong_file_is_one_line_and_leaves_nothing(
    wrong: str, layout: Content, tmp_path: Path, capsys: Printed
) -> None:
    file, trace = tmp_path / "x.pth", tmp_path / "trace"
    spoil, says = WRONG.get(wrong, (lambda layout, _: layout, "damaged or cut off"))
    torch.save(spoil(layout, trace), file)
    if wrong == "cut off":
        os.truncate(file, file.stat().st_size // 2)
    capsys.readouterr()
    assert execute(["models", "import", "coreecho", str(file), "--name", "bad", "--into", "models"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not trace.exists()
    assert not (tmp_path / "models").exists()
