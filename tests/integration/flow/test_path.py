"""One loop from the door to the destination, and every way it may end: what a lab relies on."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pydicom
import pytest

from echonode.core.received import Verdict
from echonode.core.states import WorkState
from echonode.core.work import WorkKind
from echonode.flow.takeover import INTERRUPTIONS, clear_spool, take_over
from tests.support.bench import ROUTES, Bench
from tests.support.loops import loop_dataset
from tests.support.waiting import wait_until

Opened = Callable[..., Bench]


def with_parameters(**parameters: object) -> dict:
    routes = deepcopy(ROUTES)
    routes["route"][0]["parameters"] = parameters
    return routes


def test_a_loop_comes_back_into_its_study_and_reaches_the_destination(bench: Bench) -> None:
    """The one thing that the node is for."""
    loop = loop_dataset()
    assert bench.receive(loop).verdict is Verdict.STORED
    bench.run_all()
    (derived,) = bench.derived()
    assert derived.study_uid == loop.StudyInstanceUID
    made = pydicom.dcmread(derived.path)
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == loop.SOPInstanceUID
    assert made.NumberOfFrames == 19
    bench.deliver_all()
    assert bench.destination.received == [derived.sop_instance_uid]
    (run,) = bench.items(WorkKind.RUN)
    (delivery,) = bench.items(WorkKind.DELIVER)
    assert (run.state, run.outcome["sop_instance_uid"]) == (WorkState.COMPLETED, derived.sop_instance_uid)
    assert (delivery.state, delivery.correlation_id) == (WorkState.COMPLETED, run.correlation_id)
    assert list(bench.blobs.spool.iterdir()) == []


def test_the_same_loop_again_makes_nothing_new(bench: Bench) -> None:
    """A scanner that sends a study twice must not double the results in the PACS."""
    loop = loop_dataset()
    for _ in range(2):
        bench.receive(loop)
        bench.run_all()
        bench.deliver_all()
    assert len(bench.derived()) == 1
    assert len(bench.destination.received) == 1


@pytest.mark.parametrize("coerced", [False, True])
def test_a_result_that_the_pacs_sends_back_starts_nothing(bench: Bench, coerced: bool) -> None:
    """Slow motion of slow motion, for ever, would fill both archives."""
    bench.receive(loop_dataset())
    bench.run_all()
    back = pydicom.dcmread(bench.derived()[0].path)
    if coerced:
        back.InstitutionName = "Filled in by the PACS"
    planned = len(bench.items(WorkKind.RUN))
    assert bench.receive(back, calling_ae="PACS").accepted
    bench.run_all()
    assert len(bench.items(WorkKind.RUN)) == planned
    assert len(bench.derived()) == 1


def test_a_result_of_another_echonode_starts_nothing(bench: Bench, tmp_path: Path) -> None:
    """Two nodes that feed one PACS must not work on each other's results."""
    bench.receive(loop_dataset())
    bench.run_all()
    foreign = pydicom.dcmread(bench.derived()[0].path)
    foreign.SOPInstanceUID = foreign.file_meta.MediaStorageSOPInstanceUID = f"{foreign.SOPInstanceUID[:40]}.7"
    assert bench.receive(foreign, calling_ae="PACS").verdict is Verdict.STORED
    assert len(bench.items(WorkKind.RUN)) == 1


def test_what_the_model_does_not_take_ends_with_the_reason(opened: Opened) -> None:
    """`Why is there no result?` has an answer, and no attempt is wasted."""
    bench = opened(contract='modes = ["2d"]\nframes_min = 8\ncolour = false')
    bench.receive(loop_dataset(colour_region=True))
    bench.receive(loop_dataset(frames=4))
    bench.run_all()
    reasons = [item.outcome["reason"] for item in bench.items(WorkKind.RUN, WorkState.COMPLETED)]
    assert len(reasons) == 2
    assert any("the model takes 2d; this is 2d-colour" in reason for reason in reasons)
    assert any("needs 8 frames or more; this has 4" in reason for reason in reasons)
    assert bench.derived() == []


