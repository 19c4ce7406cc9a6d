"""Routing: a loop that should be processed is, one that should not is not, and the lab can see why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from echonode.core.clip import Mode
from echonode.core.facts import Facts
from echonode.core.routes import Conditions, Destination, Route, RoutesFile
from echonode.core.settings import NodeSettings
from echonode.core.work import WorkKind
from echonode.flow.route import CONDITIONS, explain, plan

LOOP = Facts(
    sop_instance_uid="1.2.3.4",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.3.1",
    series_uid="1.2.3",
    study_uid="1.2",
    transfer_syntax_uid="1.2.840.10008.1.2.4.50",
    modality="US",
    manufacturer="GE Vingmed Ultrasound",
    calling_ae="VIVID_E95",
    mode=Mode.B_MODE,
    mode_reason="one 2D tissue region",
    view="A4C",
    stage="BASELINE",
    frames=48,
    has_pixels=True,
    frame_rate=50.0,
    calibrated=True,
)


def routes(**when: object) -> RoutesFile:
    return RoutesFile(
        destination=(Destination(name="pacs", peer="pacs"),),
        route=(
            Route(
                name="slow",
                task="slow_motion",
                model="optical-flow",
                when=Conditions.model_validate(when),
                parameters={"factor": 4},
                deliver_to=("pacs",),
                priority=5,
            ),
        ),
    )


@pytest.mark.parametrize(
    ("when", "change", "matches"),
    [
        ({}, {}, True),
        ({"sop_class": ["1.2.840.10008.5.1.4.1.1.3.1"]}, {}, True),
        ({"sop_class": ["1.2.840.10008.5.1.4.1.1.6.1"]}, {}, False),
        ({"modality": ["us"]}, {}, True),
        ({"modality": ["MR", "CT"]}, {}, False),
        ({"mode": ["2d", "m-mode"]}, {}, True),
        ({"mode": ["2d"]}, {"mode": Mode.COLOUR}, False),
        ({"view": ["a4c", "A2C"]}, {}, True),
        ({"view": ["unknown"]}, {"view": None}, True),
        ({"view": ["A4C"]}, {"view": None}, False),
        ({"stage": ["baseline"]}, {}, True),
        ({"stage": ["none"]}, {"stage": None}, True),
        ({"stage": ["none"]}, {}, False),
        ({"vendor": ["ge vingmed"]}, {}, True),
        ({"vendor": ["philips"]}, {}, False),
        ({"calling_ae": ["VIVID_E95"]}, {}, True),
        ({"calling_ae": ["OTHER"]}, {}, False),
        ({"frames_min": 48}, {}, True),
        ({"frames_min": 49}, {}, False),
        ({"frames_max": 48}, {}, True),
        ({"frames_max": 47}, {}, False),
        ({"frame_rate_min": 50.0}, {}, True),
        ({"frame_rate_min": 50.1}, {}, False),
        ({"frame_rate_max": 50.0}, {}, True),
        ({"frame_rate_max": 49.9}, {}, False),
        ({"frame_rate_min": 1.0}, {"frame_rate": None}, False),
        ({"calibrated": True}, {}, True),
        ({"calibrated": False}, {}, False),
        ({"mode": ["2d"], "frames_min": 100}, {}, False),
        ({"modality": []}, {}, False),
        ({"view": ["PSAX"]}, {"view": "PSAX-MV"}, True),
        ({"view": ["PSAX-MV"]}, {"view": "PSAX"}, False),
        ({"view": ["any"]}, {}, True),
        ({"view": ["any"]}, {"view": None}, False),
        ({"heart_rate_min": 60.0}, {"heart_rate": 60.0}, True),
        ({"heart_rate_min": 60.0}, {"heart_rate": 59.0}, False),
        ({"heart_rate_max": 100.0}, {"heart_rate": 101.0}, False),
        ({"heart_rate_max": 100.0}, {"heart_rate": None}, False),
        ({"view_confidence_min": 0.8}, {"view_confidence": 0.8}, True),
        ({"view_confidence_min": 0.8}, {"view_confidence": 0.7}, False),
        ({"view_confidence_min": 0.8}, {"view_confidence": None}, False),
        ({"quality_min": 0.5}, {"quality": 0.6}, True),
        ({"quality_min": 0.5}, {"quality": None}, False),
        ({"age_min": 18.0}, {"age_years": 18.0}, True),
        ({"age_min": 18.0}, {"age_years": 7.0}, False),
        ({"age_max": 18.0}, {"age_years": 7.0}, True),
        ({"age_max": 18.0}, {"age_years": None}, False),
        ({}, {"derived": True}, False),
        ({}, {"has_pixels": False}, False),
    ],
)
def test_a_route_matches_when_every_condition_holds(when: dict, change: dict, matches: bool) -> None:
    """A wrong match sends a colour loop into a grey model, a missed one leaves the lab without its result."""
    facts = replace(LOOP, **change)
    assert bool(plan(facts, routes(**when), NodeSettings())) is matches
    assert explain(facts, routes(**when))[0].matches is matches


def test_every_condition_of_the_file_is_judged() -> None:
    """A condition that routes.toml accepts and the router forgets would route everything."""
    assert set(CONDITIONS) == set(Conditions.model_fields)


def test_our_own_result_is_never_routed_even_by_a_route_without_conditions() -> None:
    """A PACS that sends results back would otherwise make slow motion of slow motion, for ever."""
    assert plan(replace(LOOP, derived=True), routes(), NodeSettings()) == []


def test_a_route_that_starts_from_a_label_map_waits_for_it() -> None:
    """Planned at arrival it would find no label map and refuse."""
    file = routes()
    waiting = file.model_copy(update={"route": (file.route[0].model_copy(update={"after": "segmentation"}),)})
    assert plan(LOOP, waiting, NodeSettings()) == []
    (explanation,) = explain(LOOP, waiting)
    assert explanation.matches
    assert explanation.after == "segmentation"
    assert "when the segmentation of the object is done" in explanation.reason


def test_a_disabled_route_plans_nothing_and_says_so() -> None:
    """An operator who switches a route off must see that this is why nothing happens."""
    file = routes()
    off = file.model_copy(update={"route": (file.route[0].model_copy(update={"enabled": False}),)})
    assert plan(LOOP, off, NodeSettings()) == []
    assert "disabled" in explain(LOOP, off)[0].reason


def test_planning_twice_is_the_same_item_and_other_parameters_are_another() -> None:
    """A loop that is sent again must not be computed again; a new factor must."""
    first, second = plan(LOOP, routes(), NodeSettings()), plan(LOOP, routes(), NodeSettings())
    assert [request.unique_key for request in first] == [request.unique_key for request in second]
    file = routes()
    other = file.model_copy(update={"route": (file.route[0].model_copy(update={"parameters": {"factor": 8}}),)})
    assert plan(LOOP, other, NodeSettings())[0].unique_key != first[0].unique_key


def test_the_request_carries_what_the_worker_needs() -> None:
    """The worker reads the item alone: a missing field is a run that never ends in the PACS."""
    (request,) = plan(LOOP, routes(), NodeSettings(), correlation_id="abc", held="two patients")
    assert (request.kind, request.queue, request.route) == (WorkKind.RUN, "optical-flow", "slow")
    assert request.payload == {
        "task": "slow_motion",
        "model": "optical-flow",
        "parameters": {"factor": 4},
        "deliver_to": ["pacs"],
    }
    assert (request.priority, request.max_attempts, request.correlation_id) == (5, 3, "abc")
    assert request.held == "two patients"


def test_the_explanation_names_each_condition_with_what_was_found() -> None:
    """`routes explain` is how a lab finds the one condition that keeps a loop out."""
    (explanation,) = explain(replace(LOOP, mode=Mode.COLOUR), routes(mode=["2d"], frames_min=8))
    found = {condition.name: condition for condition in explanation.conditions}
    assert found["mode"].expected == "2d"
    assert found["mode"].actual == "2d-colour (one 2D tissue region)"
    assert not found["mode"].holds
    assert found["frames_min"].holds
    assert explanation.reason == "mode is 2d-colour (one 2D tissue region), not 2d"


def test_any_stage_is_every_stage_that_has_a_name() -> None:
    """Scanners call stages as they like: a route of stress loops must not need the list."""
    assert plan(LOOP, routes(stage=["any"]), NodeSettings())
    assert plan(replace(LOOP, stage="Imp Post 3"), routes(stage=["any"]), NodeSettings())
    assert not plan(replace(LOOP, stage=None), routes(stage=["any"]), NodeSettings())
    assert plan(replace(LOOP, stage=None), routes(stage=["any", "none"]), NodeSettings())


def test_a_run_waits_for_the_model_that_is_there() -> None:
    """A queue of a model that is not installed is one that nobody serves."""
    found = routes()
    found = found.model_copy(update={"route": (found.route[0].model_copy(update={"fallback": ("other",)}),)})
    for installed, queue in ((("optical-flow", "other"), "optical-flow"), (("other",), "other"), ((), "optical-flow")):
        (request,) = plan(LOOP, found, NodeSettings(), installed=installed)
        assert request.queue == queue
        assert (request.payload["model"], request.payload["fallback"]) == ("optical-flow", ["other"])


@pytest.mark.parametrize(
    ("asked", "object_has", "said"),
    [
        ({"frames_min": 8}, {"frames": 1}, "frames is 1, below 8"),
        ({"frames_max": 8}, {"frames": 9}, "frames is 9, above 8"),
        ({"age_min": 18.0}, {"age_years": None}, "age is not told by the header; at least 18 is asked for"),
        ({"stage": ["any"]}, {"stage": None}, "it has no stage; asked for is one"),
        ({"stage": ["none"]}, {"stage": "Baseline"}, "it has a stage: Baseline"),
        ({"calibrated": True}, {"calibrated": False}, "it has no calibration"),
    ],
)
def test_what_keeps_an_object_from_a_route_is_said_in_words(
    asked: dict[str, Any], object_has: dict[str, Any], said: str
) -> None:
    """ "stage is none, not any" is a riddle to whoever looks for the reason at two in the morning."""
    (explanation,) = explain(replace(LOOP, **object_has), routes(**asked))
    assert explanation.reason == said
