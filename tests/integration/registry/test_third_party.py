"""A task of somebody else's package: installed, trained, registered, routed and published, as docs/own-task.md tells.

Everything happens in the processes of a real node and in commands that a person would type.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.phantom.cohort import Cohort
from echonode.phantom.writing import write_study
from tests.support.live import LiveNode, Pacs, send
from tests.support.loops import ULTRASOUND_MULTIFRAME, loop_dataset
from tests.support.waiting import wait_until

LONG = 240.0
EXAMPLE = Path("tests/support/third_party")
CAPTURES = {"1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.4"}
WHO = ["--by", "Ada", "--why", "the gain of two rooms differs"]
ENDED = (WorkState.COMPLETED, WorkState.CANCELED)


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where the package is installed; `echonode` runs a command there."""

    folder: Path

    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.folder)}

    def echonode(self, *words: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "echonode"), *words]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment(), timeout=LONG)
        assert (done.returncode == 0) is ok, (words, done.stdout[-2000:], done.stderr[-2000:])
        return done


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Site:
    """The example, built and installed by pip without a network, from a copy: a build writes beside its source."""
    folder = tmp_path_factory.mktemp("site")
    source = shutil.copytree(checkout / EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--no-input"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *offline, "--target", str(folder / "packages"), str(source)],
        check=True, capture_output=True, timeout=LONG,
    )  # fmt: skip
    return Site(folder=folder / "packages")


