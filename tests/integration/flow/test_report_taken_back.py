"""Results that are taken back, and studies whose patient was the wrong one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from echonode.core.errors import BadInput, NotFound
from echonode.core.query import Level, QueryRequest, Single
from echonode.core.report import ReportState
from echonode.core.states import WorkState
from echonode.core.work import WorkKind
from echonode.flow.correct import correct, resolve
from echonode.flow.review import accept
from echonode.flow.withdraw import Withdrawn, states_of, withdraw
from tests.support.reporting import WITH_RUNS, ReportBench


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkout: Path) -> Iterator[Callable[..., ReportBench]]:
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    benches: list[ReportBench] = []

    def build(**options: object) -> ReportBench:
        benches.append(ReportBench(tmp_path, **options))
        return benches[-1]

    yield build
    for bench in benches:
        bench.close()


@pytest.fixture
def bench(opened: Callable[..., ReportBench]) -> ReportBench:
    return opened()


def take(bench: ReportBench, target: str) -> Withdrawn:
    return withdraw(
        bench.archive,
        bench.routes,
        bench.settings.work,
        target=target,
        reason="wrong heart",
        by="Dr. Ada",
        who="cli:me",
    )


def put_right(bench: ReportBench, study: str, **changes: str) -> int:
    told = correct(
        bench.archive,
        bench.routes,
        bench.settings.work,
        study=study,
        changes=changes,
        by="Dr. Ada",
        reason="wrong worklist entry",
        who="cli:me",
    )
    return told.revision


def seen(bench: ReportBench, uid: str) -> bool:
    """Whether a query finds the object."""
    request = QueryRequest(level=Level.IMAGE, keys={"SOPInstanceUID": Single(uid)})
    return bool(list(bench.archive.index.find(request)))


def patient_of(bench: ReportBench, uid: str) -> str:
    stored = bench.archive.index.instance(uid)
    assert stored is not None
    return str(dcmread(stored.path, stop_before_pixels=True).PatientID)


def test_a_withdrawn_result_is_not_delivered_not_found_and_rejected_where_it_had_arrived(bench: ReportBench) -> None:
    """Results that were wrong must not stay in the PACS as if nothing had been said."""
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    bench.say(loop, 54.0)
    bench.complete()
    report = bench.current(study).sop_instance_uid
    bench.delivery.step("pacs")
    taken = take(bench, report)
    assert (taken.uids, taken.canceled, taken.noted) == ((report,), 1, ("pacs",))
    assert not seen(bench, report)
    bench.report_all()
    bench.deliver_all()
    assert bench.destination.received == [report, *bench.notes()]
    note = bench.archive.index.instance(bench.notes()[0])
    assert note is not None
    written = dcmread(note.path)
    evidence = written.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert evidence.ReferencedSOPInstanceUID == report
    assert take(bench, report).before == 1
    bench.report_all()
    assert len(bench.notes()) == 1
    assert bench.archive.hidden.studies() == [], "a self-check's clearing must leave it alone"
    assert bench.archive.hidden.purge(study) == 0
    assert bench.archive.index.instance(report) is not None
    (row, other) = states_of(bench.archive, study)
    assert (row["kind"], row["state"]) == ("report", "withdrawn")
    assert "wrong heart" in str(row["reason"])
    assert (other["kind"], other["state"]) == ("rejection", "current")


def test_a_retry_of_a_run_does_not_bring_a_withdrawn_loop_back(opened: Callable[..., ReportBench]) -> None:
    """What a person took back stays away, whatever is repeated."""
    bench = opened(routes=WITH_RUNS)
    bench.loop()
    bench.run_all()
    bench.deliver_all()
    (made,) = bench.derived()
    take(bench, made.sop_instance_uid)
    (run,) = bench.items(WorkKind.RUN)
    bench.archive.work.retry(run.id)
    (delivery,) = [item for item in bench.items(WorkKind.DELIVER) if item.sop_instance_uid == made.sop_instance_uid]
    bench.archive.work.retry(delivery.id)
    bench.run_all()
    bench.deliver_all()
    assert bench.destination.received == [made.sop_instance_uid]
    assert not seen(bench, made.sop_instance_uid)
    assert "withdrawn" in bench.archive.work.get(delivery.id).reason


def test_a_whole_study_is_taken_back(bench: ReportBench) -> None:
    """Everything that was made, and what models said: the next report says nothing of it."""
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    bench.say(loop, 54.0)
    bench.complete()
    accept(bench.archive, bench.settings.work, study=study, changes={}, by="Dr. Ada", comment="", who="cli:me")
    bench.report_all()
    assert len(take(bench, "A1").uids) == 2
    assert bench.archive.readings.of_study(study) == []
    assert bench.archive.reports.standing(study) == []
    bench.complete()
    assert bench.archive.reports.standing(study) == []
    assert seen(bench, str(loop.SOPInstanceUID)), "what came from the scanner stays"


def test_no_run_of_a_withdrawn_study_brings_something_back(opened: Callable[..., ReportBench]) -> None:
    """A study that was taken back must not fill up again by what was still waiting."""
    bench = opened(routes=WITH_RUNS)
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    take(bench, study)
    bench.run_all()
    (run,) = bench.items(WorkKind.RUN)
    assert run.state is WorkState.CANCELED
    assert "the study was withdrawn: wrong heart" in run.reason
    assert bench.derived() == []


def test_what_came_from_a_scanner_cannot_be_withdrawn(bench: ReportBench) -> None:
    """A slip of the mouse must not hide the examination."""
    loop = bench.loop()
    with pytest.raises(BadInput, match="came from elsewhere"):
        take(bench, str(loop.SOPInstanceUID))
    with pytest.raises(NotFound):
        take(bench, "1.2.3.9")
    with pytest.raises(BadInput, match="reason is needed"):
        withdraw(bench.archive, bench.routes, bench.settings.work, target="A1", reason=" ", by="me", who="me")


def test_a_corrected_patient_gets_everything_anew_and_the_wrong_one_nothing(opened: Callable[..., ReportBench]) -> None:
    """The worklist entry was the neighbour's: loops, report and deliveries follow to the right patient."""
    bench = opened(routes=WITH_RUNS)
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    bench.run_all()
    bench.say(loop, 54.0)
    bench.complete()
    bench.deliver_all()
    before = {each.sop_instance_uid for each in bench.derived()}
    assert put_right(bench, study, patient_id="P7", name="Right^Rita", birth_date="19620304") == 1
    assert bench.derived() == []
    bench.run_all()
    bench.report_all()
    bench.deliver_all()
    after = {each.sop_instance_uid for each in bench.derived()}
    assert not after & before
    assert {patient_of(bench, uid) for uid in after} == {"P7"}
    current = bench.current(study)
    assert (current.revision, current.state) == (1, ReportState.PRELIMINARY)
    kinds = sorted(str(row["kind"]) for row in states_of(bench.archive, study) if row["state"] == "current")
    assert kinds == ["rejection", "report", "slow-motion"]
    assert after <= set(bench.destination.received)
    request = QueryRequest(level=Level.STUDY, keys={"PatientID": Single("P7")})
    (found,) = bench.archive.index.find(request)
    assert found.attributes["00100010"]["Value"] == [{"Alphabetic": "Right^Rita"}]
    late = bench.loop(study)
    bench.run_all()
    assert bench.archive.conflicts.list() == [], "the scanner still has the wrong entry: that is known by now"
    assert bench.items(WorkKind.RUN)[-1].state is WorkState.COMPLETED
    assert {patient_of(bench, each.sop_instance_uid) for each in bench.derived()} == {"P7"}
    assert late
    notes = bench.notes()
    assert put_right(bench, study, name="Right^Rita^Maria") == 2
    assert all(seen(bench, uid) for uid in notes), "what was rejected once stays rejected"
    with pytest.raises(BadInput, match="rejection note"):
        take(bench, notes[0])