@pytest.mark.parametrize("allowed", [False, True])
def test_a_model_of_simulated_hearts_meets_patients_only_where_the_site_says_so(opened: Opened, allowed: bool) -> None:
    """Its errors on patients are not known to anybody: silence would look like a measurement."""
    bench = opened(models={"simulated_on_patients": allowed})
    manifest = bench.folder / "models" / "probe" / "manifest.toml"
    manifest.write_text("simulated = true\n" + manifest.read_text())
    bench.receive(loop_dataset())
    bench.run_all()
    (run,) = bench.items(WorkKind.RUN)
    assert len(bench.derived()) == allowed
    assert allowed or "trained on simulated data alone; it runs on patients only with" in run.outcome["reason"]


def test_a_refusal_of_the_runner_is_an_outcome(opened: Opened) -> None:
    """What only the pixels tell is told too."""
    bench = opened(routes=with_parameters(do="refuse"))
    bench.receive(loop_dataset())
    bench.run_all()
    (run,) = bench.items(WorkKind.RUN)
    assert (run.state, run.outcome["reason"]) == (WorkState.COMPLETED, "this one is not for me")


def test_a_model_that_fails_is_tried_again_then_given_up_and_can_be_retried(opened: Opened) -> None:
    """A fault must end in plain sight, with a way back."""
    bench = opened(routes=with_parameters(do="raise"), work={"run_attempts": 2, "backoff_seconds": 10.0})
    bench.receive(loop_dataset())
    bench.run_all()
    (run,) = bench.items(WorkKind.RUN)
    assert (run.state, run.attempts) == (WorkState.SCHEDULED, 1)
    assert run.not_before == bench.clock.now + 10
    bench.clock.now += 11
    bench.run_all()
    (run,) = bench.items(WorkKind.RUN)
    assert run.state is WorkState.CANCELED
    assert "the model has a fault" in run.reason
    assert bench.archive.work.retry(run.id).state is WorkState.SCHEDULED


def test_a_full_disk_costs_no_run(opened: Opened) -> None:
    """An evening without room must not end a day's runs for good."""
    bench = opened(work={"run_attempts": 1, "backoff_seconds": 10.0})
    bench.receive(loop_dataset())
    object.__setattr__(bench.settings.storage, "refuse_below_bytes", 1 << 60)
    for _ in range(3):
        bench.run_all()
        bench.clock.now += 100
    assert bench.derived() == []
    object.__setattr__(bench.settings.storage, "refuse_below_bytes", 0)
    bench.run_all()
    assert len(bench.derived()) == 1


def test_a_run_that_was_canceled_and_asked_again_ends_once(opened: Opened) -> None:
    """A person who changes their mind twice must not confuse two runs of one item."""
    bench = opened()
    bench.receive(loop_dataset())
    bench.runs.step()
    (run,) = bench.items(WorkKind.RUN)
    bench.archive.work.cancel(run.id, reason="no")
    bench.archive.work.retry(run.id)
    bench.run_all()
    wait_until(lambda: bench.runs.in_hand == 0, "both runs to end")
    assert bench.items(WorkKind.RUN)[0].state is WorkState.COMPLETED
    assert len(bench.derived()) == 1


def test_a_model_that_is_not_installed_is_named(opened: Opened) -> None:
    """An item that nobody ever claims would wait for ever, unseen."""
    routes = deepcopy(ROUTES)
    routes["route"][0]["model"] = "missing"
    bench = opened(routes=routes)
    bench.receive(loop_dataset())
    bench.run_all()
    assert bench.runs.refuse_strays() == 1
    (run,) = bench.items(WorkKind.RUN)
    assert run.state is WorkState.CANCELED
    assert "there is no model 'missing'" in run.reason


def test_another_model_stands_in_and_the_object_says_which(opened: Opened) -> None:
    """Without the learned model's package, slow motion must come all the same, and not in its name."""
    routes = deepcopy(ROUTES)
    routes["route"][0] |= {"model": "learned", "fallback": "probe"}
    bench = opened(routes=routes)
    bench.receive(loop_dataset())
    bench.run_all()
    (run,) = bench.items(WorkKind.RUN)
    assert run.state is WorkState.COMPLETED
    assert (run.outcome["model"], run.outcome["instead_of"]) == ("probe", "learned")
    (derived,) = bench.derived()
    assert pydicom.dcmread(derived.path).SoftwareVersions.startswith("probe")


