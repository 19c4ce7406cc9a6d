"""What runs give comes into the study: objects at once, values as readings, refusals too; and nothing of it twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from echonode.core.codes import Code
from echonode.core.readings import KeptReading
from echonode.core.results import Ineligible
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.request import request
from echonode.flow.story import says, story
from echonode.flow.takeover import take_over
from tests.support.bench import Bench
from tests.support.killed_run import ROUTES as KILLED
from tests.support.loops import loop_dataset
from tests.support.runners import EF, LVIDD

Opened = Callable[..., Bench]
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def route(name: str = "measure", **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "task": "sample", "model": "probe", "when": {"modality": ["US"]}, "parameters": {"do": "measure"},
        "deliver_to": ["pacs"], **changes,
    }  # fmt: skip


def routes(*rules: dict[str, Any], **destination: Any) -> dict[str, Any]:
    return {"route": list(rules), "destination": [{"name": "pacs", "peer": "pacs", **destination}]}


def readings(bench: Bench, study_uid: str) -> list[KeptReading]:
    return bench.archive.readings.of_study(study_uid)


def is_due(bench: Bench, study_uid: str) -> bool:
    state = bench.archive.studies.state(study_uid)
    assert state is not None
    return state.report_due


def not_due(bench: Bench, study_uid: str) -> None:
    with bench.archive.transaction() as connection:
        bench.archive.studies.due(connection, study_uid, wanted=False)


def only_run(bench: Bench) -> WorkItem:
    (item,) = bench.items(WorkKind.RUN)
    return item


def test_numbers_are_kept_with_all_that_they_say_and_make_a_report_due(opened: Opened) -> None:
    """A number without its limits of agreement, model and frames could not be reported."""
    bench = opened(routes=routes(route()))
    loop = loop_dataset()
    bench.receive(loop)
    not_due(bench, loop.StudyInstanceUID)
    bench.run_all()
    (reading,) = readings(bench, loop.StudyInstanceUID)
    assert reading.measurements == (EF, LVIDD)
    assert reading.details == {"per_clip": [52.0, 56.6], "spread": None}
    assert (reading.model, reading.version, reading.route, reading.task) == ("probe", "1", "measure", "sample")
    assert reading.digest == bench.catalogue.get("probe").digest
    assert reading.parameters == {"do": "measure"}
    assert reading.at == bench.clock.now
    assert is_due(bench, loop.StudyInstanceUID)
    assert bench.derived() == []
    assert bench.items(WorkKind.DELIVER) == []
    (run,) = story(bench.archive, "A1", bench.routes).objects[0].runs
    assert run.says == "EF 54 %, LVIDd 48 mm"


def test_every_array_becomes_an_object_of_its_own(opened: Opened) -> None:
    """The PACS shows the segmentation, the film with its outlines and both pictures; the number is in the reading."""
    bench = opened(routes=routes(route(parameters={"do": "everything", "titles": ["one", "two"]})))
    loop = loop_dataset()
    bench.receive(loop)
    bench.run_all()
    outcome = only_run(bench).outcome
    assert [each["kind"] for each in outcome["objects"]] == ["segmentation", "overlay", "capture", "capture"]
    assert outcome["sop_instance_uid"] == outcome["objects"][0]["uid"]
    assert {stored.study_uid for stored in bench.derived()} == {loop.StudyInstanceUID}
    assert len({stored.sop_instance_uid for stored in bench.derived()}) == 4
    (reading,) = readings(bench, loop.StudyInstanceUID)
    assert [each.kind for each in reading.objects] == ["segmentation", "overlay", "capture", "capture"]
    assert says(only_run(bench)) == "EF 54 %, 1 segmentation, 1 overlay, 2 captures"
    bench.deliver_all()
    assert sorted(bench.destination.received) == sorted(stored.sop_instance_uid for stored in bench.derived())
    (told,) = story(bench.archive, "A1", bench.routes).objects[0].runs
    assert len(told.deliveries) == 4


def test_a_destination_gets_the_kinds_that_it_names(opened: Opened) -> None:
    """A reporting system takes the segmentation and nothing else."""
    bench = opened(routes=routes(route(parameters={"do": "everything", "titles": ["one"]}), kinds=["segmentation"]))
    bench.receive(loop_dataset())
    bench.run_all()
    bench.deliver_all()
    sent = [bench.archive.index.instance(uid) for uid in bench.destination.received]
    assert [stored.sop_class_uid for stored in sent if stored is not None] == [SEGMENTATION]


def test_a_run_that_is_offered_again_makes_nothing_twice(opened: Opened, tmp_path: Path) -> None:
    """A retry after a kill must not double what the PACS shows, nor a number in the report."""
    mark = tmp_path / "ran"
    asked = {"do": "everything", "titles": ["one"], "mark": str(mark)}
    bench = opened(routes=routes(route(parameters=asked)))
    loop = loop_dataset()
    bench.receive(loop)
    bench.run_all()
    first = {stored.sop_instance_uid for stored in bench.derived()}
    bench.archive.work.retry(only_run(bench).id)
    bench.run_all()
    assert {stored.sop_instance_uid for stored in bench.derived()} == first
    assert len(readings(bench, loop.StudyInstanceUID)) == 1
    assert only_run(bench).outcome["new"] is False
    assert says(only_run(bench)) == "EF 54 %, 1 segmentation, 1 overlay, 1 capture"
    assert len(mark.read_text().splitlines()) == 1, "what is known need not be run again"


def test_other_parameters_are_another_reading_and_the_newest_counts(opened: Opened, tmp_path: Path) -> None:
    """A person who asks with other parameters wants the answer to that."""
    bench = opened(routes=routes(route()))
    loop = loop_dataset()
    bench.receive(loop)
    bench.run_all()
    ask = {"task": "sample", "target": loop.SOPInstanceUID, "parameters": {"clips": 5}}
    request(bench.archive, bench.catalogue, bench.routes, bench.settings, **ask)
    bench.run_all()
    (current,) = readings(bench, loop.StudyInstanceUID)
    assert current.parameters == {"do": "measure", "clips": 5}
    assert len(bench.archive.readings.of_study(loop.StudyInstanceUID, current=False)) == 2


@pytest.mark.parametrize(("options", "code"), [({"contract": "frames_min = 99"}, "frames"), ({}, "not-for-me")])
def test_a_refusal_is_kept_for_the_report(opened: Opened, options: dict[str, Any], code: str) -> None:
    """The report must say why there is no result, whoever refused: the header or the model."""
    bench = opened(routes=routes(route(parameters={"do": "refuse"})), **options)
    loop = loop_dataset()
    bench.receive(loop)
    not_due(bench, loop.StudyInstanceUID)
    bench.run_all()
    (reading,) = readings(bench, loop.StudyInstanceUID)
    assert [each.code for each in reading.refusals] == [code]
    assert (reading.model, reading.version) == ("probe", "1")
    assert is_due(bench, loop.StudyInstanceUID)
    assert only_run(bench).outcome["result"] == "refused"
    bench.archive.work.retry(only_run(bench).id)
    bench.run_all()
    assert len(readings(bench, loop.StudyInstanceUID)) == 1


def test_what_fits_into_the_study_comes_and_the_rest_is_said(opened: Opened) -> None:
    """A full study still gets its numbers."""
    asked = {"do": "everything", "titles": ["one"]}
    bench = opened(routes=routes(route(parameters=asked)), limits={"derived_objects_per_study": 1})
    loop = loop_dataset()
    bench.receive(loop)
    bench.run_all()
    (reading,) = readings(bench, loop.StudyInstanceUID)
    assert [each.kind for each in reading.objects] == ["segmentation"]
    assert reading.measurements == (EF,)
    assert {each.code for each in reading.refusals} == {"cap"}
    assert "refused: the study has 1 derived objects" in says(only_run(bench))


def test_a_model_that_gives_nothing_is_given_up_and_the_report_is_due(opened: Opened) -> None:
    """A report that waits for a run that nobody will end would never come."""
    bench = opened(routes=routes(route(parameters={"do": "nothing"})))
    loop = loop_dataset()
    bench.receive(loop)
    not_due(bench, loop.StudyInstanceUID)
    bench.run_all()
    assert only_run(bench).state is WorkState.CANCELED
    assert "gave nothing" in only_run(bench).reason
    assert readings(bench, loop.StudyInstanceUID) == []
    assert is_due(bench, loop.StudyInstanceUID)


def test_a_run_that_a_person_cancels_makes_the_report_due(opened: Opened) -> None:
    """Whoever stops a run wants the report without it."""
    bench = opened(routes=routes(route()))
    loop = loop_dataset()
    bench.receive(loop)
    not_due(bench, loop.StudyInstanceUID)
    bench.archive.work.cancel(only_run(bench).id, reason="not needed")
    assert is_due(bench, loop.StudyInstanceUID)


def test_a_corrected_patient_gets_objects_of_their_own(opened: Opened) -> None:
    """What left under the wrong name must come again under the right one, as another object."""
    bench = opened(routes=routes(route(parameters={"do": "everything", "titles": ["one"]})))
    loop = loop_dataset(patient_id="WRONG")
    bench.receive(loop)
    bench.run_all()
    before = {stored.sop_instance_uid for stored in bench.derived()}
    state = bench.archive.studies.state(loop.StudyInstanceUID)
    assert state is not None
    right = {
        **state.patient,
        "00100020": {"vr": "LO", "Value": ["RIGHT"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Right^Rita"}]},
    }
    with bench.archive.transaction() as connection:
        bench.archive.conflicts.correct(
            connection, loop.StudyInstanceUID, attributes=right, by="tester", reason="mixed up"
        )
        bench.archive.studies.revise(connection, loop.StudyInstanceUID)
    bench.archive.work.retry(only_run(bench).id)
    bench.run_all()
    after = [stored for stored in bench.derived() if stored.sop_instance_uid not in before]
    assert len(after) == len(before) == 3
    assert {str(pydicom.dcmread(stored.path).PatientID) for stored in after} == {"RIGHT"}
    (reading,) = readings(bench, loop.StudyInstanceUID)
    assert {each.sop_instance_uid for each in reading.objects} == {stored.sop_instance_uid for stored in after}


def test_a_withdrawn_result_does_not_come_back(opened: Opened) -> None:
    """What a person took back must not return because a run was offered again."""
    bench = opened(routes=routes(route(parameters={"do": "ok"})))
    loop = loop_dataset()
    bench.receive(loop)
    bench.run_all()
    (made,) = bench.derived()
    with bench.archive.transaction() as connection:
        bench.archive.withdrawals.hide(connection, [made.sop_instance_uid], reason="wrong patient")
    bench.archive.work.retry(only_run(bench).id)
    bench.run_all()
    bench.deliver_all()
    assert bench.derived() == []
    assert only_run(bench).outcome["result"] == "refused"
    assert "withdrawn: wrong patient" in only_run(bench).outcome["reason"]
    assert bench.destination.received == []


def test_the_runner_is_told_what_is_known_of_the_patient(opened: Opened) -> None:
    """A model for adults, or for mice, must know whom it looks at."""
    bench = opened(routes=routes(route(parameters={"do": "tell"})))
    loop = loop_dataset()
    loop.PatientAge, loop.PatientWeight = "055Y", "70"
    bench.receive(loop)
    bench.run_all()
    (reading,) = readings(bench, loop.StudyInstanceUID)
    facts = bench.archive.index.facts(loop.SOPInstanceUID)
    assert facts is not None
    assert reading.details["species"] == "human"
    assert reading.details["patient"]["sex"] == facts.sex == "F"
    assert reading.details["patient"]["age_years"] == facts.age_years == 55
    assert reading.details["patient"]["weight_kg"] == facts.weight_kg == 70


def test_readings_that_are_kept_come_back_as_they_were(opened: Opened) -> None:
    """What the report is made of a week later is what the model said."""
    bench = opened(routes=routes())
    loop = loop_dataset()
    bench.receive(loop)
    refusal = Ineligible(reason="no ECG is drawn", code="no-ecg")
    kept = KeptReading(
        sop_instance_uid=loop.SOPInstanceUID, study_uid=loop.StudyInstanceUID, task="mmode", model="m", version="2",
        digest="d", route="request", work_id="w", parameters={"mode": "reference"}, results=(EF, refusal),
        details={"beats": [{"n": 1}]}, view="PLAX", stage="Peak", at=12.5,
    )  # fmt: skip
    other = KeptReading(
        sop_instance_uid=loop.SOPInstanceUID, study_uid=loop.StudyInstanceUID, task="mmode", model="other", version="1",
        digest="e", route="request", work_id="x",
    )  # fmt: skip
    with bench.archive.transaction() as connection:
        bench.archive.readings.put(connection, kept)
        bench.archive.readings.put(connection, other)
    first, second = bench.archive.readings.of_instance(loop.SOPInstanceUID)
    assert (first.results, first.details, first.parameters) == (kept.results, kept.details, kept.parameters)
    assert (first.view, first.stage, first.at) == ("PLAX", "Peak", 12.5)
    assert (second.model, second.at) == ("other", bench.clock.now), "another model that was asked for stands beside it"
    with bench.archive.transaction() as connection:
        assert bench.archive.readings.retire(connection, loop.SOPInstanceUID, ["request", "nothing"]) == ["request"]
    assert bench.archive.readings.of_instance(loop.SOPInstanceUID) == []
    assert len(bench.archive.readings.of_instance(loop.SOPInstanceUID, current=False)) == 2


def test_a_reading_keeps_no_code_of_another_meaning(opened: Opened) -> None:
    """Codes are compared by value and scheme; what people read is the meaning, and it must stay."""
    bench = opened(routes=routes(route()))
    loop = loop_dataset()
    bench.receive(loop)
    bench.run_all()
    (reading,) = readings(bench, loop.StudyInstanceUID)
    assert reading.measurements[0].concept == Code("10230-1", "LN", "x")
    assert reading.measurements[0].concept.meaning == "Left ventricular Ejection fraction"


def test_a_worker_that_is_killed_before_the_row_makes_each_object_and_reading_once(
    opened: Opened, tmp_path: Path
) -> None:
    """The instant between the objects and their row is where doubles are born."""
    bench = opened(routes=KILLED)
    loop = loop_dataset()
    bench.receive(loop)
    killed = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_run", str(tmp_path)], check=False, timeout=120, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert len(bench.derived()) == 4
    assert readings(bench, loop.StudyInstanceUID) == []
    assert only_run(bench).state is WorkState.IN_PROGRESS
    first = {stored.sop_instance_uid for stored in bench.derived()}
    bench.restart()
    take_over(bench.archive, bench.leases)
    bench.run_all()
    bench.deliver_all()
    assert {stored.sop_instance_uid for stored in bench.derived()} == first
    (reading,) = bench.archive.readings.of_study(loop.StudyInstanceUID, current=False)
    assert {each.sop_instance_uid for each in reading.objects} == first
    assert [each["new"] for each in only_run(bench).outcome["objects"]] == [False] * 4
    assert sorted(bench.destination.received) == sorted(first)
