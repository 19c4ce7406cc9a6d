"""`echonode run` makes the objects and the report that a node makes: under the same UIDs, saying the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image

from echonode.cli.main import execute
from echonode.core.report_json import of_json
from echonode.core.task import installed_tasks
from echonode.core.work import WorkKind
from echonode.dicom.video import write_video
from echonode.execution.inline import InlineExecutor
from echonode.flow.reporting import Reporting
from echonode.flow.settle import process_now
from echonode.phantom.cohort import Cohort
from echonode.phantom.frames import Syntax
from echonode.phantom.simulation import Simulation, simulate
from echonode.tasks.common.parity import by_rule
from echonode.tasks.synthesis.net import build
from tests.support.bench import Bench

MODELS = ("phantom-segmentation", "phantom-view", "phantom-mmode")
TINY = {"image_size": 64, "model_channels": 32, "num_head_channels": 32}
RULES = """
[[route]]
name = "m-mode"
task = "mmode"
model = "phantom-mmode"
when = { mode = ["m-mode"] }

[[route]]
name = "segmentation"
task = "segmentation"
model = "phantom-segmentation"
when = { mode = ["2d"], view = ["A4C", "A2C"] }

[[route]]
name = "view"
task = "view"
model = "phantom-view"
when = { mode = ["2d"] }
"""
AFTER = """
[[route]]
name = "synthesis"
task = "synthesis"
model = "tiny"
after = "segmentation"
parameters = { phase = "ES", steps = 2 }
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command line in this process, in a folder without a configuration: exit code, output and complaints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECHONODE_CONFIG", raising=False)
    torch.set_num_threads(1)

    def call(*arguments: object) -> tuple[int, str, str]:
        code = execute([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated study: a four-chamber loop, IM_0002, and a sweep, IM_0004."""
    folder = tmp_path_factory.mktemp("simulated")
    simulation = Simulation(
        cohort=Cohort(count=1, seed=1, preset="quick"), syntax=Syntax.EXPLICIT, labels=False, scale=0.3
    )
    (written,) = simulate(simulation, folder / "study")
    for name in ("IM_0001.dcm", "IM_0003.dcm"):
        (written.folder / name).unlink()
    return written.folder


@pytest.fixture
def short(study: Path, tmp_path: Path) -> Path:
    """The first frames of the four-chamber loop."""
    loop = pydicom.dcmread(study / "IM_0002.dcm")
    loop.PixelData = np.ascontiguousarray(loop.pixel_array[:8]).tobytes()
    loop.NumberOfFrames = 8
    loop.save_as(tmp_path / "short.dcm")
    return tmp_path / "short.dcm"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Path:
    """A configuration with few rules, and the models that they name."""
    folder = tmp_path_factory.mktemp("site")
    for name in MODELS:
        shutil.copytree(checkout / "models" / name, folder / "models" / name)
    config = folder / "ae_config"
    config.mkdir()
    (config / "node.toml").write_text("[execution]\nthreads = 1\n")
    (config / "routes.toml").write_text(RULES)
    return config


@pytest.fixture(scope="module")
def tiny(site: Path) -> Path:
    """A diffusion network of random weights among the models of the site."""
    folder = site.parent
    torch.save(by_rule(build("sdm-unet", **TINY)), folder / "ema_0.9999_000001.pt")
    code = execute(
        [
            *("models", "import", "sdm", str(folder / "ema_0.9999_000001.pt"), "--name", "tiny"),
            *("--into", str(folder / "models"), "-o", "num_head_channels=32", "-o", "licence=MIT"),
        ]
    )
    assert code == 0
    return folder / "models" / "tiny"


@dataclass(frozen=True, kw_only=True)
class Node:
    """What a node made of the study."""

    objects: dict[str, str]
    report_uid: str
    digest: str


@pytest.fixture(scope="module")
def node(study: Path, site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with the same rules that was sent the study."""
    import tomllib

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(site.parent / "models", folder / "models")
    tasks = installed_tasks()
    bench = Bench(folder, routes=tomllib.loads(RULES), tasks=tasks)
    bench.executor = InlineExecutor(tasks=tasks, limits=bench.settings.limits)
    bench.restart()
    for file in sorted(study.glob("*.dcm")):
        assert bench.receive(pydicom.dcmread(file)).accepted
    bench.run_all()
    reporting = Reporting(
        archive=bench.archive,
        catalogue=bench.catalogue,
        publisher=bench.publisher,
        routes=bench.routes,
        settings=bench.settings,
        leases=bench.leases,
        tasks=tasks,
        clock=bench.clock,
    )
    (study_uid,) = {item.study_uid for item in bench.items(WorkKind.RUN)}
    process_now(bench.archive, bench.routes.report, study=study_uid, who="test")
    while reporting.sweep() + reporting.step():
        pass
    report = bench.archive.reports.current(study_uid)
    assert report is not None
    readings = bench.archive.readings.of_study(study_uid)
    yield Node(
        objects={made.sop_instance_uid: made.kind for reading in readings for made in reading.objects},
        report_uid=report.sop_instance_uid,
        digest=report.content_digest,
    )
    bench.close()


@pytest.fixture(scope="module")
def offline(study: Path, site: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder that `run report` wrote of the study, and its JSON."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("offline")
    asked = ["--out", str(out), "--json", str(out / "values.json"), "--config", str(site), "--pdf", "--measurements"]
    assert execute(["run", "report", str(study), *asked]) == 0
    ((told),) = json.loads((out / "values.json").read_text())["studies"]
    return out / told["study_uid"], told


@pytest.mark.slow
def test_a_report_without_a_node_is_the_nodes_own(offline: tuple[Path, dict[str, Any]], node: Node) -> None:
    """Two reports of one study that differ in a digit or a UID would both be believed."""
    folder, told = offline
    loops = {each["sop_instance_uid"]: each["kind"] for each in told["objects"] if "source" in each}
    assert loops == node.objects
    assert set(loops.values()) == {"segmentation", "overlay", "capture"}
    assert told["report"]["content_digest"] == node.digest
    assert pydicom.dcmread(folder / "report.dcm").SOPInstanceUID == node.report_uid
    for each in told["objects"]:
        header = pydicom.dcmread(each["file"], stop_before_pixels=True)
        assert each["sop_instance_uid"] == header.SOPInstanceUID


@pytest.mark.slow
def test_a_report_lies_there_for_people_and_for_programs(offline: tuple[Path, dict[str, Any]]) -> None:
    folder, told = offline
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "PRELIMINARY" in (folder / "report.txt").read_text()
    assert (folder / "report-measurements.dcm").is_file()
    report = of_json(told["report"])
    (ef,) = [
        value
        for group in report.groups
        for value in group.values
        if value.selected and value.measurement.concept.meaning.endswith("Ejection Fraction")
    ]
    assert ef.measurement.unit.value == "%"
    assert ef.measurement.method is not None
    assert ef.algorithm is not None
    assert (ef.algorithm.name, len(ef.algorithm.digest)) == ("phantom-segmentation", 64)
    assert not [each for each in folder.parent.iterdir() if each.name.startswith(".")], "the node's archive is gone"


@pytest.mark.slow
def test_one_model_on_one_file_makes_the_nodes_objects(run: Run, study: Path, site: Path, node: Node) -> None:
    models = site.parent / "models"
    a4c, sweep = study / "IM_0002.dcm", study / "IM_0004.dcm"
    code, out, errors = run("run", "segmentation", a4c, "--model", models / MODELS[0], "--out", "o")
    assert code == 0, errors
    assert "IM_0002-segmentation.dcm, IM_0002-overlay.dcm" in out
    code, out, errors = run("run", "mmode", sweep, "--model", models / MODELS[2], "--out", "o", "--json", "values.json")
    assert code == 0, errors
    (reading,) = json.loads(Path("values.json").read_text())["readings"]
    for each in reading["objects"]:
        assert node.objects[each["sop_instance_uid"]] == each["kind"]
    made = {pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in Path("o").glob("*.dcm")}
    assert made <= set(node.objects)
    assert len(made) == 5
    value = reading["measurements"][0]
    assert set(value) >= {"concept", "value", "unit", "method", "uncertainty", "uncertainty_basis", "repeatability"}
    assert set(value["concept"]) == {"value", "scheme", "meaning"}


@pytest.mark.slow
def test_a_synthetic_picture_of_a_loop_is_the_one_that_a_node_makes(
    run: Run, short: Path, site: Path, tiny: Path
) -> None:
    """Seeded by where the label map happens to lie, the same UID would show another heart."""
    models = site.parent / "models"
    code, _, errors = run(
        *("run", "synthesis", short, "--segmentation", models / MODELS[0], "--model", tiny),
        *("--phase", "ES", "--steps", 2, "--out", "o"),
    )
    assert code == 0, errors
    made = pydicom.dcmread("o/short-synthetic.dcm")
    config = Path("config")
    shutil.copytree(site, config)
    (config / "node.toml").write_text(f'[models]\npaths = ["{models}"]\n')
    (config / "routes.toml").write_text(RULES.partition('[[route]]\nname = "view"')[0] + AFTER)
    code, _, errors = run("run", "report", short, "--out", "r", "--config", config)
    assert code == 0, errors
    (file,) = Path("r").rglob("short-synthetic.dcm")
    nodes = pydicom.dcmread(file)
    assert nodes.SOPInstanceUID == made.SOPInstanceUID
    assert np.array_equal(nodes.pixel_array, made.pixel_array)
    assert nodes.StudyInstanceUID != pydicom.dcmread(short, stop_before_pixels=True).StudyInstanceUID


def test_a_video_gives_pictures_and_says_why_no_object(run: Run, study: Path, site: Path) -> None:
    frames = pydicom.dcmread(study / "IM_0002.dcm").pixel_array[:3]
    write_video(Path("loop.mkv"), np.ascontiguousarray(frames), fps=30)
    code, out, errors = run(
        *("run", "segmentation", "loop.mkv", "--model", site.parent / "models" / MODELS[0], "--view", "A4C"),
        *("--simulated-on-patients", "--out", "o"),
    )
    assert code == 0, errors
    assert "no DICOM object is made" in errors
    assert sorted(file.name for file in Path("o").iterdir()) == [f"loop-labels-000{frame}.png" for frame in range(3)]
    assert "loop.mkv -> o: " in out


@pytest.mark.slow
def test_maps_of_camus_bring_their_own_sector(run: Run, tiny: Path) -> None:
    rng = np.random.default_rng(1)
    labels = np.zeros((60, 50), np.uint8)
    labels[10:40, 15:35] = 1
    picture = rng.integers(1, 255, labels.shape, dtype=np.uint8)
    for name, values in (("patient0001_4CH_ED_gt", labels), ("patient0001_4CH_ED", picture)):
        Path(f"{name}.raw").write_bytes(values.tobytes())
        Path(f"{name}.mhd").write_text(
            f"NDims = 2\nDimSize = 50 60\nElementType = MET_UCHAR\nElementDataFile = {name}.raw\n"
        )
    code, out, errors = run("run", "synthesis", ".", "--model", tiny, "--steps", 2, "--out", "o", "--json")
    assert code == 0, errors
    document = json.loads(out)
    assert document["source"] == "patient0001_4CH_ED_gt.mhd"
    with Image.open(document["picture"]) as made:
        assert made.size == (256, 256)
    Path("patient0001_4CH_ED.mhd").unlink()
    code, _, errors = run("run", "synthesis", "patient0001_4CH_ED_gt.mhd", "--model", tiny)
    assert code == 2
    assert "is not beside it, and tells the sector" in errors


def test_one_study_that_fails_does_not_stop_the_next(run: Run, study: Path, site: Path) -> None:
    """A folder of a hundred studies is left alone over night."""
    folder = Path("studies")
    folder.mkdir()
    sweep = pydicom.dcmread(study / "IM_0004.dcm")
    for number, patient in enumerate(("A", "B")):
        sweep.PatientID, sweep.StudyInstanceUID, sweep.SOPInstanceUID = patient, "2.25.1", f"2.25.1.{number}"
        sweep.file_meta.MediaStorageSOPInstanceUID = sweep.SOPInstanceUID
        sweep.save_as(folder / f"1-held-{number}.dcm")
    (folder / "2-cut.dcm").write_bytes((study / "IM_0002.dcm").read_bytes()[:300])
    shutil.copy(study / "IM_0004.dcm", folder / "3-good.dcm")
    code, out, errors = run("run", "report", folder, "--out", "o", "--config", site, "--json", "all.json")
    assert code == 2
    assert "study 2.25.1: the study is held" in errors
    assert "2-cut.dcm: belongs to no study" in errors
    assert out.count("Echo report of study") == 1
    told = json.loads(Path("all.json").read_text())
    assert [bool(each["report"]) for each in told["studies"]] == [False, True]
    assert told["studies"][0]["failed"]
    assert [Path(row["file"]).name for row in told["refused"]] == ["2-cut.dcm"]


def test_a_study_that_no_route_takes_is_no_error(run: Run, study: Path, site: Path) -> None:
    code, out, errors = run("run", "report", study / "IM_0004.dcm", "--out", "o", "--config", _without_rules(site))
    assert (code, errors) == (0, "")
    assert "no route asks a model about any object" in out


def test_results_are_never_read_again(run: Run, study: Path, site: Path) -> None:
    code, _, errors = run(
        *("run", "segmentation", study / "IM_0002.dcm", "--model", site.parent / "models" / MODELS[0]),
        *("--frames", "0", "--out", "o"),
    )
    assert code == 0, errors
    code, _, errors = run("run", "report", "o", "--out", "again", "--config", site)
    assert code == 2
    assert "results are never run again" in errors


def _without_rules(site: Path) -> Path:
    config = Path("without")
    shutil.copytree(site, config)
    (config / "routes.toml").write_text("")
    return config
