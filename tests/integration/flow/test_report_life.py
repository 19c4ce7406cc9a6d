"""One report a study: made when the study is complete, revised when something new is said, and a person has the last word."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from echonode.archive.reports import KeptReport, ReportStatus
from echonode.core.configuration import Configuration
from echonode.core.errors import BadInput, NotFound
from echonode.core.peers import PeersFile
from echonode.core.report import ReportState
from echonode.core.report_json import of_json
from echonode.core.states import WorkState
from echonode.core.work import WorkKind, WorkRequest
from echonode.flow.leases import Leases
from echonode.flow.report_desk import report as report_row
from echonode.flow.review import accept, reject, values_of
from echonode.flow.settle import process_now, settle
from echonode.flow.takeover import take_over
from tests.support.reporting import ReportBench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkout: Path) -> Iterator[ReportBench]:
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    made = ReportBench(tmp_path)
    yield made
    made.close()


def chain(bench: ReportBench, study_uid: str) -> list[tuple[str, str]]:
    """State and status of every report, and that each names the one before."""
    reports = bench.archive.reports.all(study_uid)
    for earlier, later in itertools.pairwise(reports):
        assert later.predecessor_uid == earlier.sop_instance_uid
        written = dcmread(bench.archive.index.instance(later.sop_instance_uid).path)
        named = [
            item.ReferencedSOPInstanceUID
            for study in written.PredecessorDocumentsSequence
            for series in study.ReferencedSeriesSequence
            for item in series.ReferencedSOPSequence
        ]
        assert earlier.sop_instance_uid in named
    return [(str(each.state), str(each.status)) for each in reports]


def values(report: KeptReport) -> list[float]:
    """What stands for the study."""
    groups = of_json(report.content).groups
    return [value.measurement.value for group in groups for value in group.values if value.selected]


def approve(bench: ReportBench, study: str, *, by: str = "Dr. Ada", comment: str = "", **changes: float) -> None:
    """A person accepts the report, or sets values, and it is written."""
    accept(bench.archive, bench.settings.work, study=study, changes=changes, by=by, comment=comment, who="cli:me")
    bench.report_all()


def refuse(bench: ReportBench, study: str) -> None:
    reject(
        bench.archive,
        bench.routes,
        bench.settings.work,
        study=study,
        reason="not this heart",
        by="Dr. Ada",
        who="cli:me",
    )
    bench.report_all()


def test_a_study_in_three_pieces_ends_with_one_report_that_names_its_predecessor(bench: ReportBench) -> None:
    """Half the study, a late loop, and the whole study once more: a cardiologist finds one report, not three."""
    first = bench.loop()
    study = str(first.StudyInstanceUID)
    bench.say(first, 54.0)
    bench.complete()
    assert chain(bench, study) == [("preliminary", "current")]
    late = bench.loop(study)
    bench.say(late, 58.0)
    bench.report_all()
    assert len(chain(bench, study)) == 1, "the study is open again: its report waits until it is complete"
    bench.complete()
    assert chain(bench, study) == [("preliminary", "superseded"), ("preliminary", "current")]
    for loop in (first, late):
        bench.receive(loop)
        bench.say(loop, 54.0 if loop is first else 58.0)
    bench.complete()
    assert len(chain(bench, study)) == 2, "the same again is nothing new"
    bench.deliver_all()
    assert len(bench.destination.received) == 4, "two reports to two destinations"
    assert len(bench.derived()) == 2
    assert bench.archive.studies.due_now() == []


def test_a_report_waits_for_the_runs_of_its_study(tmp_path: Path, bench: ReportBench) -> None:
    """A report that is made while a model still looks would be revised a minute later."""
    loop = bench.loop()
    bench.say(loop, 54.0)
    request = WorkRequest(kind=WorkKind.RUN, queue="probe", unique_key="x", study_uid=str(loop.StudyInstanceUID))
    with bench.archive.transaction() as connection:
        (work_id,) = bench.archive.work.enqueue(connection, [request])
    bench.complete()
    assert bench.archive.reports.all(str(loop.StudyInstanceUID)) == []
    bench.archive.work.cancel(work_id, reason="enough")
    bench.report_all()
    assert bench.current(str(loop.StudyInstanceUID))


def test_who_asks_for_a_report_is_told_of_the_pause_that_holds_it(tmp_path: Path, bench: ReportBench) -> None:
    """A pause that was forgotten must not look like a model that takes its time."""
    loop = bench.loop()
    bench.say(loop, 54.0)
    study = str(loop.StudyInstanceUID)
    request = WorkRequest(kind=WorkKind.RUN, queue="probe", unique_key="x", study_uid=study)
    with bench.archive.transaction() as connection:
        bench.archive.work.enqueue(connection, [request])
    bench.complete()
    configuration = Configuration(folder=tmp_path, node=bench.settings, peers=PeersFile(), routes=bench.routes)
    assert report_row(bench.archive, configuration, study)["waits_for"] == "a run of the study has not ended"
    bench.archive.pauses.pause("model", "probe", by="me", reason="service")
    said = report_row(bench.archive, configuration, study)["waits_for"]
    assert said == "a run of the study has not ended; model probe is paused"


def test_a_study_that_no_model_looked_at_gets_no_report(bench: ReportBench) -> None:
    """An empty report in every patient's folder is noise."""
    loop = bench.loop()
    bench.complete()
    assert bench.archive.reports.all(str(loop.StudyInstanceUID)) == []
    (item,) = bench.items(WorkKind.REPORT)
    assert item.outcome["result"] == "nothing"


