"""From the authors' files to numbers: `models import`, `models verify`, `run mmode`, single files and folders."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch

from echonode.cli.main import execute
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.tasks.common.parity import filled
from echonode.tasks.mmode.net import CardioNet, QuickNat, build
from echonode.tasks.mmode.prepare import PUBLISHED_LUMA, grey_of
from tests.support.mmode import (
    deciding_network,
    heart,
    outlining_network,
    region,
    segmentation_content,
    segmentation_file,
    write_mmode,
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        torch.set_num_threads(1)
        code = execute([str(argument) for argument in arguments])
        streams = capsys.readouterr()
        return code, streams.out, streams.err

    return call


def _by_rule(architecture: str, *, gain: float = 1.0) -> Any:
    return filled(build(architecture), gain=gain)


def _judges_file(path: Path, network: CardioNet) -> Path:
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.slow
def test_rule_filled_weights_on_a_real_recording_give_the_networks_own_number(
    run: Run, shared_data: Path, tmp_path: Path
) -> None:
    """The path from the file to the number adds nothing and loses nothing: published preparation, reference mode."""
    network: QuickNat = _by_rule("quicknat")
    judges: list[CardioNet] = [_by_rule("cardionet"), _by_rule("cardionet", gain=1.2)]
    files = [segmentation_file(tmp_path / "heart-seg-net.pt", network)]
    files += [_judges_file(tmp_path / f"bootstrap_net{i}.pth", judge) for i, judge in enumerate(judges)]
    models = tmp_path / "models"
    code, _, err = run("models", "import", "quicknat", *files, "--name", "pheno", "--into", models,
                       "-o", "preparation=published", "-o", "licence=MIT")  # fmt: skip
    assert (code, err) == (0, "")
    recording = _with_third_region(shared_data / "ultrasound/adult_xario/I_000034.dcm", tmp_path / "strip.dcm")
    code, out, _ = run("run", "mmode", recording, "--model", models / "pheno", "-m", 40, "--json")
    (reading,) = json.loads(out)["readings"]
    assert reading["preparation"] == "published"
    assert reading["evaluation"].startswith("never evaluated in mode published")
    details = reading["details"]

    clip = read_clip(recording, limits=LimitsSection())
    grey = grey_of(clip.frames[0][240:336, 100:220], weights=PUBLISHED_LUMA)
    with torch.inference_mode():
        windows = [grey[:, :96], grey[:, 24:]]
        masks = [_as_published(network, window) for window in windows]
        expected = np.concatenate([masks[0], masks[1][:, 72:]], axis=1).sum(axis=0) * 0.05323167445541788 * 10
        np.testing.assert_allclose(details["lvid_mm"], expected, rtol=1e-6)
        assert code == (2 if reading["refused"] else 0)
        assert len(details["quality"]) == 2
        side = int(96 * 0.9)
        centre = int(np.nonzero(np.concatenate([masks[0], masks[1][:, 72:]], axis=1))[0].mean())
        top = max(0, centre - side // 2)
        found = [float(judge.double()(_seen(grey[top : top + 2 * (side // 2), :side]).double())[1]) for judge in judges]
    assert details["quality"][0]["probability"] == pytest.approx(np.mean(found), abs=1e-9)
    manifest = json.loads(_shown(run, models))
    assert manifest["architecture"] == {
        "segmentation": "quicknat",
        "quality_01": "cardionet",
        "quality_02": "cardionet",
    }
    assert len(manifest["source"]["further"]) == 2
    assert manifest["input"]["species"] == ["mouse"]


def _with_third_region(source: Path, target: Path) -> Path:
    """The real recording with a third region, a part of its M-mode strip, as the published preparation wants one."""
    dataset = pydicom.dcmread(source)
    strip = dataset.SequenceOfUltrasoundRegions[1]
    third = pydicom.Dataset()
    third.update(strip)
    third.RegionLocationMinX0, third.RegionLocationMaxX1 = 100, 220
    third.RegionLocationMinY0, third.RegionLocationMaxY1 = 240, 336
    dataset.SequenceOfUltrasoundRegions.append(third)
    dataset.save_as(target)
    return target


def _as_published(network: QuickNat, window: np.ndarray) -> np.ndarray:
    import cv2

    picture = torch.from_numpy((cv2.resize(window, (256, 256), interpolation=cv2.INTER_CUBIC) / 255).astype(np.float32))
    mask = torch.sigmoid(network(picture[None, None])).numpy()[0, 0].round()
    return np.asarray(cv2.resize(mask, (96, 96), interpolation=cv2.INTER_NEAREST))


def _seen(window: np.ndarray) -> torch.Tensor:
    import cv2

    seen = (cv2.resize(np.ascontiguousarray(window), (256, 256), interpolation=cv2.INTER_CUBIC) / 255 - 0.5) / 0.5
    return torch.from_numpy(seen.astype(np.float32))[None, None]


def _shown(run: Run, models: Path) -> str:
    from echonode.registry.verify import read_manifest

    return read_manifest(models / "pheno").model_dump_json()


@pytest.mark.slow
def test_folder_of_recordings_becomes_a_table(run: Run, tmp_path: Path) -> None:
    """Weight in the header stands for -m; one recording without it is refused by name, and the others are read."""
    models, folder, table = tmp_path / "models", tmp_path / "study", tmp_path / "all.csv"
    folder.mkdir()
    frames = heart().strip[None]
    write_mmode(folder / "a.dcm", frames, PatientWeight="0.028")
    write_mmode(folder / "b.dcm", frames)
    write_mmode(folder / "c.dcm", frames, PatientWeight="0.028", regions=[region(PhysicalUnitsXDirection=3)])
    segmenter = segmentation_file(tmp_path / "heart-seg-net.pt", outlining_network())
    judge = _judges_file(tmp_path / "quality-clas-net.pth", deciding_network(3.0))
    assert run("models", "import", "quicknat", segmenter, "--name", "seg", "--into", models)[0] == 0
    assert run("models", "import", "cardionet", judge, "--name", "judge", "--into", models)[0] == 0
    code, out, err = run("run", "mmode", folder, "--model", models / "seg", "--quality", models / "judge",
                         "-w", "all", "-f", table, "--json")  # fmt: skip
    assert code == 2
    documents = {Path(line["source"]).name: line["readings"][0] for line in map(json.loads, out.splitlines())}
    assert documents["b.dcm"]["refused"]["code"] == "species"
    assert documents["c.dcm"]["refused"]["code"] == "calibration"
    assert len(err.splitlines()) == 2
    values = {one["concept"]["value"]: one["value"] for one in documents["a.dcm"]["measurements"]}
    assert values["29436-3"] == pytest.approx(5.0, abs=0.06)
    assert values["8867-4"] == pytest.approx(600, rel=0.03)
    lines = table.read_text().splitlines()
    assert lines[0].startswith("file,lvid;d,")
    assert len(lines) == 3
    assert all(line.startswith("a.dcm,5.0") for line in lines[1:])


def _spoiled(key: str, value: torch.Tensor) -> Callable[[Path], dict[str, Any]]:
    def spoil(trace: Path) -> dict[str, Any]:
        content = segmentation_content(outlining_network())
        content["net_state_dict"] = {**content["net_state_dict"], key: value}
        return content

    return spoil


def _lacking(trace: Path) -> dict[str, Any]:
    content = segmentation_content(outlining_network())
    content["net_state_dict"] = {k: v for k, v in content["net_state_dict"].items() if k != "decode3.conv3.bias"}
    return content


class _Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda trace: {**segmentation_content(outlining_network()), "loss": _Bomb(trace)}, "never unpickled"),
        (_lacking, "lacks decode3.conv3.bias"),
        (_spoiled("encode5.conv1.bias", torch.zeros(64)), "surplus encode5.conv1.bias"),
        (_spoiled("classifier.conv.bias", torch.zeros(2)), "wrong shapes"),
        (_spoiled("classifier.conv.bias", torch.full((1,), float("nan"))), "no finite number"),
        (lambda trace: build("cardionet").state_dict(), "lacks net_state_dict"),
    ],
    ids=["code", "missing", "surplus", "shape", "nan", "other network"],
)
def test_hostile_segmentation_file_leaves_nothing(
    spoil: Callable[[Path], Any], says: str, run: Run, tmp_path: Path
) -> None:
    file, into, trace = tmp_path / "heart-seg-net.pt", tmp_path / "models", tmp_path / "trace"
    torch.save(spoil(trace), file)
    code, _, err = run("models", "import", "quicknat", file, "--name", "bad", "--into", into)
    assert code == 2
    assert says in err
    assert len(err.splitlines()) == 1
    assert not into.exists()
    assert not trace.exists()


@pytest.mark.slow
def test_cut_off_member_of_an_ensemble_refuses_all(run: Run, tmp_path: Path) -> None:
    """Half an ensemble would answer with another probability."""
    files = [_judges_file(tmp_path / f"bootstrap_net{i}.pth", deciding_network(1.0)) for i in range(2)]
    os.truncate(files[1], files[1].stat().st_size // 2)
    into = tmp_path / "models"
    code, _, err = run("models", "import", "cardionet", *files, "--name", "bad", "--into", into)
    assert code == 2
    assert "damaged or cut off" in err
    assert not into.exists()
