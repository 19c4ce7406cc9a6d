"""A wrong view is corrected by a person, and what was measured under it counts no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from echonode.core.errors import BadInput, NotFound
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.objects import objects, set_view
from tests.support.bench import Bench
from tests.support.loops import loop_dataset

ROUTES: dict[str, Any] = {
    "route": [
        {"name": "apical", "task": "sample", "model": "probe", "when": {"view": ["A4C"]}},
        {"name": "short", "task": "sample", "model": "probe", "when": {"view": ["PSAX"]}},
    ]
}


def said(bench: Bench, uid: str, view: str, **options: Any) -> dict[str, Any]:
    return set_view(
        bench.archive, uid, view, routes=bench.routes, settings=bench.settings, installed=bench.catalogue.names(),
        by="Ada (cli:ada)", **options,
    )  # fmt: skip


def runs(bench: Bench) -> dict[str, WorkItem]:
    return {item.route: item for item in bench.archive.work.list(kind=WorkKind.RUN)}


@pytest.fixture
def bench(opened: Callable[..., Bench]) -> Bench:
    return opened(routes=ROUTES)


def test_a_corrected_view_plans_what_depends_on_it_and_ends_the_rest(bench: Bench) -> None:
    loop = loop_dataset()
    loop.ViewName = "A4C"
    bench.receive(loop)
    assert set(runs(bench)) == {"apical"}
    found = said(bench, loop.SOPInstanceUID, "psax-pm", reason="papillary muscles")
    assert (found["view"], found["before"], found["changed"]) == ("PSAX-PM", "A4C", True)
    assert (len(found["planned"]), len(found["canceled"])) == (1, 1)
    planned = runs(bench)
    assert planned["apical"].state is WorkState.CANCELED
    assert planned["short"].state is WorkState.SCHEDULED
    facts = bench.archive.index.facts(loop.SOPInstanceUID)
    assert facts is not None
    assert (facts.view, facts.view_source, facts.view_told) == ("PSAX-PM", "person", "A4C")
    assert facts.view_reason == "set by Ada (cli:ada): papillary muscles"
    (row,) = [row for row in bench.archive.audit.story(loop.StudyInstanceUID) if row.event == "view known"]
    assert (row.who, row.details["view"], row.details["before"]) == ("Ada (cli:ada)", "PSAX-PM", "A4C")


def test_saying_it_twice_plans_nothing_twice(bench: Bench) -> None:
    loop = loop_dataset()
    bench.receive(loop)
    assert len(said(bench, loop.SOPInstanceUID, "A4C")["planned"]) == 1
    again = said(bench, loop.SOPInstanceUID, "A4C")
    assert (again["changed"], again["planned"]) == (False, [])
    assert len(runs(bench)) == 1


@pytest.mark.parametrize("view", ["A6C", "", "SUBCOSTAL"])
def test_no_view_of_the_table_is_no_view(bench: Bench, view: str) -> None:
    loop = loop_dataset()
    bench.receive(loop)
    with pytest.raises(BadInput, match="is no view: PLAX"):
        said(bench, loop.SOPInstanceUID, view)
    with pytest.raises(NotFound):
        said(bench, "1.2.3.4.5", "A4C")


def test_objects_are_found_by_view_and_mode(bench: Bench) -> None:
    first, second = loop_dataset(), loop_dataset(colour_region=True)
    first.ViewName = "PSAX MV"
    bench.receive(first)
    bench.receive(second)

    def found(**words: Any) -> list[str]:
        return [row["sop_instance_uid"] for row in objects(bench.archive, **words)]

    one, two = first.SOPInstanceUID, second.SOPInstanceUID
    assert found() == [one, two]
    assert found(view="PSAX") == found(view="psax-mv") == [one]
    assert found(view="unknown") == [two]
    assert found(view="A4C") == []
    assert found(mode="2d-colour") == [two]
    assert found(study=second.StudyInstanceUID) == [two]
    assert found(confidence_min=0.5) == [], "nobody judged them"
    assert found(limit=1) == [one]
    (row,) = objects(bench.archive, view="PSAX")
    assert (row["view"], row["view_source"], row["view_reason"]) == ("PSAX-MV", "header", "View Name 'PSAX MV'")
    said(bench, two, "A4C")
    assert found(view="A4C") == [two]
    for words in ({"view": "A6C"}, {"mode": "4d"}, {"confidence_min": 2.0}):
        with pytest.raises(BadInput):
            found(**words)
    with pytest.raises(NotFound):
        found(study="1.9")