def test_a_stress_study_is_given_more_time_and_can_be_processed_now(bench: ReportBench) -> None:
    """Between two stages a patient runs: their study is not complete after ninety seconds."""
    loop = bench.loop(stage="REST")
    study = str(loop.StudyInstanceUID)
    bench.say(loop, 60.0)
    bench.clock.now += 100
    assert settle(bench.archive, bench.settings.settle) == []
    bench.report_all()
    assert bench.archive.reports.all(study) == []
    told = process_now(bench.archive, bench.routes.report, study="A1", who="cli:me")
    assert (told.study_uid, told.open_runs) == (study, 0)
    bench.report_all()
    assert bench.current(study).state is ReportState.PRELIMINARY
    assert [(row.event, row.who) for row in bench.archive.audit.story(study) if row.event == "settled"] == [
        ("settled", "cli:me")
    ]
    bench.loop(study, stage="PEAK")
    bench.clock.now += 901
    assert settle(bench.archive, bench.settings.settle) == [study]


def test_nothing_of_a_held_study_is_reported(bench: ReportBench) -> None:
    """Whose heart it is must be known before anything is written."""
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    bench.say(loop, 54.0)
    bench.loop(study, patient_id="P2", patient_name="Other^Bob")
    bench.complete()
    assert bench.archive.reports.all(study) == []
    with pytest.raises(BadInput, match="held"):
        process_now(bench.archive, bench.routes.report, study=study, who="cli:me")


def test_a_persons_report_stays_and_later_loops_are_added_to_it(bench: ReportBench) -> None:
    """A machine never takes back what a cardiologist has signed."""
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    bench.say(loop, 54.0)
    bench.complete()
    approve(bench, study, comment="agreed", EF=45.0)
    verified = bench.current(study)
    assert (verified.state, verified.by, verified.comment) == (ReportState.VERIFIED, "Dr. Ada", "agreed")
    assert values(verified) == [45.0]
    written = dcmread(bench.archive.index.instance(verified.sop_instance_uid).path)
    assert written.VerificationFlag == "VERIFIED"
    bench.complete()
    assert bench.archive.reports.addendum(study) is None, "nothing new, no addendum"
    for value in (58.0, 62.0):
        bench.say(bench.loop(study), value)
        bench.complete()
        assert bench.current(study).sop_instance_uid == verified.sop_instance_uid
    added = bench.archive.reports.addendum(study)
    assert added is not None
    assert [each.sop_instance_uid for each in of_json(added.content).predecessors][-1] == verified.sop_instance_uid
    assert [(str(each.state), str(each.status)) for each in bench.archive.reports.all(study)] == [
        ("preliminary", "superseded"),
        ("verified", "current"),
        ("addendum", "superseded"),
        ("addendum", "current"),
    ]
    approve(bench, study, by="Dr. Bob")
    second = bench.current(study)
    assert values(second) == [45.0], "what a person entered before stays until it is changed"
    assert bench.archive.reports.addendum(study) is None
    assert len(of_json(second.content).loops) == 3
    bench.deliver_all()
    assert bench.destination.received.count(second.sop_instance_uid) == 2


def test_the_same_word_said_twice_is_one_report(bench: ReportBench) -> None:
    """A double click on Accept signs once."""
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    bench.say(loop, 54.0)
    bench.complete()
    words: dict[str, Any] = {"study": study, "changes": {}, "by": "Dr. Ada", "comment": "", "who": "cli:me"}
    first = accept(bench.archive, bench.settings.work, **words)
    second = accept(bench.archive, bench.settings.work, **words)
    assert (first.new, second.new) == (True, False)
    bench.report_all()
    assert chain(bench, study) == [("preliminary", "superseded"), ("verified", "current")]


def test_a_rejected_report_is_not_made_again_until_there_is_something_new_or_somebody_asks(bench: ReportBench) -> None:
    """The machine does not argue."""
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    bench.say(loop, 54.0)
    bench.complete()
    bench.deliver_all()
    refuse(bench, study)
    (rejected,) = bench.archive.reports.all(study)
    assert rejected.status is ReportStatus.WITHDRAWN
    stored = bench.archive.index.instance(rejected.sop_instance_uid)
    assert stored is not None
    assert stored.hidden
    assert "rejected by Dr. Ada: not this heart" in stored.withdrawn
    (note,) = bench.notes()
    bench.deliver_all()
    assert bench.destination.received.count(note) == 1, "to the destination that takes rejection notes, and no other"
    bench.say(loop, 54.0)
    bench.complete()
    assert len(bench.archive.reports.all(study)) == 1
    with pytest.raises(NotFound, match="no report that stands"):
        refuse(bench, study)
    process_now(bench.archive, bench.routes.report, study=study, who="cli:me")
    bench.report_all()
    assert chain(bench, study) == [("preliminary", "withdrawn"), ("preliminary", "current")]
    refuse(bench, study)
    bench.say(bench.loop(study), 61.0)
    bench.complete()
    assert chain(bench, study)[2] == ("preliminary", "current")


