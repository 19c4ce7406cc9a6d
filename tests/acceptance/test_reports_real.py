"""Real studies through a node with the shipped rules into Orthanc: each object told, one report, readable there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import highdicom
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.acceptance.conftest import RunningNode
from tests.acceptance.test_studies import push
from tests.support import received, validators
from tests.support.orthanc import Orthanc
from tests.support.received import Received
from tests.support.shipped import shipped_routes, shipped_views
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # real files are odd, and pydicom says so
ONE_THREAD = 'devices = ["cpu"]\nthreads = 1'
XARIO = {
    "I_000031": ("2d", "2D mode"), "I_000032": ("2d-colour", "Doppler Color Flow"), "I_000034": ("m-mode", "M mode"),
    "I_000038": ("tdi", "Tissue Doppler Imaging"),
}  # fmt: skip
SIX = ("PLAX", "PSAX-PM", "A4C", "A2C", "A3C", "SC-SAX")
SIX_ROWS = "".join(
    f'[[view]]\nview = "{view}"\nvendor = ["ACUSON"]\nstage = ["any"]\nview_number = {number}\n'
    for number, view in enumerate(SIX, start=1)
)


class Lab:
    """A node with the shipped rules, and the Orthanc that it delivers to."""

    def __init__(self, running: RunningNode, orthanc: Orthanc, sender: str, folder: Path) -> None:
        self.node, self.orthanc, self._sender, self._folder = running, orthanc, sender, folder

    def push(self, study: Path) -> None:
        push(self._sender, self.node, study)

    def received(self) -> Received:
        return self.orthanc.headers(self._folder)

    def report(self) -> Dataset:
        """The one report of the study, when all work is done."""
        wait_until(lambda: "SR" in self.orthanc.modalities(), "the report in Orthanc", seconds=240, every=0.5)
        wait_until(self._done, "the work done", seconds=60, every=2)
        (found,) = received.current(self.received())
        return pydicom.dcmread(found[0])

    def objects(self) -> dict[str, dict[str, Any]]:
        rows = json.loads(self.node.cli("objects", "--json"))
        return {str(row["sop_instance_uid"]): row for row in rows}

    def _done(self) -> bool:
        items = self.node.work()
        return all(item["state"] == "COMPLETED" for item in items) and any(item["kind"] == "report" for item in items)


@pytest.fixture
def lab(
    orthanc: Orthanc,
    node: Callable[..., RunningNode],
    program: Callable[[str], str],
    checkout: Path,
    tmp_path: Path,
) -> Callable[..., Lab]:
    def start(*, simulated: bool, rows: str = "") -> Lab:
        running = node(
            pacs_port=orthanc.dicom,
            pacs_title="ORTHANC",
            routes=shipped_routes(checkout),
            views=shipped_views(checkout, rows=rows),
            models=f"simulated_on_patients = {str(simulated).lower()}",
            execution=ONE_THREAD,
        )
        return Lab(running, orthanc, program("storescu"), tmp_path / "received")

    return start


def uids(study: Path) -> dict[str, str]:
    """SOP Instance UID of each file, by the file's name."""
    return {
        path.stem: str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for path in files(study)
    }


def files(study: Path) -> list[Path]:
    return sorted(study.glob("*.dcm"))


def judge(got: Received, sources: Sequence[Path], report: Path, *, template: bool = True) -> None:
    """No validator has an error that the scanner's own objects do not have; PixelMed takes minutes for long reports."""
    paths = [path for path, _ in got]
    assert received.errors_beyond(sources, paths) == {}
    assert received.disagreements_beyond(sources, paths) == []
    if template:
        assert validators.sr_errors(report) == []
    text = validators.dump(report)
    assert "Imaging Measurement Report" in text
    assert "RESEARCH" in text
    read = highdicom.sr.srread(str(report))
    assert len(read.content.get_image_measurement_groups()) >= len(sources)


