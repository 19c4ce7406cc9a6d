"""A patient is corrected while something is being made of the study: nothing may leave under the wrong name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from echonode.archive.reports import ReportStatus
from echonode.core.work import WorkKind
from echonode.flow.correct import correct
from tests.support.reporting import WITH_RUNS, ReportBench


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkout: Path) -> Iterator[Callable[..., ReportBench]]:
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    benches: list[ReportBench] = []

    def build(**options: Any) -> ReportBench:
        benches.append(ReportBench(tmp_path, **options))
        return benches[-1]

    yield build
    for bench in benches:
        bench.close()


def put_right(bench: ReportBench, study: str) -> None:
    correct(
        bench.archive, bench.routes, bench.settings.work, study=study, changes={"patient_id": "P7"}, by="Dr. Ada",
        reason="wrong worklist entry", who="cli:me",
    )  # fmt: skip


def first_correct(bench: ReportBench, study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The correction comes when the next object has been built and is not stored yet."""
    publish = bench.publisher.publish
    done: list[bool] = []

    def meanwhile(make: Callable[[], Any], **options: Any) -> Any:
        made = make()
        if not done:
            done.append(True)
            put_right(bench, study)
        return publish(lambda: made, **options)

    monkeypatch.setattr(bench.publisher, "publish", meanwhile)


def patients(bench: ReportBench, uids: list[str]) -> set[str]:
    stored = [bench.archive.index.instance(uid) for uid in uids]
    return {str(dcmread(each.path, stop_before_pixels=True).PatientID) for each in stored if each is not None}


def test_a_report_that_was_being_written_stands_for_the_right_patient(
    opened: Callable[..., ReportBench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = opened()
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    bench.say(loop, 54.0)
    first_correct(bench, study, monkeypatch)
    bench.complete()
    bench.complete()
    bench.deliver_all()
    assert bench.current(study).revision == 1
    assert patients(bench, [bench.current(study).sop_instance_uid]) == {"P7"}
    assert patients(bench, [each.sop_instance_uid for each in bench.derived()]) == {"P7"}
    assert patients(bench, bench.destination.received) == {"P7"}
    assert {each.status for each in bench.archive.reports.all(study)} == {ReportStatus.WITHDRAWN, ReportStatus.CURRENT}


def test_an_object_that_was_being_made_is_made_for_the_right_patient(
    opened: Callable[..., ReportBench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = opened(routes=WITH_RUNS)
    loop = bench.loop()
    study = str(loop.StudyInstanceUID)
    first_correct(bench, study, monkeypatch)
    bench.run_all()
    bench.complete()
    bench.run_all()
    bench.deliver_all()
    (run,) = bench.items(WorkKind.RUN)
    assert run.state == "COMPLETED", run.reason
    assert patients(bench, [each.sop_instance_uid for each in bench.derived()]) == {"P7"}
    assert bench.destination.received
    assert patients(bench, bench.destination.received) == {"P7"}
