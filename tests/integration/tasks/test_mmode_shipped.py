"""The shipped package `phantom-mmode` from the command line: simulated studies beside their truth, and a real recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from echonode.cli.main import execute

MODEL = "phantom-mmode"
LARGEST = 4 << 20


@pytest.fixture(scope="module")
def model(checkout: Path) -> Path:
    """The package in this checkout."""
    return checkout / "models" / MODEL


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One simulated study with a sweep at each level, of a seed that nothing was trained on."""
    folder = tmp_path_factory.mktemp("simulated") / "studies"
    assert execute(["simulate", str(folder), "--seed", "9000007", "--scale", "0.6", "--no-labels"]) == 0
    return folder


def test_the_networks_fit_into_the_checkout(model: Path) -> None:
    """A clone of the repository must stay small."""
    assert 0 < sum(file.stat().st_size for file in model.glob("*.safetensors")) < LARGEST


def test_the_card_says_what_it_is(model: Path) -> None:
    """Whoever opens the folder must read that no patient was seen, and how large the errors are."""
    card = (model / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in ("no patient", "LVIDd MAE", "LVIDs MAE", "heart rate within 2 bpm", "level accuracy", "(locked)"):
        assert words in card, words


@pytest.mark.slow
def test_a_simulated_study_is_printed_beside_its_truth(
    model: Path, simulated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a whole study the sweeps are read; the one at the LV level is measured, the others are refused for their level."""
    torch.set_num_threads(1)
    arguments = ["run", "mmode", str(simulated), "--model", str(model), "--truth", str(simulated), "--json"]
    assert execute(arguments) == 2, "two of three sweeps are not at the LV level"
    streams = capsys.readouterr()
    *documents, last = [json.loads(line) for line in streams.out.splitlines()]
    readings = [document["readings"][0] for document in documents]
    assert [reading["details"]["level"] for reading in readings] == ["lv", "mitral", "aorta"]
    assert [(reading["refused"] or {}).get("code") for reading in readings] == [None, "level", "level"]
    assert "LVID is measured at the LV level alone" in streams.err
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in last["truth"]:
        rows.setdefault(row["measurement"], []).append(row)
    assert abs(rows["LVIDd"][0]["difference"]) < 4
    assert abs(rows["LVIDs"][0]["difference"]) < 4
    assert rows["LVIDd"][1]["value"] is None
    objects = json.loads((simulated / "truth.json").read_text())["studies"][0]["objects"]
    waves = next(each["r_waves_ms"] for each in objects if each["level"] == "lv")
    own = 60_000 * (len(waves) - 1) / (waves[-1] - waves[0])  # the screen shows a mean over more than the strip
    assert abs(rows["heart rate of the strip"][0]["value"] - own) < 2


@pytest.mark.slow
def test_a_real_sweep_at_the_mitral_level_gives_no_diameter(
    model: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was learned from simulated hearts is not trusted with a patient's: here it must at least not measure."""
    torch.set_num_threads(1)
    recording = shared_data / "ultrasound/adult_xario/I_000034.dcm"
    code = execute(
        [
            "run",
            "mmode",
            str(recording),
            "--model",
            str(model),
            "--species",
            "human",
            "--json",
            "--simulated-on-patients",
        ]
    )
    assert code == 2
    reading = json.loads(capsys.readouterr().out.splitlines()[0])["readings"][0]
    assert reading["refused"]["code"] == "level"
    assert reading["measurements"] == []