@pytest.mark.parametrize("simulated", [False, True], ids=["as shipped", "simulated models allowed"])
def test_the_adult_study_has_one_report_that_accounts_for_every_object(
    lab: Callable[..., Lab], shared_data: Path, simulated: bool
) -> None:
    """A cardiologist would search the PACS for what became of an object, or read two reports that disagree."""
    here, study = lab(simulated=simulated), shared_data / "ultrasound" / "adult_xario"
    here.push(study)
    report, of = here.report(), uids(study)
    objects = here.objects()
    assert {name: objects[uid]["mode"] for name, uid in of.items()} == {name: mode for name, (mode, _) in XARIO.items()}
    groups = received.loops_of(report)
    assert set(groups) == set(of.values())
    for name, uid in of.items():
        said = groups[uid]
        assert received.code_of(said, received.MODE) == XARIO[name][1], name
        view, why = received.code_of(said, received.VIEW), received.texts(said, received.NO_RESULT)
        sure = list(received.items_of(said, "VIEW-CONF"))
        assert view == "View not recognised" or sure, f"{name}: {view} without a confidence"
        assert why or Counter(_measured(report))[uid], f"{name} has neither a value nor a reason"
    reasons = " ".join(received.texts(report, received.NO_RESULT))
    assert ("phantom-view was trained on simulated data alone" in reasons) is not simulated
    assert ("phantom-mmode was trained on simulated data alone" in reasons) is not simulated
    assert ("LVID is measured at the LV level alone" in reasons) is simulated
    assert "mode is tdi" in reasons
    assert "the view is unknown" in reasons or "view is unknown" in reasons

    got = here.received()
    expected = ["document", "report", "slow-motion"] + (["capture", "measurements"] if simulated else [])
    assert received.kinds(got) == sorted(expected)
    assert {str(header.StudyInstanceUID) for _, header in got} == {
        str(pydicom.dcmread(files(study)[0]).StudyInstanceUID)
    }
    assert set(here.orthanc.instances()) == {str(header.SOPInstanceUID) for _, header in got}
    (path,) = (path for path, _ in received.of_kind(got, "report"))
    judge(got, files(study), path)
    story = here.node.cli("study", "show", str(report.StudyInstanceUID))
    for words in ("mode tdi: ", "view unknown: ", "report to pacs", "delivered to pacs"):
        assert words in story, words


def test_the_stress_study_has_twelve_views_and_keeps_its_stages_apart(
    lab: Callable[..., Lab], shared_data: Path
) -> None:
    """A value under dobutamine would be read as the heart at rest, or averaged with it."""
    here, study = lab(simulated=True, rows=SIX_ROWS), shared_data / "ultrasound" / "stress_acuson"
    here.push(study)
    report, of = here.report(), uids(study)
    objects = here.objects()
    told = [(objects[uid]["stage"], objects[uid]["view"]) for _, uid in sorted(of.items())]
    assert told == [(stage, view) for stage in ("Baseline", "Low Dose") for view in SIX]
    got = here.received()
    slow = [header for _, header in received.of_kind(got, "slow-motion")]
    assert {str(loop.SourceImageSequence[0].ReferencedSOPInstanceUID) for loop in slow} == set(of.values())
    assert Counter(str(loop.StageName) for loop in slow) == {"Baseline": 6, "Low Dose": 6}

    stage_of = {uid: objects[uid]["stage"] for uid in of.values()}
    measured = [group for group in received.items_of(report, "125007") if _values(group)]
    assert {"Baseline", "Low Dose"} <= {stage_of[uid] for group in measured for uid in _sources(group)}
    for group in measured:
        assert len({stage_of[uid] for uid in _sources(group)}) == 1, "a group of two stages"
    chosen = [value for group in measured for value in _values(group) if list(received.items_of(value, "SELECTED"))]
    assert {stage_of[uid] for value in chosen for uid in _sources(value)} <= {"Baseline"}
    remarks = " ".join(received.texts(report, "121106") + received.texts(report, "REMARK"))
    assert "stages (Baseline, Low Dose) stand apart" in remarks
    assert "no whole beat is told" in " ".join(received.texts(report, received.NO_RESULT))
    (path,) = (path for path, _ in received.of_kind(got, "report"))
    judge(got, files(study), path, template=False)


def _values(group: Dataset) -> list[Dataset]:
    return [item for item in group.get("ContentSequence", ()) if item.ValueType == "NUM" and not _is_about_view(item)]


def _is_about_view(item: Dataset) -> bool:
    return str(item.ConceptNameCodeSequence[0].CodeValue) in ("VIEW-CONF", "QUAL-SCORE")


def _sources(item: Dataset) -> list[str]:
    return [
        str(each.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for each in received.items_of(item, received.SOURCE)
    ]


def _measured(report: Dataset) -> list[str]:
    """The sources of every value."""
    return [uid for group in received.items_of(report, "125007") if _values(group) for uid in _sources(group)]
