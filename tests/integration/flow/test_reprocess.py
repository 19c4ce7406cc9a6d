"""History by another model: it only looks until somebody says that it counts, and nobody waits for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from echonode.cli.main import execute
from echonode.core.errors import BadInput, BadQuery, NotFound
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.flow import reprocess as history
from echonode.flow.lines import Lines
from echonode.flow.reprocess import Chosen, choose_objects, difference, look
from echonode.registry.verify import verify
from tests.support.loops import loop_dataset
from tests.support.reporting import ReportBench
from tests.support.runners import write_package
from tests.support.waiting import wait_until

NEXT = "second"


def routes(do: str = "differ", **when: Any) -> dict[str, Any]:
    route = {
        "name": "ef", "task": "sample", "model": "probe", "when": {"modality": ["US"], **when},
        "parameters": {"do": do}, "deliver_to": ["pacs"],
    }  # fmt: skip
    return {
        "route": [route],
        "destination": [{"name": "pacs", "peer": "pacs"}],
        "report": {"deliver_to": ["pacs"]},
    }


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkout: Path) -> Iterator[Callable[..., ReportBench]]:
    """A bench with history of the model probe: three studies of one loop of 6, 8 and 10 frames each, and their reports."""
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    made: list[ReportBench] = []

    def build(*, do: str = "differ", **when: Any) -> ReportBench:
        bench = ReportBench(tmp_path, routes=routes(do, **when))
        made.append(bench)
        for number, frames in enumerate((6, 8, 10)):
            loop = loop_dataset(study_uid=f"1.2.3.{number}", frames=frames, size=64, seed=number)
            loop.StudyDate, loop.AccessionNumber = f"2026010{number + 1}", f"A{number}"
            assert bench.receive(loop, association=f"a{number}").accepted
            bench.archive.activity.closed(f"a{number}")
        bench.run_all()
        bench.complete()
        package = verify(write_package(tmp_path / "models", name=NEXT, contract="frames_min = 2"))
        bench.archive.models.register(package, checks={}, shipped=True, by="Dr Ada", why="trial")
        return bench

    yield build
    for bench in made:
        bench.close()


@pytest.fixture
def bench(opened: Callable[..., ReportBench]) -> ReportBench:
    return opened()


def chosen(bench: ReportBench, query: str | None = "", **options: Any) -> Chosen:
    lines = Lines(bench.archive, bench.catalogue)
    return choose_objects(bench.archive, lines, bench.routes, model=NEXT, query=query, **options)


def looked(bench: ReportBench, found: Chosen) -> history.Asked:
    return look(bench.archive, found, bench.settings, by="Dr Ada", asked="all")


def publish(bench: ReportBench, found: Chosen) -> history.Asked:
    lines = Lines(bench.archive, bench.catalogue)
    return history.publish(bench.archive, lines, found, bench.settings, by="Dr Ada", asked="all")


def activate(bench: ReportBench) -> None:
    base, package = (bench.catalogue.get(name) for name in ("probe", NEXT))
    bench.archive.models.promote_active(package, line="probe", base=base, by="Dr Ada", why="better")


def standing(bench: ReportBench) -> list[tuple[str, float]]:
    """Model and ejection fraction of what counts in each study."""
    readings = [bench.archive.readings.of_study(f"1.2.3.{number}") for number in range(3)]
    return [(each.model, each.measurements[0].value) for (each,) in readings]


def runs(bench: ReportBench) -> list[WorkItem]:
    return [item for item in bench.items(WorkKind.RUN) if item.payload["model"] == NEXT]


BEFORE = [("probe", 46.0), ("probe", 48.0), ("probe", 50.0)]
AFTER = [(NEXT, 49.0), (NEXT, 52.0), (NEXT, 55.0)]


def test_history_is_looked_at_and_nothing_changes(bench: ReportBench) -> None:
    bench.deliver_all()
    arrived, objects = list(bench.destination.received), len(bench.archive.index.instances())
    found = chosen(bench)
    asked = looked(bench, found)
    assert (len(found.objects), found.studies, len(asked.ids), asked.known) == (3, 3, 3, 0)
    bench.run_all()
    bench.complete()
    bench.deliver_all()
    told = difference(bench.archive, found, bench.settings)
    (ef,) = told.comparison.concepts
    assert [(each.a, each.b) for each in ef.pairs] == [(49, 46), (52, 48), (55, 50)]
    assert ef.agreement is not None
    assert ef.agreement.bias.value == pytest.approx(4)
    assert [(each.study_uid, each.stands, each.new) for each in told.changes] == [
        ("1.2.3.2", 50, 55), ("1.2.3.1", 48, 52), ("1.2.3.0", 46, 49),
    ]  # fmt: skip
    assert (told.read, told.missing, told.fresh, told.standing) == (3, 0, 0, 0)
    assert standing(bench) == BEFORE
    assert (bench.destination.received, len(bench.archive.index.instances())) == (arrived, objects)
    assert all(len(bench.archive.reports.all(f"1.2.3.{number}")) == 1 for number in range(3)), "a report was revised"
    assert [row.details["objects"] for row in bench.archive.audit.latest(1000) if row.event == "history asked"] == [3]


def test_asking_again_asks_for_nothing_twice_and_a_run_that_was_given_up_is_tried_again(bench: ReportBench) -> None:
    first = looked(bench, chosen(bench))
    assert looked(bench, chosen(bench)).ids == first.ids
    bench.archive.work.cancel(first.ids[0], reason="by hand")
    told = difference(bench.archive, chosen(bench), bench.settings)
    assert (told.missing, told.failed) == (3, 1)
    assert looked(bench, chosen(bench)).ids == first.ids
    assert bench.archive.work.get(first.ids[0]).state is WorkState.SCHEDULED
    bench.run_all()
    again = looked(bench, chosen(bench))
    assert (again.ids, again.known, len(runs(bench))) == ((), 3, 3)


def test_published_history_counts_and_reports_are_revised(bench: ReportBench) -> None:
    looked(bench, chosen(bench))
    bench.run_all()
    activate(bench)
    asked = publish(bench, chosen(bench))
    assert len(asked.ids) == 3
    bench.run_all()
    bench.complete()
    assert standing(bench) == AFTER
    for number in range(3):
        reports = bench.archive.reports.all(f"1.2.3.{number}")
        assert [str(each.status) for each in reports] == ["superseded", "current"]
    again = publish(bench, chosen(bench))
    assert (again.ids, again.known) == ((), 3)
    told = difference(bench.archive, chosen(bench), bench.settings)
    assert (told.standing, told.comparison.both) == (3, 0)
    per_study = [row.study_uid for row in bench.archive.audit.latest(1000) if row.event == "history published"]
    assert {*per_study} == {"", "1.2.3.0", "1.2.3.1", "1.2.3.2"}


@pytest.mark.slow
def test_objects_are_made_of_published_history_though_the_model_only_looked_before(
    opened: Callable[..., ReportBench],
) -> None:
    bench = opened(do="differ and draw")
    before = {each.sop_instance_uid for each in bench.derived() if each.sop_class_uid.endswith("66.4")}
    assert len(before) == 3
    looked(bench, chosen(bench))
    bench.run_all()
    assert {each.sop_instance_uid for each in bench.derived() if each.sop_class_uid.endswith("66.4")} == before
    activate(bench)
    publish(bench, chosen(bench))
    bench.run_all()
    assert len({each.sop_instance_uid for each in bench.derived() if each.sop_class_uid.endswith("66.4")}) == 6


def test_what_no_active_model_says_and_what_nobody_looked_at_is_not_published(bench: ReportBench) -> None:
    with pytest.raises(BadInput, match="second is candidate: what no active model says is not published"):
        publish(bench, chosen(bench))
    activate(bench)
    with pytest.raises(BadInput, match="3 of 3 objects were not read by second yet"):
        publish(bench, chosen(bench))
    assert runs(bench) == []
    assert standing(bench) == BEFORE


def test_the_new_loop_of_a_patient_goes_before_all_of_history(bench: ReportBench) -> None:
    looked(bench, chosen(bench))
    assert bench.receive(loop_dataset(study_uid="1.2.3.9", frames=5, size=64)).accepted
    bench.runs.step()
    begun = [item for item in bench.items(WorkKind.RUN) if item.state is not WorkState.SCHEDULED]
    assert [item.study_uid for item in begun][-1] == "1.2.3.9"
    assert all(item.state is WorkState.SCHEDULED for item in runs(bench)), "history did not wait"
    wait_until(lambda: bench.runs.in_hand == 0, "the loop to be read")
    bench.run_all()
    assert all(item.state is WorkState.COMPLETED for item in runs(bench))


def test_history_that_was_asked_for_by_mistake_can_be_taken_back(
    bench: ReportBench, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    looked(bench, chosen(bench))
    assert command("--query", "StudyDate=20260102-", "--cancel") == 0
    assert "2 runs that had not begun are canceled" in capsys.readouterr().out
    assert command("--query", "StudyDate=20260102-", "--cancel", "--publish") == 2
    bench.run_all()
    assert [item.state for item in runs(bench)] == [WorkState.COMPLETED, WorkState.CANCELED, WorkState.CANCELED]
    bench.complete()
    assert all(len(bench.archive.reports.all(f"1.2.3.{number}")) == 1 for number in range(3)), "a report was revised"


def test_query_study_and_route_say_which_objects(bench: ReportBench) -> None:
    assert [facts.study_uid for facts, _ in chosen(bench, "StudyDate=20260102-").objects] == ["1.2.3.1", "1.2.3.2"]
    assert [facts.study_uid for facts, _ in chosen(bench, None, study="A1").objects] == ["1.2.3.1"]
    assert len(chosen(bench, "Modality=US", route="ef").objects) == 3
    for options, error, words in (
        ({"query": "StudyDate"}, BadInput, "KEYWORD=VALUE with & between"),
        ({"query": "Nonsense=1"}, BadQuery, "Nonsense is not indexed"),
        ({"query": None}, BadInput, "either --query or --study"),
        ({"query": "", "study": "A1"}, BadInput, "either --query or --study"),
        ({"query": None, "study": "A9"}, NotFound, "A9"),
        ({"route": "slow"}, NotFound, "no route 'slow' has the task 'sample'; there are: ef"),
    ):
        with pytest.raises(error, match=words):
            chosen(bench, **options)  # type: ignore[arg-type]


def test_objects_that_no_route_of_the_task_takes_are_left_out(opened: Callable[..., ReportBench]) -> None:
    found = chosen(opened(frames_min=8))
    assert (len(found.objects), found.left_out) == (2, {"no route of that task takes it": 1})


def test_a_whole_archive_is_not_run_by_accident(bench: ReportBench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = chosen(bench)
    monkeypatch.setattr(history, "MOST", 2)
    with pytest.raises(BadInput, match="3 objects fit, more than 2; narrow the query, or add --yes"):
        history.bounded(found, yes=False)
    history.bounded(found, yes=True)


@pytest.fixture
def command(bench: ReportBench, tmp_path: Path) -> Callable[..., int]:
    config = tmp_path / "config"
    config.mkdir()
    (config / "node.toml").write_text(
        f'[storage]\nroot = "{tmp_path / "data"}"\nrefuse_below_bytes = 0\n[models]\npaths = ["{tmp_path / "models"}"]\n'
    )
    (config / "routes.toml").write_text(
        '[[route]]\nname = "ef"\ntask = "sample"\nmodel = "probe"\ndeliver_to = ["pacs"]\n[route.when]\nmodality = ["US"]\n'
        '[route.parameters]\ndo = "differ"\n[[destination]]\nname = "pacs"\npeer = "pacs"\n'
    )
    (config / "peers.toml").write_text('[[peer]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 104\n')
    return lambda *arguments: execute(["reprocess", "--model", NEXT, "--by", "Dr Ada", "-c", str(config), *arguments])


def test_the_command_waits_shows_the_difference_and_says_how_to_publish(
    bench: ReportBench, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    worker = threading.Thread(target=_work_until_ended, args=(bench,))
    worker.start()
    assert command("--query", "StudyDate=2026*") == 0
    worker.join()
    told = capsys.readouterr()
    assert "3 objects of 3 studies fit, for second 1" in told.out
    assert "second saw 3 objects, what stands 3, both 3" in told.out
    assert "+4.00" in told.out
    assert "1.2.3.2" in told.out
    assert "the same command with --publish lets the readings of second count" in told.out
    assert "no node is running on this machine now" in told.err
    assert command("--query", "StudyDate=2026*", "--publish", "--no-wait") == 2
    assert "second is candidate" in capsys.readouterr().err
    activate(bench)
    assert command("--query", "StudyDate=2026*", "--publish", "--no-wait", "--json", "--why", "better") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["objects"], len(document["asked"]), document["difference"]) == (3, 3, None)
    bench.run_all()
    assert standing(bench) == AFTER


def test_the_command_says_what_fits_not(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--query", "StudyDate=1999*", "--no-wait") == 2
    assert "no stored object fits" in capsys.readouterr().err
    assert command("--study", "A1", "--no-wait") == 0
    assert "1 objects are not read yet" in capsys.readouterr().out


def _work_until_ended(bench: ReportBench) -> None:
    """The worker of a node, as long as history has not ended."""
    try:
        wait_until(lambda: len(runs(bench)) == 3, "history to be asked for")
        bench.run_all()
    finally:  # whatever went wrong, the command has not to wait for it
        for item in runs(bench):
            if item.state in (WorkState.SCHEDULED, WorkState.IN_PROGRESS):
                bench.archive.work.cancel(item.id, reason="the test is over")
