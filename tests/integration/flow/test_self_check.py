"""The node checks itself: what it sends is seen by nobody and goes away; what is wrong is written down and said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from echonode.archive.self_checks import Check, CheckState
from echonode.core.codes import Code
from echonode.core.errors import NotFound
from echonode.core.query import Level, QueryRequest
from echonode.core.results import Finding, Ineligible, LabelMap, Measurement, Result, RunOutcome
from echonode.core.settings import SelfCheckSection
from echonode.core.states import WorkState
from echonode.core.work import WorkKind
from echonode.flow.examination import Shown, examine
from echonode.flow.request import request
from echonode.flow.self_check import SelfCheck, ask_nightly, words_of
from echonode.phantom.marker import sign, signed_by, write_block
from tests.support.bench import Bench
from tests.support.loops import loop_dataset
from tests.support.waiting import wait_until

KEY = b"k" * 32
STUDY = "2.25.777"


def own_loop(uid: str = "2.25.778", *, key: bytes = KEY) -> Dataset:
    """A loop as the node itself records it."""
    dataset = loop_dataset(study_uid=STUDY, sop_instance_uid=uid, patient_id="PHANTOM-1", patient_name="PHANTOM^S1")
    write_block(dataset, origin="1-0000-quick#1", marker=sign(uid, key))
    return dataset


class Room:
    """A scanner without sockets: what it records goes through the bench's door."""

    def __init__(self, bench: Bench, *, key: bytes = KEY, takes: bool = True, ef: float = 60.0) -> None:
        self.bench, self.key, self.takes, self.ef = bench, key, takes, ef

    def record(self, folder: Path, *, day: date, occasion: str, told: Callable[[int, int], None]) -> Mapping[str, Any]:
        folder.mkdir(parents=True)
        dataset = own_loop(key=self.key)
        dataset.save_as(folder / "IM_0001.dcm", enforce_file_format=True)
        told(1, 1)
        entry = {
            "file": "IM_0001.dcm", "kind": "loop", "sop_instance_uid": "2.25.778", "view": "A4C", "level": None,
            "colour": False, "labels": None, "times_ms": [20.0 * number for number in range(10)],
            "heart_rate_bpm": 60.0, "truth": {"ef_percent": self.ef},
        }  # fmt: skip
        return {"study_instance_uid": STUDY, "objects": [entry]}

    def push(self, files: Sequence[Path]) -> Iterator[tuple[bool, str]]:
        for _file in files:
            if self.takes:
                self.bench.receive(own_loop(key=self.key), calling_ae="ECHONODE")
            yield self.takes, "" if self.takes else "the node is not there"


def checker(bench: Bench, room: Room | None = None) -> SelfCheck:
    return SelfCheck(
        archive=bench.archive,
        blobs=bench.blobs,
        catalogue=bench.catalogue,
        executor=bench.executor,
        settings=bench.settings,
        scanner=room or Room(bench),
    )


def checked(bench: Bench, check: SelfCheck) -> Check:
    """One check from asking to its end, the worker's runs done beside it."""
    check_id = bench.archive.self_checks.ask(by="test")
    assert check_id is not None
    assert check.step() == 1

    def ended() -> bool:
        bench.runs.step()
        return bench.archive.self_checks.get(check_id).state is CheckState.ENDED

    wait_until(ended, "the check to end")
    check.stop()
    return bench.archive.self_checks.get(check_id)


@pytest.fixture
def own(opened: Callable[..., Bench]) -> Bench:
    """A bench that knows the key, with a route that would deliver everything."""
    bench = opened(recogniser=partial(signed_by, key=KEY))
    bench.settings = bench.settings.model_copy(update={"self_check": SelfCheckSection(timeout_seconds=60)})
    return bench


