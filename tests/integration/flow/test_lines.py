"""The path of a loop while models change: what a person decided runs, what only looks harms nobody."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from echonode.archive.studies import StudyState
from echonode.core.model_states import ModelState
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.lines import Lines
from echonode.flow.objects import set_view
from echonode.flow.request import request
from echonode.registry.verify import verify
from tests.support.bench import ROUTES, Bench
from tests.support.loops import loop_dataset
from tests.support.runners import write_package
from tests.support.waiting import wait_until

SAID: dict[str, Any] = {"by": "Dr Ada", "why": "trial"}
MEASURE = {**ROUTES, "route": [{**ROUTES["route"][0], "parameters": {"do": "measure"}}]}


def register(bench: Bench, *names: str, contract: str = "frames_min = 2") -> None:
    for name in names:
        folder = write_package(bench.folder / "models", name=name, contract=contract)
        bench.archive.models.register(verify(folder), checks={}, shipped=True, **SAID)


def shadow(bench: Bench, name: str) -> None:
    bench.archive.models.promote_shadow(bench.catalogue.get(name), line="probe", **SAID)


def activate(bench: Bench, name: str) -> None:
    models = bench.archive.models
    models.promote_active(bench.catalogue.get(name), line="probe", base=bench.catalogue.get("probe"), **SAID)


def runs(bench: Bench, *, looking: bool = False) -> list[WorkItem]:
    return [item for item in bench.items(WorkKind.RUN) if bool(item.payload.get("shadow")) is looking]


def test_a_promotion_is_seen_by_the_next_run_and_taken_back_by_a_rollback(bench: Bench) -> None:
    register(bench, "second")
    bench.receive(loop_dataset())
    bench.run_all()
    activate(bench, "second")
    bench.receive(loop_dataset())
    bench.run_all()
    bench.archive.models.rollback(bench.catalogue.get("probe"), line="probe", **SAID)
    bench.receive(loop_dataset())
    bench.run_all()
    ran = [
        reading.model for item in runs(bench) for reading in bench.archive.readings.of_instance(item.sop_instance_uid)
    ]
    assert ran == ["probe", "second", "probe"]
    assert [item.queue for item in runs(bench)] == ["probe"] * 3
    assert [item.outcome.get("model") for item in runs(bench)] == [None, "second", None]
    assert len(bench.derived()) == 3


def test_a_shadow_looks_and_nothing_else(bench: Bench, opened: Callable[..., Bench]) -> None:
    register(bench, "looker")
    shadow(bench, "looker")
    bench.receive(loop_dataset())
    bench.run_all()
    bench.deliver_all()
    (looked,) = runs(bench, looking=True)
    assert (looked.state, looked.outcome["result"], looked.payload["deliver_to"]) == (WorkState.COMPLETED, "read", [])
    assert looked.priority < runs(bench)[0].priority
    assert len(bench.derived()) == 1
    assert len(bench.destination.received) == 1
    (kept,) = bench.archive.readings.of_model("looker")
    assert (kept.model, kept.objects) == ("looker", ())
    assert [each.model for each in bench.archive.readings.of_instance(kept.sop_instance_uid, current=False)] == [
        "probe"
    ]
    assert [row.event for row in bench.archive.audit.latest(50) if row.event.startswith("shadow")] == ["shadow read"]


@pytest.mark.parametrize("fault", ["refuse", "raise"])
def test_what_goes_wrong_in_a_shadow_stays_there(opened: Callable[..., Bench], fault: str) -> None:
    # the shadow of this line takes no loop so short, or fails: what is delivered does not change
    bench = opened(work={"run_attempts": 1})
    register(bench, "looker", contract="frames_min = 99" if fault == "refuse" else "frames_min = 2")
    shadow(bench, "looker")
    if fault == "raise":
        (bench.folder / "models" / "looker" / "manifest.toml").write_text("no manifest")
    bench.receive(loop_dataset())
    bench.run_all()
    bench.deliver_all()
    assert [item.state for item in runs(bench)] == [WorkState.COMPLETED]
    assert len(bench.destination.received) == 1
    (looked,) = runs(bench, looking=True)
    if fault == "refuse":
        assert "99 frames" in looked.outcome["reason"]
        (kept,) = bench.archive.readings.of_model("looker")
        assert kept.refusals
    else:
        assert (looked.state, "manifest.toml" in looked.reason) == (WorkState.CANCELED, True)
        study = bench.archive.studies.state(looked.study_uid)
        assert isinstance(study, StudyState)
        assert bench.archive.studies.open_runs(looked.study_uid) == 0


def test_a_shadow_waits_until_nobody_waits_for_anything(bench: Bench) -> None:
    register(bench, "looker")
    shadow(bench, "looker")
    for _ in range(3):
        bench.receive(loop_dataset())
    assert bench.archive.studies.open_runs(runs(bench)[0].study_uid) == 1
    bench.runs.step()
    assert all(item.state is WorkState.SCHEDULED for item in runs(bench, looking=True))
    wait_until(lambda: bench.runs.in_hand == 0, "the runs to end")
    bench.run_all()
    assert [item.state for item in runs(bench, looking=True)] == [WorkState.COMPLETED] * 3


def test_a_shadow_that_was_retired_meanwhile_does_not_look(bench: Bench) -> None:
    register(bench, "looker")
    shadow(bench, "looker")
    bench.receive(loop_dataset())
    bench.archive.models.retire(bench.catalogue.get("looker"), **SAID)
    bench.run_all()
    (looked,) = runs(bench, looking=True)
    assert looked.outcome["result"] == "superseded"
    assert bench.archive.readings.of_model("looker") == []


def test_a_reading_of_a_shadow_never_stands_in_for_a_real_one(opened: Callable[..., Bench]) -> None:
    # the shadow made no label map: when it is promoted, the loop must really be done
    bench = opened(
        routes={**ROUTES, "route": [{**ROUTES["route"][0], "parameters": {"do": "everything", "titles": []}}]}
    )
    register(bench, "looker")
    shadow(bench, "looker")
    bench.receive(loop_dataset())
    bench.run_all()
    before = len(bench.derived())
    activate(bench, "looker")
    uid = runs(bench)[0].sop_instance_uid
    request(bench.archive, bench.catalogue, bench.routes, bench.settings, task="sample", target=uid, who="Ada")
    bench.run_all()
    assert len(bench.derived()) > before
    assert [each.model for each in bench.archive.readings.of_instance(uid)] == ["looker"]


def test_a_candidate_is_not_let_at_patients_by_its_name_alone(bench: Bench) -> None:
    register(bench, "second")
    lines = Lines(bench.archive, bench.catalogue)
    with pytest.raises(Exception, match="no model is active in line 'second'"):
        lines.get("second")
    activate(bench, "second")
    assert lines.get("second").name == "second"
    assert lines.get("probe").name == "second"


def test_a_package_that_changed_after_its_registration_ends_runs_with_the_reason(bench: Bench) -> None:
    register(bench, "second")
    activate(bench, "second")
    manifest = bench.folder / "models" / "second" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('version = "1"', 'version = "2"'))
    bench.receive(loop_dataset())
    bench.run_all()
    (item,) = runs(bench)
    assert (item.state, bench.derived()) == (WorkState.CANCELED, [])
    assert "is not the one that was registered" in item.reason


def test_a_line_whose_model_was_retired_says_so_and_runs_when_one_is_promoted(bench: Bench) -> None:
    register(bench, "second")
    bench.archive.models.retire(bench.catalogue.get("probe"), **SAID)
    bench.receive(loop_dataset())
    bench.run_all()
    (item,) = runs(bench)
    assert "no model is active in line 'probe'" in item.reason
    activate(bench, "second")
    bench.archive.work.retry(item.id)
    bench.run_all()
    assert bench.archive.work.get(item.id).outcome["model"] == "second"


def test_a_line_runs_though_the_package_of_its_name_is_gone(bench: Bench) -> None:
    register(bench, "second")
    activate(bench, "second")
    shutil.rmtree(bench.folder / "models" / "probe")
    bench.receive(loop_dataset())
    bench.runs.refuse_strays()
    bench.run_all()
    assert runs(bench)[0].outcome["model"] == "second"


def test_an_attempt_that_was_cut_short_ends_with_the_package_that_it_began_with(bench: Bench) -> None:
    register(bench, "second")
    bench.receive(loop_dataset())
    finish = bench.archive.work.finish

    def killed(*_: Any, **__: Any) -> WorkItem:
        raise KeyboardInterrupt

    bench.archive.work.finish = killed  # type: ignore[method-assign]
    bench.runs.step()
    wait_until(lambda: len(bench.derived()) == 1 and bench.runs.in_hand == 0, "the object to be stored")
    bench.archive.work.finish = finish  # type: ignore[method-assign]
    activate(bench, "second")
    bench.clock.now += 2 * bench.settings.work.lease_seconds
    bench.archive.work.reap()
    bench.restart()
    bench.run_all()
    (item,) = runs(bench)
    assert (item.state, item.attempts) == (WorkState.COMPLETED, 2)
    assert len(bench.derived()) == 1
    assert [each.model for each in bench.archive.readings.of_instance(item.sop_instance_uid)] == ["probe"]


def test_states_of_packages_that_nobody_spoke_of(bench: Bench) -> None:
    assert bench.archive.models.state("probe") is ModelState.SHIPPED
    assert Path(Lines(bench.archive, bench.catalogue).get("probe").folder).name == "probe"


def test_a_run_that_is_under_way_ends_with_the_package_that_it_began_with(
    opened: Callable[..., Bench], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    parameters = {"do": "wait", "until": str(gate)}
    bench = opened(routes={**ROUTES, "route": [{**ROUTES["route"][0], "parameters": parameters}]})
    register(bench, "second")
    bench.receive(loop_dataset())
    bench.runs.step()
    activate(bench, "second")
    gate.touch()
    wait_until(lambda: bench.runs.in_hand == 0, "the run to end")
    bench.receive(loop_dataset())
    bench.run_all()
    ran = [bench.archive.readings.of_instance(item.sop_instance_uid)[0].model for item in runs(bench)]
    assert ran == ["probe", "second"]


def test_a_paused_shadow_does_not_look(bench: Bench) -> None:
    register(bench, "looker")
    shadow(bench, "looker")
    bench.archive.pauses.pause("model", "looker", by="Ada", reason="too warm")
    bench.receive(loop_dataset())
    bench.run_all()
    assert [item.state for item in runs(bench, looking=True)] == [WorkState.SCHEDULED]
    bench.archive.pauses.resume("model", "looker", by="Ada")
    bench.run_all()
    assert [item.state for item in runs(bench, looking=True)] == [WorkState.COMPLETED]


def test_a_new_view_is_looked_at_anew_by_the_shadow_too(opened: Callable[..., Bench]) -> None:
    bench = opened(routes=MEASURE)
    register(bench, "looker")
    shadow(bench, "looker")
    uid = bench.receive(loop_dataset()).sop_instance_uid
    bench.run_all()
    lines = Lines(bench.archive, bench.catalogue)
    set_view(
        bench.archive, uid, "A4C", routes=bench.routes, settings=bench.settings, installed=lines.names(),
        shadows=lines.shadows(), by="Ada",
    )  # fmt: skip
    bench.run_all()
    assert [item.state for item in runs(bench, looking=True)] == [WorkState.COMPLETED] * 2
    (newest,) = bench.archive.readings.of_model("looker")
    assert newest.view == "A4C"
    assert [each.model for each in bench.archive.readings.of_instance(uid)] == ["probe"]