def test_a_persons_own_report_can_be_rejected_and_the_machines_asked_for_again(bench: ReportBench) -> None:
    """Signed by mistake: nothing stands until somebody asks, and then it is a machine's, to be looked at."""
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    bench.say(loop, 54.0)
    bench.complete()
    approve(bench, study)
    refuse(bench, study)
    bench.complete()
    assert bench.archive.reports.standing(study) == []
    process_now(bench.archive, bench.routes.report, study=study, who="cli:me")
    bench.report_all()
    assert chain(bench, study) == [
        ("preliminary", "superseded"),
        ("verified", "withdrawn"),
        ("preliminary", "current"),
    ]


def test_rejecting_what_was_added_leaves_the_persons_report(bench: ReportBench) -> None:
    """Saying no to a machine's addendum is no word against one's own report."""
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    bench.say(loop, 54.0)
    bench.complete()
    approve(bench, study)
    bench.say(bench.loop(study), 58.0)
    bench.complete()
    refuse(bench, study)
    assert bench.current(study).state is ReportState.VERIFIED
    assert bench.archive.reports.addendum(study) is None
    bench.complete()
    assert bench.archive.reports.addendum(study) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["EF"], "not of the form"),
        (["EF=high"], "not of the form"),
        (["EF=nan"], "not of the form"),
        (["EF=45", "EF=46"], "twice"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        values_of(words)


def test_a_value_that_no_heart_has_is_refused_before_anything_is_written(bench: ReportBench) -> None:
    """EF=4500 is a slip of the finger."""
    loop = bench.loop()
    bench.say(loop, 54.0)
    bench.complete()
    for changes in ({"EF": 4500.0}, {"HEAD": 3.0}):
        with pytest.raises(BadInput):
            approve(bench, str(loop.StudyInstanceUID), **changes)
    with pytest.raises(BadInput, match="name"):
        approve(bench, str(loop.StudyInstanceUID), by=" ")
    assert len(bench.items(WorkKind.REPORT)) == 1


class Killed(BaseException):
    """What no `except Exception` sees: the process is gone."""


@pytest.mark.parametrize("moment", ["named", "stored", "further", "standing"])
@pytest.mark.parametrize("kind", ["machine", "person"])
def test_a_worker_that_is_killed_in_the_middle_leaves_one_report_and_one_chain(
    bench: ReportBench, monkeypatch: pytest.MonkeyPatch, moment: str, kind: str
) -> None:
    """Killed at any moment and started again, with new readings in between: one report stands, and none is doubled."""
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    bench.say(loop, 50.0)
    bench.complete()
    if kind == "machine":
        bench.say(bench.loop(study), 60.0)
        bench.clock.now += 1000
        settle(bench.archive, bench.settings.settle)
    else:
        accept(
            bench.archive,
            bench.settings.work,
            study=study,
            changes={"EF": 45.0},
            by="Dr. Ada",
            comment="",
            who="cli:me",
        )
    bench.reporting.sweep()

    def dies(*_args: Any, **_options: Any) -> Any:
        raise Killed

    reporting = bench.reporting
    place = {"named": "_stored", "stored": "_end", "further": "_further", "standing": "_deliveries"}[moment]
    monkeypatch.setattr(reporting, place, dies)
    with pytest.raises(Killed):
        reporting.step()
    bench.say(bench.loop(study), 70.0)
    bench.restart("worker 2")
    _take_over(bench)
    bench.complete()
    bench.deliver_all()
    reports = bench.archive.reports.all(study)
    assert not [each for each in reports if each.status is ReportStatus.WRITING]
    assert sum(each.status is ReportStatus.CURRENT and each.state is not ReportState.ADDENDUM for each in reports) == 1
    assert sorted(each.sop_instance_uid for each in bench.derived()) == sorted(
        each.sop_instance_uid for each in reports
    )
    assert sorted(bench.destination.received) == sorted(2 * [each.sop_instance_uid for each in reports])
    chain(bench, study)
    if kind == "person":
        assert values(bench.current(study)) == [45.0]
        assert sum(each.state is ReportState.VERIFIED for each in reports) == 1
        assert bench.archive.reports.addendum(study) is not None
    assert all(item.state is WorkState.COMPLETED for item in bench.items(WorkKind.REPORT))


def _take_over(bench: ReportBench) -> None:
    taken = take_over(bench.archive, Leases(bench.archive.work, owner="worker 2", seconds=60.0))
    assert taken == 1
