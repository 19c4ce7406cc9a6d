"""What a runner is given beside its clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from echonode.core.clip import Clip
from echonode.core.ports import RunRequest
from echonode.core.results import Details, Result
from echonode.core.settings import LimitsSection
from echonode.execution.batch import run_batch
from tests.support.loops import write_loop


class Listener:
    """Remembers what it was given."""

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Any
    ) -> list[tuple[Result, ...]]:
        return [
            (Details(values={"view": clip.view and clip.view.meaning, "asked": dict(asked)}),)
            for clip, asked in zip(clips, parameters, strict=True)
        ]


@pytest.fixture
def given(tmp_path: Path) -> Any:
    dataset = write_loop(tmp_path / "loop.dcm")
    dataset.ViewName = "A4C"
    dataset.save_as(tmp_path / "loop.dcm", enforce_file_format=True)

    def ask(facts: Mapping[str, Any], **parameters: Any) -> Mapping[str, Any]:
        request = RunRequest(
            run_id="r", task="sample", package=tmp_path, source=tmp_path / "loop.dcm", spool=tmp_path,
            parameters=parameters, facts=facts,
        )  # fmt: skip
        ((details,),) = run_batch(Listener(), [request], limits=LimitsSection(), progress=lambda done, total: None)
        assert isinstance(details, Details)
        return details.values

    return ask


@pytest.mark.parametrize(
    ("facts", "view"),
    [
        ({}, "Apical four chamber"),
        ({"view": "A2C"}, "Apical two chamber"),
        ({"view": None}, None),
    ],
)
def test_the_view_that_was_decided_stands_above_the_header(given: Any, facts: dict[str, Any], view: str | None) -> None:
    """A corrected view must reach the model, not only the list of objects."""
    assert given(facts)["view"] == view


def test_the_patient_is_told_and_what_was_asked_for_stands_above(given: Any) -> None:
    """A route for mice must not be overruled by a header that leaves the species out."""
    facts = {"species": "human", "age_years": 40.0, "sex": "", "height_m": None, "weight_kg": 70.0}
    assert given(facts)["asked"] == {
        "species": "human",
        "patient": {"age_years": 40.0, "weight_kg": 70.0},
        "spool": given(facts)["asked"]["spool"],
    }
    assert given(facts, species="mouse")["asked"]["species"] == "mouse"
    assert set(given({})["asked"]) == {"spool"}