def test_a_route_without_destination_shows_and_delivers_nothing(opened: Opened) -> None:
    """A fresh install must not send to anybody."""
    routes = deepcopy(ROUTES)
    routes["route"][0]["deliver_to"] = []
    bench = opened(routes=routes)
    bench.receive(loop_dataset())
    bench.run_all()
    assert len(bench.derived()) == 1
    assert bench.items(WorkKind.DELIVER) == []


def test_a_destination_takes_only_the_kinds_it_names(opened: Opened) -> None:
    """A reporting system that cannot show loops must not be sent any."""
    routes = deepcopy(ROUTES)
    routes["destination"][0]["kinds"] = ["report"]
    bench = opened(routes=routes)
    bench.receive(loop_dataset())
    bench.run_all()
    assert len(bench.derived()) == 1
    assert bench.items(WorkKind.DELIVER) == []


@pytest.mark.parametrize(("cap", "value"), [("derived_objects_per_study", 1), ("derived_bytes_per_study", 500_000)])
def test_a_study_takes_results_up_to_its_cap(opened: Opened, cap: str, value: int) -> None:
    """A route that is set wrongly must not flood the PACS."""
    bench = opened(limits={cap: value})
    study = loop_dataset().StudyInstanceUID
    for seed in range(4):
        bench.receive(loop_dataset(study_uid=study, seed=seed))
        bench.run_all()
    ended = bench.items(WorkKind.RUN, WorkState.COMPLETED)
    refused = [item for item in ended if item.outcome["result"] == "refused"]
    assert len(ended) == 4
    assert 1 <= len(refused) < 4
    assert "cap" in refused[0].outcome["reason"]
    objects, size = bench.archive.index.derived_usage(study)
    assert (objects if cap == "derived_objects_per_study" else size) <= value


def test_two_patients_in_one_study_hold_everything_until_a_person_decides(bench: Bench) -> None:
    """A result in the wrong patient's study is the worst thing that the node could do."""
    loop = loop_dataset(patient_id="P1")
    bench.receive(loop)
    bench.run_all()
    other = loop_dataset(study_uid=loop.StudyInstanceUID, patient_id="P2", patient_name="Other^Bob", seed=5)
    assert bench.receive(other).accepted
    bench.run_all()
    bench.deliver_all()
    assert bench.destination.received == []
    assert len(bench.derived()) == 1
    assert all(item.held for item in bench.items(WorkKind.RUN, WorkState.SCHEDULED))
    bench.archive.conflicts.resolve(loop.StudyInstanceUID, keep="P1", by="tester")
    bench.run_all()
    bench.deliver_all()
    assert len(bench.destination.received) == 1, "what names the other patient has no result that could leave"
    (refused,) = (item for item in bench.items(WorkKind.RUN) if item.sop_instance_uid == other.SOPInstanceUID)
    assert refused.outcome["code"] == "identity"


def test_a_result_that_names_the_patient_who_was_not_kept_stays_here(bench: Bench) -> None:
    """The first loop's result was ready when the second patient came; then the second one was right."""
    loop = loop_dataset(patient_id="P1")
    bench.receive(loop)
    bench.run_all()
    other = loop_dataset(study_uid=loop.StudyInstanceUID, patient_id="P2", patient_name="Other^Bob", seed=5)
    bench.receive(other)
    bench.archive.conflicts.resolve(loop.StudyInstanceUID, keep="P2", by="tester")
    bench.run_all()
    bench.deliver_all()
    assert len(bench.destination.received) == 1
    (kept_back,) = bench.items(WorkKind.DELIVER, WorkState.CANCELED)
    assert "names another patient" in kept_back.reason


