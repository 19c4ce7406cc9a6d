"""What is learned later changes what is planned: a view that was seen, a person's word, a label map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from echonode.core.readings import KeptReading
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.objects import set_view
from echonode.flow.request import request
from echonode.flow.story import says
from tests.support.bench import Bench
from tests.support.loops import loop_dataset
from tests.support.runners import ROOMS, write_package
from tests.support.waiting import wait_until

Opened = Callable[..., Bench]
A4C, A2C = "Apical four chamber", "Apical two chamber"


def rule(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "task": "sample", "model": "probe", "when": {"modality": ["US"]}, **changes}


def looking(says: str, confidence: float = 0.95) -> dict[str, Any]:
    parameters = {"do": "view", "says": says, "confidence": confidence}
    return rule("look", task="view", model="viewer", parameters=parameters)


def of_view(name: str, *views: str, **changes: Any) -> dict[str, Any]:
    return rule(name, when={"view": list(views)}, **{"parameters": {"do": "tell"}, **changes})


def opened_with(opened: Opened, *rules: dict[str, Any]) -> Bench:
    """A node with those routes, and a model of the sample runner for each task that they name."""
    names = {"view": "viewer", "segmentation": "outliner", "synthesis": "painter"}
    bench = opened(routes={"route": list(rules), "destination": [{"name": "pacs", "peer": "pacs"}]}, tasks=ROOMS)
    for task, name in names.items():
        write_package(bench.folder / "models", name=name, task=task)
    return bench


def current(bench: Bench, study_uid: str) -> dict[str, KeptReading]:
    """The readings that count, by route."""
    return {reading.route: reading for reading in bench.archive.readings.of_study(study_uid)}


def runs_of(bench: Bench, name: str) -> list[WorkItem]:
    return [item for item in bench.items(WorkKind.RUN) if item.route == name]


def say(bench: Bench, uid: str, view: str) -> dict[str, Any]:
    return set_view(
        bench.archive, uid, view, routes=bench.routes, settings=bench.settings, installed=bench.catalogue.names(), by="Ada"
    )  # fmt: skip


def test_a_view_that_is_seen_brings_the_models_that_ask_for_it(opened: Opened) -> None:
    """A scanner that does not code its views must not cost the measurements."""
    bench = opened_with(opened, looking("A4C"), of_view("chambers", "A4C", "A2C"), of_view("axis", "PLAX"))
    loop = loop_dataset()
    bench.receive(loop)
    assert [item.route for item in bench.items(WorkKind.RUN)] == ["look"]
    bench.run_all()
    found = current(bench, loop.StudyInstanceUID)
    assert sorted(found) == ["chambers", "look"]
    assert (found["chambers"].view, found["chambers"].details["view"]) == ("A4C", A4C)
    assert "view A4C" in runs_of(bench, "chambers")[0].unique_key
    facts = bench.archive.index.facts(loop.SOPInstanceUID)
    assert facts is not None
    assert (facts.view, facts.view_confidence, facts.view_source) == ("A4C", 0.95, "classifier")
    with bench.archive.reading() as connection:
        row = connection.exec_driver_sql("SELECT view, view_confidence FROM instance WHERE derived = 0").one()
    assert tuple(row) == ("A4C", 0.95)
    assert says(runs_of(bench, "look")[0]) == f"view {A4C} (95 %)"


def test_a_person_s_word_brings_other_models_and_takes_back_what_was_read(opened: Opened) -> None:
    """A wrong view makes wrong numbers: they must leave the report, and the right ones come."""
    bench = opened_with(
        opened, looking("A4C"), of_view("four", "A4C"), of_view("two", "A2C"), of_view("both", "A4C", "A2C")
    )
    loop = loop_dataset()
    bench.receive(loop)
    bench.run_all()
    assert sorted(current(bench, loop.StudyInstanceUID)) == ["both", "four", "look"]
    done = say(bench, loop.SOPInstanceUID, "A2C")
    assert (done["retired"], len(done["planned"])) == (["both", "four"], 2)
    assert sorted(current(bench, loop.StudyInstanceUID)) == ["look"]
    bench.run_all()
    found = current(bench, loop.StudyInstanceUID)
    assert sorted(found) == ["both", "look", "two"]
    assert {found[name].details["view"] for name in ("both", "two")} == {A2C}
    assert len(runs_of(bench, "look")) == 1, "who knows the view need not be asked again"
    events = [row.event for row in bench.archive.audit.story(loop.StudyInstanceUID)]
    assert events.count("view known") == 2


def test_a_person_who_changes_their_mind_gets_the_first_numbers_back(opened: Opened, tmp_path: Path) -> None:
    """There and back again is where it was, and costs no second run."""
    mark = tmp_path / "ran"
    bench = opened_with(opened, of_view("four", "A4C", parameters={"do": "tell", "mark": str(mark)}))
    loop = loop_dataset()
    bench.receive(loop)
    for view in ("A4C", "A2C", "A4C"):
        say(bench, loop.SOPInstanceUID, view)
        bench.run_all()
    assert current(bench, loop.StudyInstanceUID)["four"].view == "A4C"
    assert len(mark.read_text().splitlines()) == 1


def test_a_classifier_never_overrides_a_person(opened: Opened) -> None:
    """The sonographer was there."""
    bench = opened_with(opened, looking("A4C", 1.0), of_view("four", "A4C"), of_view("two", "A2C"))
    loop = loop_dataset()
    bench.receive(loop)
    say(bench, loop.SOPInstanceUID, "A2C")
    bench.run_all()
    facts = bench.archive.index.facts(loop.SOPInstanceUID)
    assert facts is not None
    assert (facts.view, facts.view_source) == ("A2C", "person")
    assert sorted(current(bench, loop.StudyInstanceUID)) == ["look", "two"]


def test_the_same_answer_plans_nothing_again(opened: Opened) -> None:
    """A view model that runs twice must not double the work of a night."""
    bench = opened_with(opened, looking("A4C"), of_view("four", "A4C"))
    loop = loop_dataset()
    bench.receive(loop)
    bench.run_all()
    count = len(bench.items(WorkKind.RUN))
    bench.archive.work.retry(runs_of(bench, "look")[0].id)
    bench.run_all()
    assert len(bench.items(WorkKind.RUN)) == count


@pytest.mark.parametrize("asked", [False, True])
def test_what_was_begun_under_another_view_does_not_count(opened: Opened, tmp_path: Path, asked: bool) -> None:
    """A run takes a minute; in that minute a person may learn that the loop shows something else."""
    until = tmp_path / "go on"
    waiting = of_view("any", "A4C", "A2C", parameters={"do": "wait", "until": str(until)})
    bench = opened_with(opened, waiting | ({"enabled": False} if asked else {}))
    loop = loop_dataset()
    bench.receive(loop)
    say(bench, loop.SOPInstanceUID, "A4C")
    if asked:
        request(
            bench.archive, bench.catalogue, bench.routes, bench.settings, task="sample", target=loop.SOPInstanceUID
        )  # fmt: skip
    assert bench.runs.step() == 1
    say(bench, loop.SOPInstanceUID, "A2C")
    until.touch()
    wait_until(lambda: bench.runs.in_hand == 0, "the run that began first to end")
    bench.run_all()
    assert current(bench, loop.StudyInstanceUID)["any"].details["view"] == A2C
    (reading,) = bench.archive.readings.of_study(loop.StudyInstanceUID, current=False)
    assert reading.view == "A2C", "nothing of the first run was kept"
    if not asked:
        first = runs_of(bench, "any")[0]
        assert first.state is WorkState.CANCELED
        assert says(first) == "not needed any more: the view is A2C now: set by Ada"


def test_a_picture_starts_from_the_label_map_of_its_loop(opened: Opened) -> None:
    """A synthetic picture of end-diastole needs the outlines first, and stands in no patient's study."""
    bench = opened_with(
        opened,
        rule("outline", task="segmentation", model="outliner", parameters={"do": "labels"}),
        rule("paint", task="synthesis", model="painter", after="segmentation", parameters={"do": "picture of labels"},
             deliver_to=["pacs"]),
    )  # fmt: skip
    loop = loop_dataset()
    bench.receive(loop)
    assert [item.route for item in bench.items(WorkKind.RUN)] == ["outline"]
    bench.run_all()
    (outline,), (paint,) = runs_of(bench, "outline"), runs_of(bench, "paint")
    assert paint.payload["input"] == outline.outcome["sop_instance_uid"]
    assert paint.outcome["kind"] == "synthetic", paint.outcome
    painted = bench.archive.index.instance(paint.outcome["sop_instance_uid"])
    assert painted is not None
    assert painted.study_uid != loop.StudyInstanceUID
    header = pydicom.dcmread(painted.path)
    assert header.PatientID != loop.PatientID
    assert str(loop.SOPInstanceUID) not in str(header)
    bench.deliver_all()
    assert bench.destination.received == [], "synthetic pictures go where they are asked for alone"
    assert current(bench, loop.StudyInstanceUID)["paint"].parameters["phase"] == "ED"
    bench.archive.work.retry(outline.id)
    bench.run_all()
    assert len(runs_of(bench, "paint")) == 1
