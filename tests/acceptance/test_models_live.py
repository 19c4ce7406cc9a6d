"""Studies flow while a model comes: candidate, shadow, active, taken back. Nothing is lost, doubled or delivered by a
shadow, each object names the model that made it, and the audit trail says who decided what, and why."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from echonode.archive.archive import Archive
from echonode.core.model_states import ModelState
from echonode.core.readings import KeptReading
from echonode.core.states import WorkState
from echonode.core.work import WorkKind
from echonode.registry.verify import verify
from tests.support.live import LiveNode, Pacs, send
from tests.support.loops import loop_dataset
from tests.support.waiting import wait_until

OLD, NEW = "optical-flow", "quicker-flow"
WHY = "half the time on our own loops"


class Scanner(threading.Thread):
    """Sends one loop after another until it is told to stop, each until it is acknowledged."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port, self._done = port, threading.Event()
        self.sent: list[str] = []

    def run(self) -> None:
        seed = 0
        while not self._done.wait(0.3):
            loop = loop_dataset(seed=seed, frames=4, size=96)
            while send(self._port, loop) != [0x0000]:
                assert not self._done.wait(0.1)
            self.sent.append(str(loop.SOPInstanceUID))
            seed += 1

    def stop(self) -> None:
        self._done.set()
        self.join()


@pytest.fixture
def pacs(free_port: Callable[[], int]) -> Iterator[Pacs]:
    server = Pacs(free_port())
    yield server
    server.close()


@pytest.fixture
def node(tmp_path: Path, free_port: Callable[[], int], pacs: Pacs, checkout: Path) -> Iterator[LiveNode]:
    live = LiveNode(tmp_path / "node", port=free_port(), pacs_port=pacs.port, checkout=checkout)
    yield live.start()
    live.close()


@pytest.fixture
def package(tmp_path: Path, checkout: Path) -> Path:
    """Another version of the shipped model: the same method, other settings."""
    folder = tmp_path / "new" / NEW
    shutil.copytree(checkout / "models" / OLD, folder)
    manifest = folder / "manifest.toml"
    text = manifest.read_text().replace(f'name = "{OLD}"', f'name = "{NEW}"').replace('version = "1"', 'version = "2"')
    manifest.write_text(text)
    return folder


