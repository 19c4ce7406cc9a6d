"""The shipped package `phantom-mmode` from the command line: simulated studies beside their truth, and a real recording."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from echonode.cli.main import execute
from echonode.core.results import Details, Ineligible, Measurement, Picture, RunOutcome
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.registry.catalogue import Catalogue
from echonode.tasks.mmode.runner import open_runner

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


def test_a_real_sweep_at_the_mitral_level_gives_its_heart_rate_and_no_diameter(
    model: Path, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ECG in its picture has two R waves 1.20 s apart: 50 a minute, where the header's average says 56."""
    torch.set_num_threads(1)
    recording = shared_data / "ultrasound/adult_xario/I_000034.dcm"
    asked = ["run", "mmode", str(recording), "--model", str(model), "--figure", str(tmp_path / "figures")]
    code = execute([*asked, "--json", "--simulated-on-patients"])
    assert code == 2
    reading = json.loads(capsys.readouterr().out.splitlines()[0])["readings"][0]
    assert reading["refused"]["code"] == "level"
    assert "mitral level" in reading["refused"]["reason"]
    (rate,) = reading["measurements"]
    assert (rate["concept"]["value"], rate["concept"]["scheme"]) == ("8867-4", "LN")
    assert rate["unit"]["value"] == "{H.B.}/min"
    assert rate["value"] == pytest.approx(50, abs=2)
    assert rate["count"] == 1
    assert rate["notes"] == ["1 R-R interval; timing: R waves of the ECG in the picture"]
    strip = reading["details"]["strip"]
    assert strip["millimetres_per_row"] == pytest.approx(0.532, abs=0.001)
    assert strip["seconds_per_column"] == pytest.approx(0.00417, abs=0.00001)
    left = strip["box"][0]
    assert [wave["column"] + left for wave in reading["details"]["r_waves"]] == pytest.approx([188, 476], abs=2)
    drawn = {file.name for file in (tmp_path / "figures" / "I_000034").iterdir()}
    assert drawn == {"annotated.png", "output_img.png", "output_heartrate.png"}


def test_a_real_sweep_gives_all_of_it_in_one_result(model: Path, shared_data: Path) -> None:
    """What a node keeps of the run: the heart rate, the refusal, the picture and the details, none without the others."""
    runner = open_runner(Catalogue([model.parent]).get(MODEL), "cpu", 1)
    clip = read_clip(shared_data / "ultrasound/adult_xario/I_000034.dcm", limits=LimitsSection())
    (results,) = runner.run([clip], [{"species": "human"}], lambda done, total: None)
    rate, refusal, picture, details = results
    assert isinstance(rate, Measurement)
    assert rate.value == pytest.approx(50, abs=2), "whatever the header says: it averages other beats"
    assert clip.heart_rate == 56
    assert rate.uncertainty is not None
    assert isinstance(refusal, Ineligible)
    assert refusal.code == "level"
    assert isinstance(picture, Picture)
    assert isinstance(details, Details)
    assert RunOutcome(results=results, seconds=0.0, device="cpu").refusal is None, "the run gave a number"
    assert json.loads(json.dumps(details.values))["level"] == "mitral"


@pytest.mark.slow
def test_a_simulated_sweep_is_measured_with_its_walls_tables_and_figures(
    model: Path, simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every value states its beats and limits; the tidy table has a line a beat; the published plots are drawn."""
    torch.set_num_threads(1)
    table, figures = tmp_path / "beats.csv", tmp_path / "figures"
    arguments = ["run", "mmode", str(simulated), "--model", str(model), "--table", str(table), "-w", "tidy"]
    assert execute([*arguments, "--figure", str(figures), "--json"]) == 2
    first = json.loads(capsys.readouterr().out.splitlines()[0])["readings"][0]
    found = {one["concept"]["value"]: one for one in first["measurements"]}
    assert {"29436-3", "29438-9", "18154-5", "18152-9", "18087-7", "RWT", "18026-5", "18148-7", "18043-0", "18051-3",
            "8867-4"} == set(found)  # fmt: skip
    for one in found.values():
        assert one["count"] >= 1
        assert one["derivation"]["value"] == "373098007"
        assert "locked" in one["uncertainty_basis"]
    assert found["18087-7"]["method"]["value"] == "125221"
    with table.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(first["details"]["beats"])
    means = [float(line["lvid_d_mm"]) for line in lines if line["good"] == "True" and line["complete"] == "True"]
    if first["details"]["beats_averaged"]["complete"] == found["29436-3"]["count"]:
        assert found["29436-3"]["value"] == pytest.approx(sum(means) / len(means))
    drawn = [file.name for folder in sorted(figures.iterdir()) for file in sorted(folder.iterdir())]
    assert drawn.count("annotated.png") == 3
    assert {"output_diastole.png", "output_systole.png", "output_img_mask.png"} <= set(drawn)
