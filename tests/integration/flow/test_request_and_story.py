"""Asking for more, and the whole story of a study."""

from __future__ import annotations

import pytest

from echonode.core.errors import BadInput, NotFound
from echonode.core.states import WorkState
from echonode.core.work import WorkKind
from echonode.flow.request import request
from echonode.flow.settle import settle
from echonode.flow.story import story
from tests.support.bench import Bench
from tests.support.loops import loop_dataset


def ask(bench: Bench, target: str, **options: object):
    return request(
        bench.archive, bench.catalogue, bench.routes, bench.settings, task="sample", target=target, who="me", **options
    )


def test_another_factor_of_a_stored_loop_is_another_object(bench: Bench) -> None:
    """A cardiologist wants eight times slower, once, for this loop."""
    loop = loop_dataset()
    bench.receive(loop)
    bench.run_all()
    (asked,) = ask(bench, loop.SOPInstanceUID, parameters={"factor": 8})
    assert asked.new
    bench.run_all()
    bench.deliver_all()
    assert len(bench.derived()) == 2
    assert len(bench.destination.received) == 2


def test_asking_for_what_is_there_makes_nothing_new(bench: Bench) -> None:
    """An impatient double click must not double the result."""
    loop = loop_dataset()
    bench.receive(loop)
    bench.run_all()
    bench.deliver_all()
    first, second = ask(bench, loop.SOPInstanceUID)[0], ask(bench, loop.SOPInstanceUID)[0]
    assert first.item.id == second.item.id
    assert (first.new, second.new) == (True, False)
    bench.run_all()
    bench.deliver_all()
    assert len(bench.derived()) == 1
    assert len(bench.destination.received) == 1


def test_a_study_by_accession_number_and_a_new_version_of_the_model(bench: Bench) -> None:
    """After a model was replaced, last week's study can be run again."""
    loop = loop_dataset()
    bench.receive(loop)
    bench.run_all()
    manifest = bench.folder / "models" / "probe" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('version = "1"', 'version = "2"'))
    (asked,) = ask(bench, "A1")
    assert asked.new
    bench.run_all()
    assert len(bench.derived()) == 2


@pytest.mark.parametrize(
    ("target", "options", "error"),
    [
        ("1.2.3.999", {}, NotFound),
        ("A1", {"model": "missing"}, NotFound),
        ("A1", {"deliver_to": ["nowhere"]}, BadInput),
    ],
)
def test_a_wrong_request_says_what_is_wrong(bench: Bench, target: str, options: dict, error: type) -> None:
    """A typing error must not become a workitem that fails at night."""
    bench.receive(loop_dataset())
    with pytest.raises(error):
        ask(bench, target, **options)


def test_our_own_results_cannot_be_asked_for(bench: Bench) -> None:
    """Slow motion of slow motion is not a picture of a heart."""
    bench.receive(loop_dataset())
    bench.run_all()
    with pytest.raises(BadInput, match="made by echonode"):
        ask(bench, bench.derived()[0].sop_instance_uid)


def test_the_story_goes_from_the_first_object_to_the_last_delivery(bench: Bench) -> None:
    """`Where is my result?` is answered by one command."""
    loop = loop_dataset()
    bench.receive(loop)
    bench.run_all()
    bench.deliver_all()
    told = story(bench.archive, "A1", bench.routes)
    (object_story,) = told.objects
    assert object_story.stored.sop_instance_uid == loop.SOPInstanceUID
    assert object_story.routes[0].matches
    (run,) = object_story.runs
    assert run.says == "made slow-motion"
    assert run.result_uid == told.derived[0].sop_instance_uid
    assert [item.state for item in run.deliveries] == [WorkState.COMPLETED]
    assert [event.event for event in told.events] == ["stored", "stored", "published", "delivered"]
    assert told.as_dict()["study_uid"] == loop.StudyInstanceUID


def test_the_story_tells_a_refusal_and_a_hold(bench: Bench) -> None:
    """`Why is there none?` too."""
    loop = loop_dataset(frames=1)
    bench.receive(loop)
    bench.receive(loop_dataset(study_uid=loop.StudyInstanceUID, patient_id="P2", patient_name="Other^Bob"))
    told = story(bench.archive, loop.StudyInstanceUID, bench.routes)
    assert told.held is not None
    assert "held" in told.objects[0].runs[0].says
    bench.archive.conflicts.resolve(loop.StudyInstanceUID, keep="P1", by="tester")
    bench.run_all()
    told = story(bench.archive, loop.StudyInstanceUID, bench.routes)
    assert told.objects[0].runs[0].says == "refused: the model needs 2 frames or more; this has 1"


def test_a_study_settles_when_nothing_is_open_and_quiet_is_over(bench: Bench) -> None:
    """A study that is called complete in the middle of an examination gives half a report."""
    bench.receive(loop_dataset(), association="a1")
    bench.clock.now += 1000
    assert settle(bench.archive, bench.settings.settle) == []
    bench.archive.activity.closed("a1")
    assert len(settle(bench.archive, bench.settings.settle)) == 1
    assert settle(bench.archive, bench.settings.settle) == []


def test_a_study_settles_at_the_latest_after_the_longest_wait(bench: Bench) -> None:
    """A scanner that keeps its association open for ever must not hold up the report for ever."""
    bench.receive(loop_dataset(), association="a1")
    bench.clock.now += bench.settings.settle.longest_seconds + 1
    assert len(settle(bench.archive, bench.settings.settle)) == 1


def test_results_do_not_open_a_settled_study_again(bench: Bench) -> None:
    """Our own result is no late object of the scanner."""
    bench.receive(loop_dataset(), association="a1")
    bench.archive.activity.closed("a1")
    bench.clock.now += 1000
    assert len(settle(bench.archive, bench.settings.settle)) == 1
    bench.run_all()
    bench.clock.now += 1000
    assert bench.items(WorkKind.RUN)[0].state is WorkState.COMPLETED
    assert settle(bench.archive, bench.settings.settle) == []