def test_a_conflict_that_comes_while_the_model_runs_holds_the_result(opened: Opened, tmp_path: Path) -> None:
    """A long run must not slip its result past the hold."""
    bench = opened()
    loop = loop_dataset(patient_id="P1")
    bench.receive(loop)
    bench.runs.step()
    with bench.archive.transaction() as connection:
        bench.archive.work.hold_study(connection, loop.StudyInstanceUID, "two patient identities in one study")
    bench.run_all()
    (run,) = bench.items(WorkKind.RUN)
    if run.state is WorkState.SCHEDULED:  # else the run was quicker than the conflict
        assert bench.derived() == []
        assert run.attempts == 0


def test_the_same_uid_with_other_pixels_keeps_the_first_result(bench: Bench) -> None:
    """A scanner that uses a UID twice must not change what was measured from the first."""
    loop = loop_dataset(seed=1)
    bench.receive(loop)
    bench.run_all()
    twin = loop_dataset(seed=2, study_uid=loop.StudyInstanceUID, sop_instance_uid=loop.SOPInstanceUID)
    receipt = bench.receive(twin)
    bench.run_all()
    assert (receipt.verdict, receipt.dicom_status) == (Verdict.CONFLICT, 0x0111)
    assert len(bench.derived()) == 1
    assert len(bench.archive.quarantine.list()) == 1


@pytest.mark.parametrize(("kind", "name"), [("route", "slow"), ("model", "probe")])
def test_what_is_paused_waits_and_goes_on(bench: Bench, kind: str, name: str) -> None:
    """A model that misbehaves must be stoppable without losing a loop."""
    bench.archive.pauses.pause(kind, name, by="tester", reason="looks odd")
    bench.receive(loop_dataset())
    bench.run_all()
    assert bench.derived() == []
    bench.archive.pauses.resume(kind, name, by="tester")
    bench.run_all()
    assert len(bench.derived()) == 1


def test_a_worker_that_is_killed_after_storing_makes_no_second_object(bench: Bench) -> None:
    """The instant between the object and its row is where doubles are born."""
    bench.receive(loop_dataset())
    bench.run_all()
    (run,) = bench.items(WorkKind.RUN)
    (first,) = bench.derived()
    bench.archive.work.retry(run.id)  # as if `finish` had never been written
    bench.run_all()
    bench.deliver_all()
    (run,) = bench.items(WorkKind.RUN)
    assert (run.state, run.outcome["new"]) == (WorkState.COMPLETED, False)
    assert [each.sop_instance_uid for each in bench.derived()] == [first.sop_instance_uid]
    assert bench.destination.received == [first.sop_instance_uid]


def test_the_next_worker_takes_over_at_once_and_charges_no_attempt(opened: Opened) -> None:
    """A kill must cost seconds, not a lease, and never the last attempt of a loop."""
    bench = opened(routes=with_parameters(do="hang"), work={"run_attempts": 1})
    bench.receive(loop_dataset())
    assert bench.runs.step() == 1
    bench.restart()
    assert take_over(bench.archive, bench.leases) == 1
    (run,) = bench.items(WorkKind.RUN)
    assert (run.state, run.attempts) == (WorkState.SCHEDULED, 0)
    assert clear_spool(bench.blobs) == 1


def test_an_item_that_ends_every_worker_is_given_up(bench: Bench) -> None:
    """One poisonous loop must not keep the node from all others."""
    bench.receive(loop_dataset())
    for _ in range(INTERRUPTIONS):
        bench.restart()
        take_over(bench.archive, bench.leases)
        bench.archive.work.claim(kind=WorkKind.RUN, owner=bench.leases.owner, lease_seconds=60)
    bench.restart()
    take_over(bench.archive, bench.leases)
    (run,) = bench.items(WorkKind.RUN)
    assert run.state is WorkState.CANCELED
    assert "in the middle of this" in run.reason


def test_a_worker_that_stops_gives_back_what_it_has_in_hand(opened: Opened) -> None:
    """An update of the node at noon must not cost attempts."""
    bench = opened(routes=with_parameters(do="hang"))
    bench.receive(loop_dataset())
    bench.runs.step()
    bench.runs.stop()
    bench.leases.release_all()
    (run,) = bench.items(WorkKind.RUN)
    assert (run.state, run.attempts) == (WorkState.SCHEDULED, 0)
