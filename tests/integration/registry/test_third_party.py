"""A task of somebody else's package: installed, trained, registered, routed and published, as docs/own-task.md tells.

Everything happens in the processes of a real node and in commands that a person would type.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from tests.support.live import LiveNode, Pacs, send
from tests.support.loops import ULTRASOUND_MULTIFRAME, loop_dataset
from tests.support.waiting import wait_until

LONG = 240.0
EXAMPLE, GUIDE = Path("tests/support/third_party"), Path("docs/own-task.md")
CAPTURES = {"1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.4"}
WHO = ["--by", "Ada", "--why", "the gain of two rooms differs"]
ENDED = (WorkState.COMPLETED, WorkState.CANCELED)


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where the package is installed, and the folder that its author works in; `echonode` runs a command there."""

    packages: Path
    work: Path

    def environment(self, config: Path | None = None) -> dict[str, str]:
        known = {} if config is None else {"ECHONODE_CONFIG": str(config)}
        return os.environ | {"PYTHONPATH": str(self.packages)} | known

    def echonode(self, *words: str, config: Path | None = None, ok: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "echonode"), *words]
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.environment(config), cwd=self.work, timeout=LONG
        )
        assert (done.returncode == 0) is ok, (words, done.stdout[-2000:], done.stderr[-2000:])
        return done


def blocks(checkout: Path, language: str) -> list[str]:
    """The code blocks of the guide in one language."""
    text = (checkout / GUIDE).read_text()
    return [code for kind, code in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if kind == language]


def commands(checkout: Path, *first: str) -> list[list[str]]:
    """The echonode commands of the guide, in order, that begin with one of these words."""
    lines = [line for block in blocks(checkout, "") for line in block.splitlines() if line.startswith("echonode ")]
    assert len(lines) == 9, "a command of the guide that nobody types here"
    typed = [shlex.split(line)[1:] for line in lines]
    return [words for words in typed if words[0] in first]


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
    (folder / "work").mkdir()
    return Site(packages=folder / "packages", work=folder / "work")


@pytest.fixture(scope="module")
def package(site: Site, checkout: Path) -> Path:
    """What the guide trains, in seconds, from eleven small simulated studies, and measures on three others."""
    for words in commands(checkout, "train"):
        assert "gain-1" in site.echonode(*words).stdout
    for words in commands(checkout, "evaluate"):
        (measured,) = json.loads(site.echonode(*words, "--json", "-").stdout)["metrics"]["gain-1"]
        assert measured["name"] == "grey level MAE"
        assert measured["value"] < 10
    return site.work / "built" / "gain-1"


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
    node: LiveNode,
    pacs: Pacs,
    site: Site,
    package: Path,
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The guide from its first route to the report, as it is typed."""
    monkeypatch.setenv("PYTHONPATH", str(site.packages))
    (route_of_guide,) = (block for block in blocks(checkout, "toml") if "[[route]]" in block)
    configure(node, tmp_path / "models", routes=route_of_guide)
    node.start()
    register, promote, show = commands(checkout, "models")
    told = site.echonode(*register, config=node.config).stdout
    assert "gain-1 1 is candidate" in told, told
    assert "deterministic" in told
    assert "gain-1 1 is active in line gain; routes: gain" in site.echonode(*promote, config=node.config).stdout
    assert "gain differs between our rooms" in site.echonode(*show, config=node.config).stdout

    for words in commands(checkout, "simulate", "send"):
        address = f"ECHONODE@127.0.0.1:{node.port}"
        site.echonode(*[word.replace("ECHONODE@127.0.0.1:11112", address) for word in words], config=node.config)
    sent = [dcmread(path, stop_before_pixels=True) for path in sorted((site.work / "study").rglob("*.dcm"))]
    loops = [each for each in sent if each.SOPClassUID == ULTRASOUND_MULTIFRAME]
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
    assert sorted(values) == pytest.approx(sorted([*greys.values(), fmean(greys.values())]), abs=0.1)
    (apart,) = named(group, "MYOGREY-RANGE", "99ECHOGAIN")
    spread = max(greys.values()) - min(greys.values())
    assert float(apart.MeasuredValueSequence[0].NumericValue) == pytest.approx(spread, abs=0.1)
    assert "99ECHOGAIN" in {item.CodingSchemeDesignator for item in report.CodingSchemeIdentificationSequence}
    listed, shown = commands(checkout, "study")
    assert study in site.echonode(*listed, config=node.config).stdout
    lines = site.echonode(*[study if word == "STUDY" else word for word in shown], config=node.config).stdout
    assert "Further measurements" in lines
    assert "Mean grey level of myocardium" in lines


@pytest.mark.slow
def test_its_own_tests_pass_where_it_is_installed(site: Site, checkout: Path) -> None:
    tests = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(tests, cwd=checkout / EXAMPLE, env=site.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout


def test_the_guide_shows_what_the_example_has(checkout: Path) -> None:
    """Code that was copied out of the guide and does not work is worse than none."""
    text = (checkout / GUIDE).read_text()
    shown = re.findall(r"^`([\w/.-]+)`[^\n]*:\n\n```\w+\n(.*?)^```", text, re.M | re.S)
    shown += re.findall(r"^[^\n`]*`(tests/test_gain.py)`:\n\n```\w+\n(.*?)^```", text, re.M | re.S)
    files = {name for name, _ in shown}
    assert {"pyproject.toml", "echo_gain/__init__.py", "echo_gain/runner.py", "echo_gain/train.py"} <= files
    assert len(shown) >= len(blocks(checkout, "python")) + 1
    for name, code in shown:
        assert code in (checkout / EXAMPLE / name).read_text(), f"{name} has other code than the guide shows"
    for name in re.findall(r"^  (\S+\.\w+) *", blocks(checkout, "")[0], re.M):
        assert (checkout / EXAMPLE / name).is_file(), f"the guide lists {name}"


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
    site = Site(packages=packages, work=tmp_path)
    failed = site.echonode("models", "register", "any", *WHO, config=node.config, ok=False)
    assert "no licence file" in failed.stderr
    assert len([line for line in failed.stderr.splitlines() if line.strip()]) == 1
    failed = site.echonode("train", "broken", "--data", "phantom:1@1", ok=False)
    assert "task 'broken' of package broken 2.0: cannot be loaded" in failed.stderr