def test_a_check_leaves_nothing_behind_and_nothing_is_delivered(own: Bench) -> None:
    result = checked(own, checker(own))
    assert [(answer.task, answer.measured, answer.ok) for answer in result.answers][:1] == [("store", 1.0, True)]
    own.deliver_all()
    assert own.destination.received == []
    assert own.items(WorkKind.DELIVER) == []
    assert own.archive.hidden.studies() == []
    assert [*own.archive.index.find(QueryRequest(level=Level.IMAGE, include_hidden=True))] == []
    assert list(own.blobs.spool.iterdir()) == []
    assert "self-check purged" in [row.event for row in own.archive.audit.story(STUDY)]


def test_a_node_that_takes_nothing_alarms(own: Bench, caplog: pytest.LogCaptureFixture) -> None:
    result = checked(own, checker(own, Room(own, takes=False)))
    assert result.ok is False
    assert "0, truth 1" in result.says
    assert [record.levelname for record in caplog.records if "FAILED" in record.message] == ["ERROR"]
    latest = own.archive.self_checks.latest()
    assert latest is not None
    assert latest.ok is False


def test_a_node_that_does_not_know_its_own_objects_alarms(own: Bench) -> None:
    result = checked(own, checker(own, Room(own, key=b"x" * 32)))
    assert result.ok is False
    assert "did not know its own objects" in result.says


def test_a_run_that_never_ends_alarms_when_its_time_is_up(own: Bench) -> None:
    check = checker(own)
    check_id = own.archive.self_checks.ask(by="test")
    assert check_id is not None
    check.step()
    wait_until(lambda: bool(own.items(WorkKind.RUN)), "the run to be planned")
    own.clock.now += 3600
    wait_until(lambda: own.archive.self_checks.get(check_id).state is CheckState.ENDED, "the check to give up")
    check.stop()
    assert own.archive.hidden.studies() == []


def test_what_a_killed_check_left_is_purged_at_the_next_start(own: Bench) -> None:
    check_id = own.archive.self_checks.ask(by="test")
    own.archive.self_checks.claim(owner="this-host/999999/1")
    assert check_id is not None
    own.archive.self_checks.names(check_id, STUDY)
    own.receive(own_loop(), calling_ae="ECHONODE")
    real = own.receive(loop_dataset(sop_instance_uid="1.2.3.4"))
    assert own.archive.hidden.studies() == [STUDY]
    assert checker(own).clear() == 1
    assert own.archive.hidden.studies() == []
    ended = own.archive.self_checks.get(check_id)
    assert (ended.state, ended.ok) == (CheckState.ENDED, None)
    assert own.archive.self_checks.latest() is None  # an interruption is no alarm
    assert own.archive.index.instance(real.sop_instance_uid) is not None


def test_a_study_of_a_running_check_is_left_alone_by_the_sweep(own: Bench) -> None:
    from echonode.archive.activity import process_name

    check_id = own.archive.self_checks.ask(by="test")
    own.archive.self_checks.claim(owner=process_name())
    assert check_id is not None
    own.archive.self_checks.names(check_id, STUDY)
    own.receive(own_loop(), calling_ae="ECHONODE")
    assert checker(own).clear() == 0
    assert own.archive.hidden.studies() == [STUDY]


def test_a_route_that_delivers_plans_no_delivery_for_the_node_s_own_loop(own: Bench) -> None:
    own.receive(own_loop())
    (item,) = own.items(WorkKind.RUN)
    assert (item.payload["deliver_to"], item.payload["self_check"]) == ([], True)
    own.run_all()
    (item,) = own.items(WorkKind.RUN)
    assert item.outcome["result"] == "published"
    assert own.items(WorkKind.DELIVER) == []
    assert own.derived() == []
    made = own.archive.index.instance(item.outcome["sop_instance_uid"])
    assert made is not None
    assert made.hidden


