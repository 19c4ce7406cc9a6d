"""The life of a report in a live node: pieces, a late loop, a duplicate, kills, a person's word, withdrawal, correction."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import pydicom
import pytest
from pydicom.dataset import Dataset

from echonode.core.configuration import load_configuration
from echonode.core.work import WorkItem
from echonode.node import open_archive
from tests.acceptance.conftest import RunningNode
from tests.support import received, validators
from tests.support.live import command_line, descendants
from tests.support.orthanc import Orthanc
from tests.support.phantoms import write_phantom
from tests.support.received import Received
from tests.support.shipped import shipped_routes
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
MEASURED = ("m-mode", "ejection-fraction", "segmentation")
"""The routes that give values: the others add pictures and time alone."""
ONE_THREAD = 'devices = ["cpu"]\nthreads = 1'


class Site:
    """A node that measures, its Orthanc, and a simulated study that is sent in pieces."""

    def __init__(self, node: RunningNode, orthanc: Orthanc, files: dict[str, Path], sender: str, folder: Path) -> None:
        self.node, self.orthanc, self.files = node, orthanc, files
        self._sender, self._folder = sender, folder
        self.study = str(pydicom.dcmread(files["A4C"], specific_tags=["StudyInstanceUID"]).StudyInstanceUID)

    def send(self, *names: str) -> None:
        """Send loops as a scanner does, over an association of their own."""
        title, port = self.node.ae_title, str(self.node.port)
        command = [self._sender, "-xy", "-aet", "SCANNER", "-aec", title, "127.0.0.1", port]
        done = subprocess.run(
            [*command, *(str(self.files[name]) for name in names)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def received(self) -> Received:
        return self.orthanc.headers(self._folder)

    def reports(self, count: int) -> list[Dataset]:
        """The reports that Orthanc has, oldest first, as soon as there are `count`."""
        wait_until(
            lambda: len(received.of_kind(self.received(), "report")) >= count,
            f"report {count} in Orthanc",
            seconds=200,
            every=0.5,
        )
        found = [pydicom.dcmread(path) for path, _ in received.of_kind(self.received(), "report")]
        assert len(found) == count
        return found

    def quiet(self) -> None:
        """Wait until no work is open and the study has settled."""
        self.node.cli("study", "process-now", self.study)
        wait_until(lambda: all(str(item.state) == "COMPLETED" for item in self.work()), "an end of all work", every=0.5)

    def work(self) -> list[WorkItem]:
        archive = open_archive(load_configuration(self.node.config))
        try:
            return list(archive.work.list(limit=500))
        finally:
            archive.close()

    def kill_worker(self) -> None:
        """SIGKILL to the worker process, which the supervisor starts again."""
        (worker,) = (pid for pid in descendants(self.node.process.pid) if " worker" in command_line(pid))
        os.kill(worker, signal.SIGKILL)

    def told(self) -> dict[str, Any]:
        """What `echonode study report` says."""
        found: dict[str, Any] = json.loads(self.node.cli("study", "report", self.study, "--json"))
        return found


@pytest.fixture
def site(
    orthanc: Orthanc,
    node: Callable[..., RunningNode],
    program: Callable[[str], str],
    checkout: Path,
    tmp_path: Path,
) -> Site:
    running = node(
        pacs_port=orthanc.dicom,
        pacs_title="ORTHANC",
        routes=shipped_routes(checkout, only=MEASURED),
        execution=ONE_THREAD,
    )
    sender = program("storescu")
    return Site(running, orthanc, write_phantom(tmp_path / "study"), sender, tmp_path / "received")


def selected(report: Dataset) -> dict[str, str]:
    """The values that stand for the study, by their concept, with their methods."""
    return {
        str(value.ConceptNameCodeSequence[0].CodeValue): received.code_of(value, "370129005")
        for group in received.items_of(report, "125007")
        for value in group.get("ContentSequence", ())
        if value.ValueType == "NUM" and list(received.items_of(value, "SELECTED"))
    }


def doubled(got: Received) -> list[Any]:
    """Objects of one kind, of one model, made of one source, that are there more than once."""
    seen = Counter(
        (str(each.SOPClassUID), str(each.SeriesDescription), str(each.SourceImageSequence[0].ReferencedSOPInstanceUID), each.InstanceNumber)
        for _, each in got
        if "SourceImageSequence" in each
    )  # fmt: skip
    return [key for key, count in seen.items() if count > 1]


def judged(got: Received, sources: list[Path]) -> None:
    """Every object that came back is valid, and every report readable with what the field reads them with."""
    assert received.errors_beyond(sources, [path for path, _ in got]) == {}
    for path, _ in received.of_kind(got, "report"):
        assert "RESEARCH" in validators.dump(path)
        assert highdicom.sr.srread(str(path)).content.get_image_measurement_groups()


def test_a_report_is_revised_reviewed_added_to_withdrawn_and_put_under_the_right_patient(site: Site) -> None:
    """The story that a lab lives through; at each step a reader of the PACS must find one answer."""
    sources = [site.files[name] for name in ("A4C", "A2C", "M-mode")]
    site.send("A4C")
    (first,) = site.reports(1)
    assert received.predecessors(first) == []
    site.send("A2C")
    _, second = site.reports(2)
    assert received.predecessors(second) == [str(first.SOPInstanceUID)]
    assert selected(second)["18043-0"] == "Method of Disks, Biplane", "both planes are there now"
    site.send("A4C")
    site.quiet()
    assert len(site.reports(2)) == 2, "the same loop once more says nothing new"
    got = site.received()
    assert doubled(got) == []
    ((_, now),) = received.current(got)
    assert now.SOPInstanceUID == second.SOPInstanceUID
    assert received.disagreements_beyond(sources, [path for path, _ in got]) == []

    site.node.cli("review", site.study, "--accept", "--by", "Ada Lovelace")
    verified = site.reports(3)[-1]
    assert (verified.VerificationFlag, verified.PreliminaryFlag) == ("VERIFIED", "FINAL")
    assert str(second.SOPInstanceUID) in received.predecessors(verified)
    site.send("M-mode")
    addendum = site.reports(4)[-1]
    assert (addendum.VerificationFlag, addendum.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert str(verified.SOPInstanceUID) in received.predecessors(addendum)
    assert "29436-3" in selected(addendum), "the diameter of the late sweep"
    told = site.told()
    assert told["current"]["sop_instance_uid"] == verified.SOPInstanceUID
    assert told["addendum"]["sop_instance_uid"] == addendum.SOPInstanceUID
    judged(site.received(), sources)
    for path, header in received.of_kind(site.received(), "report"):
        if header.SOPInstanceUID in (verified.SOPInstanceUID, addendum.SOPInstanceUID):
            assert validators.sr_errors(path) == []

    site.node.cli("results", "withdraw", str(addendum.SOPInstanceUID), "--by", "Ada Lovelace", "--reason", "wrong beat")
    wait_until(lambda: "KO" in site.orthanc.modalities(), "a rejection note in Orthanc", seconds=60, every=0.5)
    ((note_path, note),) = received.of_kind(site.received(), "rejection")
    rejected = [
        str(item.ReferencedSOPInstanceUID)
        for study in pydicom.dcmread(note_path).CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]
    its_own = [each["sop_instance_uid"] for each in told["addendum"]["objects"]]
    assert sorted(rejected) == sorted([str(addendum.SOPInstanceUID), *its_own]), "with its page and its measurements"
    assert received.errors_beyond(sources, [note_path]) == {}
    assert note.StudyInstanceUID == site.study

    before = {str(header.SOPInstanceUID) for _, header in site.received()}
    site.node.cli("study", "correct", site.study, "--patient-id", "RIGHT-1", "--by", "Ada", "--reason", "mixed up")
    wait_until(
        lambda: _reissued(site, before) >= {"report", "segmentation", "overlay"}, "new objects", seconds=200, every=1
    )
    site.quiet()
    anew = [(path, header) for path, header in site.received() if str(header.SOPInstanceUID) not in before]
    ours = [(path, header) for path, header in anew if received.KINDS[str(header.SOPClassUID)] != "rejection"]
    assert {str(header.PatientID) for _, header in ours} == {"RIGHT-1"}
    assert received.errors_beyond(sources, [path for path, _ in anew]) == {}
    assert doubled(ours) == []


def _reissued(site: Site, before: set[str]) -> set[str]:
    return {
        received.KINDS[str(header.SOPClassUID)]
        for _, header in site.received()
        if str(header.SOPInstanceUID) not in before and header.PatientID == "RIGHT-1"
    }


def test_a_killed_worker_makes_no_second_report_and_no_second_object(site: Site) -> None:
    """A power cut in the middle would leave the PACS with two answers, or with none."""
    site.send("A4C", "M-mode")
    wait_until(lambda: any(str(item.state) == "IN PROGRESS" for item in site.work()), "a run", seconds=60, every=0.1)
    site.kill_worker()
    wait_until(lambda: len(site.orthanc.instances()) > 0, "a first result in Orthanc", seconds=120, every=0.2)
    site.kill_worker()
    site.send("A2C")
    wait_until(lambda: any(str(item.kind) == "report" for item in site.work()), "a due report", seconds=200, every=0.05)
    site.kill_worker()
    wait_until(lambda: "SR" in site.orthanc.modalities(), "a report in Orthanc", seconds=120, every=0.5)
    site.send("A4C")
    site.quiet()
    got = site.received()
    ((_, now),) = received.current(got)
    assert (
        selected(pydicom.dcmread(next(path for path, each in got if each is now)))["18043-0"]
        == "Method of Disks, Biplane"
    )
    assert doubled(got) == []
    pictures = Counter(received.kinds(received_of_runs(got)))
    assert pictures == {"capture": 3, "overlay": 2, "segmentation": 3}, (
        "outlines of each object, and each picture, once"
    )
    assert {kind: len(received.of_kind(got, kind)) for kind in ("document", "measurements")} == dict.fromkeys(
        ("document", "measurements"), len(received.of_kind(got, "report"))
    )
    assert site.told()["current"]["sop_instance_uid"] == now.SOPInstanceUID
    asked = {str(item.outcome.get("sop_instance_uid")) for item in site.work() if str(item.kind) == "report"}
    assert {str(header.SOPInstanceUID) for _, header in received.of_kind(got, "report")} <= asked


def received_of_runs(got: Received) -> list[tuple[Path, Dataset]]:
    """What came of models, not of reports."""
    return [pair for kind in ("capture", "overlay", "segmentation") for pair in received.of_kind(got, kind)]
