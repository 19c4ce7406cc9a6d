"""From the authors' file through the command line to a probability on a real loop: the same as the vectors' code gives."""

from __future__ import annotations

import csv
import json
import math
import os
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
from echonode.dicom.video import write_video
from echonode.tasks.cmr.net import build
from echonode.tasks.cmr.prepare import Convention, Preparation, published
from echonode.tasks.common.checkpoint import outline
from echonode.tasks.common.parity import by_rule, filled

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
    """The authors' bare dictionary, weights by rule."""
    torch.set_num_threads(1)
    return {f"m.{key}": value for key, value in by_rule(outline(partial(build, "r2plus1d-18"))).items()}


@pytest.fixture(scope="module")
def model(layout: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cmr")
    torch.save(layout, folder / "PLAX_x.pt")
    arguments = ["models", "import", "cmr-r2plus1d", str(folder / "PLAX_x.pt"), "--name", "plax-wma", "--into"]
    assert execute([*arguments, str(folder / "models"), "-o", "view=PLAX", "-o", "finding=wall-motion"]) == 0
    (folder / "PLAX_x.pt").unlink()
    return folder / "models" / "plax-wma"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECHONODE_CONFIG", raising=False)


@pytest.mark.slow
def test_a_real_loop_gives_the_number_of_the_vectors_code(model: Path, capsys: Printed, shared_data: Path) -> None:
    loop = shared_data / "ultrasound" / "adult_xario" / "I_000031.dcm"
    capsys.readouterr()
    assert execute(["run", "cmr", str(loop), "--model", str(model), "--view", "PLAX", "--json"]) == 0
    (reading,) = json.loads(capsys.readouterr().out)["readings"]
    prepared = published(read_clip(loop, limits=LimitsSection()), Convention())
    assert isinstance(prepared, Preparation)
    with torch.inference_mode():
        logit = float(filled(outline(partial(build, "r2plus1d-18")))(next(prepared.tensors())[None]))
    (measurement,) = reading["measurements"]
    assert reading["details"]["per_clip_logits"] == [pytest.approx(logit, abs=1e-5)]
    assert measurement["value"] == pytest.approx(100 / (1 + math.exp(-logit)), abs=1e-3), "in percent"
    assert (measurement["concept"]["value"], measurement["unit"]["value"]) == ("PROB-WMA", "%")
    assert measurement["frames"] == list(range(0, 32, 2))
    assert reading["details"]["threshold"] is None


@pytest.mark.slow
def test_a_listed_folder_becomes_the_authors_table(model: Path, capsys: Printed, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    frames = read_clip(example_loop(), limits=LimitsSection()).frames
    for name, count in (("a", 2), ("b", 1), ("c", 2)):
        write_video(folder / f"{name}.mp4", np.concatenate([frames] * count), fps=30)
    (folder / "d.mp4").write_bytes(b"no video")
    (tmp_path / "manifest.csv").write_text(
        "filename,split,LABEL\na.mp4,test,1\nb.mp4,test,0\nc.mp4,test,0\nd.mp4,test,\n"
    )
    capsys.readouterr()
    arguments = ["run", "cmr", str(folder), "--manifest", "manifest.csv", "--out", "out.csv", "--model", str(model)]
    assert execute([*arguments, "--fps", "30", "--preparation", "published,clinical", "--json"]) == 2
    printed = capsys.readouterr()
    with (tmp_path / "out.csv").open() as stream:
        rows = {(row["filename"], row["preparation"]): row for row in csv.DictReader(stream)}
    assert list(next(iter(rows.values())))[:4] == ["filename", "split", "frames", "preds"]
    assert "32 frames or more; this has 30" in rows["b.mp4", "published"]["refused"]
    assert rows["b.mp4", "clinical"]["refused"] == "", "a short loop goes round"
    assert "d.mp4" in rows["d.mp4", "clinical"]["refused"]
    assert 0 < float(rows["a.mp4", "published"]["preds"]) < 1
    evaluation = json.loads(printed.out)["evaluation"]
    assert evaluation["published"]["auc"] == 0.5, "the same video under both labels"
    assert evaluation["clinical"]["n"] == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("filename\na.mp4\na.mp4\n", "listed twice"),
        ("filename\n../a.mp4\n", "no file name inside"),
        ("file\na.mp4\n", "column filename was expected"),
        ("filename,LABEL\na.mp4,yes\n", "no number"),
        ("", "lists no video"),
    ],
)
def test_a_wrong_list_is_one_line_before_anything_runs(text: str, says: str, tmp_path: Path, capsys: Printed) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "manifest.csv").write_text(text)
    arguments = ["run", "cmr", "videos", "--manifest", "manifest.csv", "--out", "out.csv", "--model", "nobody"]
    assert execute(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("arguments", [["--out", "x.csv"], ["--split", "test"], ["--manifest", "m.csv"]])
def test_options_that_belong_together(arguments: list[str], tmp_path: Path, capsys: Printed) -> None:
    (tmp_path / "videos").mkdir()
    assert execute(["run", "cmr", "videos", "--model", "nobody", *arguments]) == 2
    assert "--manifest" in capsys.readouterr().err


WRONG: dict[str, tuple[Callable[[Content, Path], object], str]] = {
    "code": (lambda layout, trace: {**layout, "m.x": Bomb(trace)}, "never unpickled"),
    "architecture": (lambda layout, _: {"m.conv1.weight": torch.ones(3)}, "surplus conv1.weight"),
    "missing": (lambda layout, _: {key: value for key, value in layout.items() if key != "m.fc.bias"}, "lacks fc.bias"),
    "surplus": (lambda layout, _: {**layout, "m.extra": torch.ones(1)}, "surplus extra"),
    "nan": (lambda layout, _: {**layout, "m.fc.bias": torch.tensor([float("nan")])}, "no finite number"),
}


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [*WRONG, "cut off"])
def test_a_wrong_file_is_one_line_and_leaves_nothing(
    wrong: str, layout: Content, tmp_path: Path, capsys: Printed
) -> None:
    file, trace = tmp_path / "x.pt", tmp_path / "trace"
    spoil, says = WRONG.get(wrong, (lambda layout, _: layout, "damaged or cut off"))
    torch.save(spoil(layout, trace), file)
    if wrong == "cut off":
        os.truncate(file, file.stat().st_size // 2)
    capsys.readouterr()
    arguments = ["models", "import", "cmr-r2plus1d", str(file), "--name", "bad", "--into", "models"]
    assert execute([*arguments, "-o", "view=A4C", "-o", "finding=scar"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not trace.exists()
    assert not (tmp_path / "models").exists()