@pytest.fixture(scope="module")
def package(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `echonode train gain` publishes, in seconds, from eleven small simulated studies."""
    folder = tmp_path_factory.mktemp("gain")
    site.echonode(
        "train", "gain", "--data", "phantom:8@71", "--test-data", "phantom:3@900", "--out", str(folder / "run"),
        "--threads", "1", "--set", "loops=2", "--name", "gain-1", "--models", str(folder / "built"),
    )  # fmt: skip
    return folder / "built" / "gain-1"


@pytest.fixture
def pacs(free_port: Callable[[], int]) -> Iterator[Pacs]:
    server = Pacs(free_port())
    yield server
    server.close()


@pytest.fixture
def node(
    tmp_path: Path, free_port: Callable[[], int], pacs: Pacs, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LiveNode]:
    live = LiveNode(
        tmp_path / "node",
        port=free_port(),
        pacs_port=pacs.port,
        checkout=checkout,
        more="[settle]\nquiet_seconds = 1.0\n",
        report='deliver_to = ["pacs"]',
    )
    yield live
    live.close()


def configure(node: LiveNode, models: Path, *, routes: str) -> None:
    """The node's packages lie in `models`, and only these routes are there."""
    models.mkdir(exist_ok=True)
    settings, table = node.config / "node.toml", node.config / "routes.toml"
    lines = settings.read_text().splitlines()
    settings.write_text(
        "\n".join(f'paths = ["{models}"]' if line.startswith("paths = ") else line for line in lines) + "\n"
    )
    rest = table.read_text()
    table.write_text(routes + rest[rest.index("[[destination]]") :])


def route(name: str, *, task: str, model: str) -> str:
    return f'[[route]]\nname = "{name}"\ntask = "{task}"\nmodel = "{model}"\nwhen = {{mode = ["2d"]}}\n'


def simulated_loops(folder: Path) -> list[Dataset]:
    """The loops of a small simulated study that nothing was learned from, as a scanner sends them."""
    write_study(Cohort.parse("phantom:1@4242/quick")[0], folder, labels=False, scale=0.3)
    found = [dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    return [each for each in found if each.SOPClassUID == ULTRASOUND_MULTIFRAME]


def items(node: LiveNode, kind: WorkKind) -> list[WorkItem]:
    with node.archive() as archive:
        return archive.work.list(kind=kind)


def ended(node: LiveNode, kind: WorkKind, count: int) -> list[WorkItem]:
    """All work of a kind, once `count` items or more have ended."""

    def found() -> list[WorkItem]:
        told = items(node, kind)
        return told if len(told) >= count and all(item.state in ENDED for item in told) else []

    return wait_until(found, f"{kind} to end", seconds=LONG, every=0.2)


def walk(item: Dataset) -> list[Dataset]:
    return [item, *(below for child in item.get("ContentSequence", ()) for below in walk(child))]


def named(item: Dataset, value: str, scheme: str) -> list[Dataset]:
    """Content items of a tree by the code of their concept name."""
    return [
        each
        for each in walk(item)
        for name in each.get("ConceptNameCodeSequence", ())[:1]
        if (name.CodeValue, name.CodingSchemeDesignator) == (value, scheme)
    ]


def loads(pid: int, library: str) -> bool:
    return library in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.slow
def test_a_task_of_another_package_comes_back_into_the_study(
    node: LiveNode, pacs: Pacs, site: Site, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    configure(node, tmp_path / "models", routes=route("gain", task="gain", model="gain"))
    node.start()
    config = ["--config", str(node.config)]
    told = site.echonode("models", "register", str(package), *WHO, *config).stdout
    assert "gain-1 1 is candidate" in told, told
    assert "deterministic" in told
    promoted = json.loads(site.echonode("models", "promote", "gain-1", "--active", *WHO, *config, "--json").stdout)
    assert (promoted["model"], promoted["line"], promoted["state"]) == ("gain-1", "gain", "active")

    loops = simulated_loops(tmp_path / "study")
    assert send(node.port, *loops) == [0x0000] * len(loops)
    study = str(loops[0].StudyInstanceUID)
    runs = ended(node, WorkKind.RUN, len(loops))
    assert [item.outcome.get("result") for item in runs] == ["published"] * len(loops), [item.outcome for item in runs]
    ended(node, WorkKind.REPORT, 1)

    for pid in [node.process.pid, *node.children("echonode.node")] if node.process is not None else []:
        assert not loads(pid, "libtorch"), "a process of the node loaded what belongs into a runner's"
    assert any(loads(pid, "libtorch") for pid in node.children("execution.child"))

    with node.archive() as archive:
        readings = archive.readings.of_study(study)
        stored = archive.index.instances(study_uid=study)
    assert {(each.task, each.model, each.version) for each in readings} == {("gain", "gain-1", "1")}
    greys = {each.sop_instance_uid: each.measurements[0].value for each in readings}
    assert set(greys) == {str(each.SOPInstanceUID) for each in loops}
    captures = [each for each in stored if each.derived and each.sop_class_uid in CAPTURES]
    assert len(captures) == len(loops), "the pictures that the task drew"

    (report,) = wait_until(
        lambda: [each for each in pacs.objects.values() if each.Modality == "SR"], "the report", seconds=LONG
    )
    assert report.StudyInstanceUID == study
    (group,) = (
        each
        for each in named(report, "125007", "DCM")
        if named(each, "112039", "DCM")[0].TextValue == "Further measurements: gain-1 1"
    )
    values = [float(each.MeasuredValueSequence[0].NumericValue) for each in named(group, "MYOGREY", "99ECHOGAIN")]
    assert sorted(values) == pytest.approx(sorted(greys.values()), abs=0.1)
    (apart,) = named(group, "MYOGREY-RANGE", "99ECHOGAIN")
    spread = max(greys.values()) - min(greys.values())
    assert float(apart.MeasuredValueSequence[0].NumericValue) == pytest.approx(spread, abs=0.1)
    assert "99ECHOGAIN" in {item.CodingSchemeDesignator for item in report.CodingSchemeIdentificationSequence}
    lines = site.echonode("study", "report", study, *config).stdout
    assert "Further measurements" in lines
    assert "Mean grey level of myocardium" in lines


@pytest.mark.slow
def test_it_is_measured_and_its_own_tests_pass_where_it_is_installed(site: Site, package: Path, checkout: Path) -> None:
    answer = site.echonode(
        "evaluate", "gain", "--model", "gain-1", "--models", str(package.parent), "--data", "phantom:3@901", "--threads",
        "1", "--json",
    )  # fmt: skip
    (measured,) = json.loads(answer.stdout)["metrics"]["gain-1"]
    assert measured["name"] == "grey level MAE"
    assert measured["value"] < 15
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(tests, cwd=checkout / EXAMPLE, env=site.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout


BROKEN: dict[str, tuple[str, str]] = {
    "broken": ("broken", "raise RuntimeError('no licence file')\n"),
    "usurper": (
        "view",
        "from echonode.core.task import TaskSpec\nTASK = TaskSpec(name='view', title='Mine', runner='nowhere:make')\n",
    ),
}


@pytest.mark.slow
def test_a_broken_package_takes_nothing_down_with_it(
    node: LiveNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line in the log, its route refused with the reason, and scanners store as before."""
    packages, models = tmp_path / "packages", tmp_path / "models"
    for name, (task, code) in BROKEN.items():
        described = packages / f"{name}-2.0.dist-info"
        described.mkdir(parents=True)
        (packages / f"{name}_task.py").write_text(code)
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
        (described / "entry_points.txt").write_text(f"[echonode.tasks]\n{task} = {name}_task:TASK\n")
    (models / "any").mkdir(parents=True)
    (models / "any" / "manifest.toml").write_text(
        'schema_version = 1\nname = "any"\nversion = "1"\ntask = "broken"\ntitle = "Any"\ntrained_on = "nothing"\n'
    )
    monkeypatch.setenv("PYTHONPATH", str(packages))
    configure(node, models, routes=route("any", task="broken", model="any"))
    node.start()
    loop = loop_dataset(frames=4)
    assert send(node.port, loop) == [0x0000]
    (run,) = ended(node, WorkKind.RUN, 1)
    assert run.state is WorkState.CANCELED
    assert run.reason == "task 'broken' of package broken 2.0: cannot be loaded: RuntimeError: no licence file"
    refused = {(each["task"], each["package"]): each["reason"] for each in node.events("an installed task is not used")}
    assert refused == {
        ("broken", "broken 2.0"): "cannot be loaded: RuntimeError: no licence file",
        ("view", "usurper 2.0"): "echonode has a task of that name",
    }
    assert node.events("a route names a task that is not there")[0]["reason"] == run.reason
    site = Site(folder=packages)
    config = ["--config", str(node.config)]
    failed: Any = site.echonode("models", "register", "any", *WHO, *config, ok=False)
    assert "no licence file" in failed.stderr
    assert len([line for line in failed.stderr.splitlines() if line.strip()]) == 1
    failed = site.echonode("train", "broken", "--data", "phantom:1@1", ok=False)
    assert "task 'broken' of package broken 2.0: cannot be loaded" in failed.stderr