def test_a_delivery_that_was_planned_all_the_same_ends_unsent(own: Bench) -> None:
    own.receive(own_loop())
    own.run_all()
    (run,) = own.items(WorkKind.RUN)
    from echonode.flow.deliver import delivery_request

    wanted = delivery_request(
        "pacs", run, sop_instance_uid=run.outcome["sop_instance_uid"], series_uid="1", kind="cine", attempts=9
    )
    own.archive.write(lambda connection: own.archive.work.enqueue(connection, [wanted]))
    own.deliver_all()
    (item,) = own.items(WorkKind.DELIVER)
    assert item.state is WorkState.CANCELED
    assert own.destination.received == []


def test_nobody_can_ask_for_more_of_the_node_s_own_study(own: Bench) -> None:
    own.receive(own_loop())
    for target in (STUDY, "2.25.778"):
        with pytest.raises(NotFound):
            request(own.archive, own.catalogue, own.routes, own.settings, task="sample", target=target)


def test_patients_come_first(own: Bench) -> None:
    own.receive(own_loop())
    real = own.receive(loop_dataset(sop_instance_uid="1.2.3.4"))
    (first,) = own.archive.work.claim(kind=WorkKind.RUN, owner="worker", lease_seconds=9)
    assert first.sop_instance_uid == real.sop_instance_uid


def test_a_model_of_simulated_data_runs_on_the_node_s_own_loop_and_on_no_patient(own: Bench) -> None:
    manifest = own.folder / "models" / "probe" / "manifest.toml"
    manifest.write_text("simulated = true\n" + manifest.read_text())
    own.receive(own_loop())
    own.receive(loop_dataset(sop_instance_uid="1.2.3.4"))
    forged = own_loop("2.25.779", key=b"x" * 32)
    own.receive(forged)
    own.run_all()
    results = {item.sop_instance_uid: item.outcome for item in own.items(WorkKind.RUN)}
    assert results["2.25.778"]["result"] == "published"
    assert results["1.2.3.4"]["code"] == results["2.25.779"]["code"] == "simulated"


@pytest.mark.parametrize(
    ("clock", "asked"), [("03:29:59", 0), ("03:30:00", 1), ("04:29:59", 1), ("04:30:00", 0), ("12:00:00", 0)]
)
def test_the_night_s_check_is_asked_for_once_within_its_hour(own: Bench, clock: str, asked: int) -> None:
    own.clock.now = datetime.fromisoformat(f"2026-01-02T{clock}").astimezone().timestamp()
    assert sum(ask_nightly(own.archive, own.settings.self_check) for _ in range(3)) == asked


def test_old_checks_are_forgotten(own: Bench) -> None:
    checked(own, checker(own))
    own.clock.now += 500 * 86400
    checker(own).clear()
    assert own.archive.self_checks.list() == []


UNIT = Code("%", "UCUM", "percent")


def shown(folder: Path, **truth: Any) -> Shown:
    entry = {"view": "A4C", "labels": None, "heart_rate_bpm": 60.0, "truth": {"ef_percent": 60.0, **truth}}
    return Shown(entry=entry | truth.pop("entry", {}), folder=folder)


def number(code: str, value: float) -> Measurement:
    return Measurement(concept=Code(code, "LN", "a number"), value=value, unit=UNIT)


@pytest.mark.parametrize(("value", "ok"), [(60.0, True), (71.9, True), (72.5, False), (10.0, False)])
def test_an_ejection_fraction_that_drifts_is_told(tmp_path: Path, value: float, ok: bool) -> None:
    (said,) = examine("ejection_fraction", [number("10230-1", value)], shown(tmp_path), SelfCheckSection())
    assert (said.measured, said.truth, said.ok) == (value, 60.0, ok)


def test_diameters_and_heart_rate_are_held_against_the_beats(tmp_path: Path) -> None:
    truth = shown(tmp_path, lvidd_mm=[48.0, 50.0, 52.0], lvids_mm=[30.0])
    given: list[Result] = [number("29436-3", 50.5), number("29438-9", 37.0), number("8867-4", 61.0)]
    said = examine("mmode", given, truth, SelfCheckSection())
    assert [(each.what, each.truth, each.ok) for each in said] == [
        ("LVIDd", 50.0, True), ("LVIDs", 30.0, False), ("heart rate", 60.0, True),
    ]  # fmt: skip


