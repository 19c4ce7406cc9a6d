"""Which package answers for patients is decided by these rows: a wrong one runs a model that nobody let run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from echonode.archive.archive import Archive
from echonode.core.errors import BadInput, IllegalTransition
from echonode.core.model_states import ModelEvent, ModelState
from echonode.core.package import Package

SAID: dict[str, Any] = {"by": "Dr Ada", "why": "better on our own hearts"}


def package(name: str, *, digest: str = "") -> Package:
    return Package(
        name=name, version="1", task="sample", title=name, folder=Path("/models") / name, digest=digest or f"d-{name}"
    )


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    ticks = count(1000)
    opened = Archive.open(f"sqlite:///{tmp_path / 'a.sqlite3'}", migrate=True, clock=lambda: float(next(ticks)))
    yield opened
    opened.close()


def registered(archive: Archive, *names: str) -> None:
    for name in names:
        archive.models.register(package(name), checks={"load": {"ok": True}}, shipped=False, **SAID)


def test_without_a_word_a_line_runs_the_package_of_its_name(archive: Archive) -> None:
    assert archive.models.active("old") == "old"
    assert archive.models.state("old") is ModelState.SHIPPED
    assert archive.models.shadow("old") is None
    assert archive.models.lines() == {}


def test_a_candidate_runs_nowhere_not_even_under_its_own_name(archive: Archive) -> None:
    registered(archive, "new")
    assert archive.models.state("new") is ModelState.CANDIDATE
    assert archive.models.active("new") is None


def test_from_candidate_to_shadow_to_active_and_back(archive: Archive) -> None:
    models = archive.models
    registered(archive, "new")
    models.promote_shadow(package("new"), line="old", **SAID)
    assert (models.active("old"), models.shadow("old")) == ("old", "new")
    row = models.promote_active(package("new"), line="old", base=package("old"), **SAID)
    assert row.displaced == "old"
    assert (models.active("old"), models.shadow("old"), models.state("old")) == ("new", None, ModelState.RETIRED)
    assert models.lines() == {"old": "new"}
    assert models.before("old") == "old"
    models.rollback(package("old"), line="old", by="Dr Bob", why="it refuses too much")
    assert (models.active("old"), models.state("new")) == ("old", ModelState.RETIRED)
    assert [(row.event, row.state) for row in models.events(model="new")] == [
        (ModelEvent.REGISTER, ModelState.CANDIDATE),
        (ModelEvent.SHADOW, ModelState.SHADOW),
        (ModelEvent.ACTIVATE, ModelState.ACTIVE),
        (ModelEvent.DISPLACE, ModelState.RETIRED),
    ]


def test_rolling_back_twice_undoes_two_changes(archive: Archive) -> None:
    models = archive.models
    registered(archive, "second", "third")
    models.promote_active(package("second"), line="first", base=package("first"), **SAID)
    models.promote_active(package("third"), line="first", base=package("first"), **SAID)
    models.rollback(package("second"), line="first", **SAID)
    models.rollback(package("first"), line="first", **SAID)
    assert models.active("first") == "first"
    with pytest.raises(IllegalTransition, match="nothing to go back to"):
        models.before("first")


def test_the_audit_says_who_and_why_or_there_is_no_change(archive: Archive) -> None:
    registered(archive, "new")
    archive.models.promote_active(package("new"), line="old", base=package("old"), by="Dr Ada", why="trial of May")
    newest = archive.audit.latest(1)[0]
    assert (newest.event, newest.who) == ("model made active", "Dr Ada")
    assert newest.details["why"] == "trial of May"
    assert (newest.details["line"], newest.details["displaced"]) == ("old", "old")
    for by, why in (("", "because"), ("Dr Ada", " ")):
        with pytest.raises(BadInput, match="who gives it"):
            archive.models.retire(package("new"), by=by, why=why)
    assert archive.models.active("old") == "new"


def test_a_package_that_changed_since_it_was_registered_is_not_promoted(archive: Archive) -> None:
    registered(archive, "new")
    for order in (archive.models.promote_shadow, lambda *a, **k: archive.models.promote_active(*a, base=None, **k)):
        with pytest.raises(IllegalTransition, match="register it again"):
            order(package("new", digest="other"), line="old", **SAID)
    assert archive.models.active("old") == "old"


def test_what_was_not_registered_is_not_promoted(archive: Archive) -> None:
    with pytest.raises(IllegalTransition, match="register it first"):
        archive.models.promote_active(package("stray"), line="old", base=None, **SAID)


def test_a_refused_order_leaves_no_row(archive: Archive) -> None:
    registered(archive, "new")
    before = archive.models.events()
    with pytest.raises(IllegalTransition):
        archive.models.rollback(package("new"), line="old", **SAID)
    archive.models.promote_shadow(package("new"), line="old", **SAID)
    with pytest.raises(IllegalTransition, match="shadow: it cannot be removed"):
        archive.models.remove(package("new"), **SAID)
    assert len(archive.models.events()) == len(before) + 1


def test_a_second_shadow_takes_the_place_of_the_first(archive: Archive) -> None:
    registered(archive, "one", "two")
    archive.models.promote_shadow(package("one"), line="old", **SAID)
    archive.models.promote_shadow(package("two"), line="old", **SAID)
    assert archive.models.shadow("old") == "two"
    assert archive.models.state("one") is ModelState.CANDIDATE


def test_retiring_the_active_one_leaves_the_line_without_and_rollback_brings_the_one_before(archive: Archive) -> None:
    registered(archive, "new")
    archive.models.promote_active(package("new"), line="old", base=package("old"), **SAID)
    archive.models.retire(package("new"), **SAID)
    assert archive.models.active("old") is None
    archive.models.rollback(package("old"), line="old", **SAID)
    assert archive.models.active("old") == "old"


def test_registering_what_runs_already_does_not_stop_it(archive: Archive) -> None:
    archive.models.register(package("old"), checks={}, shipped=True, adopt=True, **SAID)
    assert archive.models.active("old") == "old"
    archive.models.register(package("old", digest="newer"), checks={}, shipped=True, adopt=True, **SAID)
    assert archive.models.state("old") is ModelState.ACTIVE


def test_a_package_is_active_in_one_line_at_a_time(archive: Archive) -> None:
    registered(archive, "new")
    archive.models.promote_active(package("new"), line="old", base=package("old"), **SAID)
    with pytest.raises(IllegalTransition, match="is active"):
        archive.models.promote_active(package("new"), line="other", base=None, **SAID)
    assert archive.models.active("other") == "other"


def test_history_outlives_the_folder(archive: Archive) -> None:
    registered(archive, "new")
    archive.models.remove(package("new"), **SAID)
    assert [row.state for row in archive.models.events(model="new")] == [ModelState.CANDIDATE, ModelState.REMOVED]
    registered(archive, "new")
    assert archive.models.state("new") is ModelState.CANDIDATE