def echonode(node: LiveNode, *arguments: str, expected: int = 0) -> str:
    """What a command of an operator prints."""
    command = [str(Path(sys.executable).parent / "echonode"), *arguments, "--config", str(node.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout + done.stderr


def counting(archive: Archive, uid: str) -> KeptReading:
    (reading,) = archive.readings.of_instance(uid)
    return reading


def models_of(archive: Archive, scanner: Scanner) -> Counter[str]:
    """How many loops each model has answered for."""
    said = (archive.readings.of_instance(uid) for uid in list(scanner.sent))
    return Counter(reading.model for readings in said for reading in readings)


def made_by(dataset: Any) -> str:
    """Which model an object says that it was made by."""
    texts = [str(item.get("ContributionDescription", "")) for item in dataset.ContributingEquipmentSequence]
    (found,) = {name for name in (OLD, NEW) for text in texts if f"Model {name} " in text}
    return found


@pytest.mark.slow
def test_a_model_comes_and_goes_while_studies_flow(node: LiveNode, pacs: Pacs, package: Path) -> None:
    said = ["--by", "Dr Ada", "--why", WHY]
    scanner = Scanner(node.port)
    scanner.start()
    with node.archive() as archive:
        try:
            printed = echonode(node, "models", "register", str(package), *said)
            assert "is candidate in line" in printed
            wait_until(lambda: models_of(archive, scanner)[OLD] >= 3, "loops of the old model", seconds=120)
            echonode(node, "models", "promote", NEW, "--shadow", *said)
            wait_until(lambda: len(archive.readings.of_model(NEW)) >= 3, "the shadow to look", seconds=120)
            assert models_of(archive, scanner)[NEW] == 0
            echonode(node, "models", "promote", NEW, "--active", *said)
            wait_until(lambda: models_of(archive, scanner)[NEW] >= 3, "loops of the new model", seconds=120)
            before = models_of(archive, scanner)[OLD]
            echonode(node, "models", "rollback", OLD, "--by", "Dr Bob", "--why", "seams at the R wave")
            wait_until(lambda: models_of(archive, scanner)[OLD] >= before + 3, "the old model again", seconds=120)
        finally:
            scanner.stop()
        wait_until(
            lambda: (
                len(done := archive.work.list(kind=WorkKind.DELIVER, limit=10_000)) == len(scanner.sent)
                and all(item.state is WorkState.COMPLETED for item in done)
            ),
            "every result to be delivered",
            seconds=120,
        )
        runs = archive.work.list(kind=WorkKind.RUN, limit=10_000)
        looked = [item for item in runs if item.payload.get("shadow")]
        live = [item for item in runs if not item.payload.get("shadow")]
        # nothing lost, nothing doubled
        assert Counter(item.sop_instance_uid for item in live) == Counter(scanner.sent)
        assert {item.state for item in live} == {WorkState.COMPLETED}
        derived = [each for each in archive.index.instances() if each.derived]
        results = [str(item.outcome["sop_instance_uid"]) for item in live]
        assert sorted(each.sop_instance_uid for each in derived) == sorted(set(results))
        assert len(results) == len(set(results)) == len(scanner.sent)
        assert pacs.times == Counter(results)
        # each object names the model that made it
        for item in live:
            uid = str(item.outcome["sop_instance_uid"])
            reading = counting(archive, item.sop_instance_uid)
            assert made_by(pacs.objects[uid]) == reading.model == item.outcome.get("model", OLD)
            assert [each.sop_instance_uid for each in reading.objects] == [uid]
        # the shadow delivered nothing, and made nothing
        assert len(looked) >= 3
        assert all(item.payload["deliver_to"] == [] and "sop_instance_uid" not in item.outcome for item in looked)
        # the audit trail says who, and why
        told = [row for row in archive.audit.latest(10_000) if row.event.startswith("model ")][::-1]
        assert [row.event for row in told] == [
            "model registered", "model made a shadow", "model made active", "model rolled back",
        ]  # fmt: skip
        assert all(row.who.startswith("Dr Ada (") and row.details["why"] == WHY for row in told[:3])
        assert told[3].who.startswith("Dr Bob (")
        assert told[3].details["displaced"] == NEW
        assert archive.models.state(NEW) is ModelState.RETIRED
    assert NEW in echonode(node, "models", "list")
    assert "seams at the R wave" in echonode(node, "models", "show", NEW)
    echonode(node, "models", "remove", NEW, *said)
    assert "there is no model" not in echonode(node, "models", "show", NEW)
    assert node.stop() == 0


def test_a_package_that_was_tampered_with_ends_runs_with_one_line(node: LiveNode, pacs: Pacs, package: Path) -> None:
    installed = node.configuration.model_paths[-1] / NEW
    shutil.copytree(package, installed)
    said = ["--by", "Dr Ada", "--why", WHY]
    with node.archive() as archive:
        archive.models.register(verify(installed), checks={}, shipped=True, by="Dr Ada", why=WHY)
        echonode(node, "models", "promote", NEW, "--active", *said)
        (installed / "manifest.toml").write_text((installed / "manifest.toml").read_text().replace("45.0", "450.0"))
        assert send(node.port, loop_dataset(frames=4, size=96)) == [0x0000]
        wait_until(
            lambda: [item.state for item in archive.work.list(kind=WorkKind.RUN)] == [WorkState.CANCELED],
            "the run to be given up",
            seconds=60,
        )
        (item,) = archive.work.list(kind=WorkKind.RUN)
        assert "is not the one that was registered" in item.reason
        assert "\n" not in item.reason
        echonode(node, "models", "rollback", OLD, *said)
        archive.work.retry(item.id)
        wait_until(lambda: len(pacs.times) == 1, "the old model to answer", seconds=120)