def test_a_corrected_birth_date_is_an_age_that_models_ask_for(bench: ReportBench) -> None:
    """A child who was recorded under a parent's name must not be measured by a model for adults."""
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    born = f"{int(loop.StudyDate[:4]) - 12}0101"
    put_right(bench, study, patient_id="P7", birth_date=born)
    late = bench.loop(study)  # the scanner still has the wrong entry
    for each in (loop, late):
        facts = bench.archive.index.facts(str(each.SOPInstanceUID))
        assert facts is not None
        assert (facts.patient_id, int(facts.age_years or 0)) == ("P7", 12)
    put_right(bench, study, birth_date="")
    facts = bench.archive.index.facts(str(loop.SOPInstanceUID))
    assert facts is not None
    assert facts.age_years is None


def test_a_persons_report_is_written_once_more_for_the_right_patient(bench: ReportBench) -> None:
    """A signature counts for the heart that was looked at; only the name was wrong."""
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    bench.say(loop, 54.0)
    bench.complete()
    accept(bench.archive, bench.settings.work, study=study, changes={"EF": 45.0}, by="Dr. Ada", comment="", who="me")
    bench.report_all()
    signed = bench.current(study)
    bench.say(bench.loop(study), 58.0)
    bench.complete()
    put_right(bench, study, patient_id="P7")
    bench.complete()
    again = bench.current(study)
    assert (again.state, again.by, again.revision) == (ReportState.VERIFIED, "Dr. Ada", 1)
    assert again.predecessor_uid == signed.sop_instance_uid
    assert patient_of(bench, again.sop_instance_uid) == "P7"
    added = bench.archive.reports.addendum(study)
    assert added is not None
    assert patient_of(bench, added.sop_instance_uid) == "P7"
    assert len(bench.derived()) == 2


def test_a_conflict_that_is_resolved_the_other_way_takes_back_what_was_made_before(
    opened: Callable[..., ReportBench],
) -> None:
    """The first loop had the wrong name on it, and slow motion of it was there before the second one came."""
    bench = opened(routes=WITH_RUNS)
    first = bench.loop()
    study = str(first.StudyInstanceUID)
    bench.run_all()
    (made,) = bench.derived()
    bench.loop(study, patient_id="P2", patient_name="Other^Bob")
    resolve(bench.archive, bench.routes, bench.settings.work, study_uid=study, keep="P2", who="cli:me")
    assert not seen(bench, made.sop_instance_uid)
    bench.run_all()
    assert {patient_of(bench, each.sop_instance_uid) for each in bench.derived()} == {"P2"}
    state = bench.archive.studies.state(study)
    assert state is not None
    assert state.revision == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patient_id": ""}, "needs a Patient ID"),
        ({"patient_id": "P" * 65}, "64 at most"),
        ({"patient_id": "P\\7"}, "backslash"),
        ({"birth_date": "1.2.1970"}, "no date"),
        ({"birth_date": "19701301"}, "no date"),
        ({"sex": "X"}, "M, F or O"),
        ({"patient_id": "P1"}, "says already"),
    ],
)
def test_a_wrong_correction_changes_nothing(bench: ReportBench, changes: dict[str, str], message: str) -> None:
    study = str(bench.loop().StudyInstanceUID)
    with pytest.raises(BadInput, match=message):
        put_right(bench, study, **changes)
    state = bench.archive.studies.state(study)
    assert state is not None
    assert (state.revision, state.patient_id, state.decided) == (0, "P1", False)
