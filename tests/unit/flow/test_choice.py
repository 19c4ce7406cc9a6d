"""The better model where it can, the other one where it cannot, and in plain sight which of them it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from echonode.core.clip import Mode
from echonode.core.errors import NotFound, RunFailed
from echonode.core.facts import Facts
from echonode.core.results import Ineligible
from echonode.core.routes import Route
from echonode.core.settings import NodeSettings
from echonode.flow.choice import Choice, choose
from echonode.registry.catalogue import Catalogue
from tests.support.runners import write_package

FACTS = Facts(
    sop_instance_uid="1.2.3.4", sop_class_uid="1.2", series_uid="1.2.3", study_uid="1.2", transfer_syntax_uid="1.2",
    mode=Mode.B_MODE, frames=10, has_pixels=True,
)  # fmt: skip


def chosen(folder: Path, *models: str) -> Choice | Ineligible:
    return choose(models, task="sample", facts=FACTS, catalogue=Catalogue([folder]), settings=NodeSettings())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_package(tmp_path, name="long", contract="frames_min = 30")
    write_package(tmp_path, name="any")
    write_package(tmp_path, name="other", task="another")
    simulated = write_package(tmp_path, name="simulated") / "manifest.toml"
    simulated.write_text("simulated = true\n" + simulated.read_text())
    (write_package(tmp_path, name="broken") / "manifest.toml").write_text("name = ")
    return tmp_path


@pytest.mark.parametrize("first", ["missing", "long", "broken", "simulated", "other"])
def test_the_next_one_runs_where_the_first_cannot(folder: Path, first: str) -> None:
    found = chosen(folder, first, "any")
    assert isinstance(found, Choice)
    assert (found.package.name, found.instead_of) == ("any", first)
    assert found.because


def test_the_first_one_runs_where_it_can(folder: Path) -> None:
    found = chosen(folder, "any", "long")
    assert isinstance(found, Choice)
    assert (found.package.name, found.instead_of, found.because) == ("any", "", "")


def test_without_another_the_reason_is_that_of_the_first(folder: Path) -> None:
    refused = chosen(folder, "long", "simulated")
    assert isinstance(refused, Ineligible)
    assert "30 frames" in refused.reason
    with pytest.raises(NotFound, match="missing"):
        chosen(folder, "missing")
    with pytest.raises(RunFailed, match="is for another"):
        chosen(folder, "other", "missing")
    refused = chosen(folder, "missing", "long")
    assert isinstance(refused, Ineligible), "a refusal of one that is there, not the absence of the other"


@pytest.mark.parametrize("mark", ["simulated", "self_check"])
def test_what_says_that_it_shows_no_patient_may_be_measured_by_a_simulated_model(folder: Path, mark: str) -> None:
    found = choose(
        ["simulated"], task="sample", facts=replace(FACTS, **{mark: True}), catalogue=Catalogue([folder]),
        settings=NodeSettings(),
    )  # fmt: skip
    assert isinstance(found, Choice)
    assert isinstance(chosen(folder, "simulated"), Ineligible), "a patient's object must not be"


def test_one_name_or_several_may_stand_in_routes_toml() -> None:
    assert Route(name="a", task="t", model="m", fallback="n").models == ("m", "n")  # type: ignore[arg-type]
    assert Route(name="a", task="t", model="m", fallback=("n", "o")).models == ("m", "n", "o")
    assert Route(name="a", task="t", model="m").models == ("m",)