def test_a_wrong_view_is_told_in_words(tmp_path: Path) -> None:
    from echonode.dicom.views import VIEWS

    concept = Code("111031", "DCM", "Image View")
    for name, ok in (("A4C", True), ("PLAX", False)):
        given = [Finding(concept=concept, value=VIEWS[name], confidence=0.9)]
        (said,) = examine("view", given, shown(tmp_path), SelfCheckSection())
        assert said.ok is ok
    assert said.says == "PLAX where A4C is shown"


def test_label_maps_are_held_against_those_of_the_heart(tmp_path: Path) -> None:
    labels = np.zeros((2, 8, 8), np.uint8)
    labels[:, 2:6, 2:6] = 1
    labels[:, 3, 3] = 10  # a papillary muscle lies in the cavity
    np.savez(tmp_path / "labels.npz", labels=labels)
    truth = Shown(entry={"view": "A4C", "labels": "labels.npz", "truth": {"ef_percent": 60.0}}, folder=tmp_path)
    segments = {1: Code("87878005", "SCT", "Left ventricle")}
    good = LabelMap(labels=(labels[:1] > 0).astype(np.uint8), frames=(1,), segments=segments)
    wrong = LabelMap(labels=np.roll(good.labels, 3, axis=1), frames=(1,), segments=segments)
    assert [each.ok for each in examine("segmentation", [good], truth, SelfCheckSection())] == [True]
    (said,) = examine("segmentation", [wrong], truth, SelfCheckSection())
    assert not said.ok


class Answers:
    """An Executor that gives what it was told, in this process."""

    def __init__(self, *results: Result) -> None:
        self.results, self.asked = results, []

    def submit(self, asked: Any, *, progress: Any = None) -> Future[RunOutcome]:
        self.asked.append(asked)
        future: Future[RunOutcome] = Future()
        future.set_result(RunOutcome(results=self.results, seconds=0.1, device="cpu"))
        return future

    def capacity(self, package: Path) -> int:
        return 1

    def health(self) -> Mapping[str, Any]:
        return {}

    def shutdown(self) -> None:
        """Nothing runs."""


@pytest.mark.parametrize(("simulated", "value", "ok"), [(True, 58.0, True), (True, 20.0, False), (False, 20.0, True)])
def test_only_a_model_of_simulated_hearts_is_held_against_one(
    own: Bench, simulated: bool, value: float, ok: bool
) -> None:
    folder = own.folder / "models" / "heart"
    folder.mkdir()
    (folder / "manifest.toml").write_text(
        'name = "heart"\nversion = "1"\ntask = "ejection_fraction"\ntitle = "EF"\ntrained_on = "hearts"\n'
        f"simulated = {json.dumps(simulated)}\n"
    )
    (folder / "MODEL_CARD.md").write_text("# heart\n")
    check = checker(own)
    check._executor = Answers(number("10230-1", value))
    result = checked(own, check)
    (answer,) = [answer for answer in result.answers if answer.task == "ejection_fraction"]
    assert (answer.measured, answer.truth, answer.ok) == (value, 60.0, ok)
    assert result.ok is ok
    assert ok or "truth 60" in words_of(answer)


def test_a_model_that_refuses_everything_it_takes_alarms(own: Bench) -> None:
    folder = own.folder / "models" / "heart"
    folder.mkdir()
    (folder / "manifest.toml").write_text(
        'name = "heart"\nversion = "1"\ntask = "ejection_fraction"\ntitle = "EF"\ntrained_on = "hearts"\n'
    )
    (folder / "MODEL_CARD.md").write_text("# heart\n")
    check = checker(own)
    check._executor = Answers(Ineligible(reason="not for me"))
    result = checked(own, check)
    assert result.ok is False
    assert "no answer to any" in result.says
