"""The shipped configuration and the generated pages say what the code does."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from echonode.cli.conformance import conformance_page
from echonode.cli.pages import keys_of, node_toml, settings_page
from echonode.core.configuration import load_configuration
from echonode.core.peers import Peer, PeersFile
from echonode.core.routes import Conditions, Destination, Route
from echonode.core.settings import NodeSettings
from echonode.core.views import PrivateLabel, ViewRule
from echonode.dimse import classes


def dotted(content: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in content.items():
        found |= dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}"}
    return found


def test_every_setting_stands_in_the_shipped_node_toml_and_nothing_else(checkout: Path) -> None:
    content = tomllib.loads((checkout / "ae_config" / "node.toml").read_text())
    assert dotted(content) == keys_of(NodeSettings)


def test_the_shipped_node_toml_changes_no_default(checkout: Path) -> None:
    assert load_configuration(checkout / "ae_config").node == NodeSettings()


def test_the_shipped_node_toml_is_the_generated_one(checkout: Path) -> None:
    assert (checkout / "ae_config" / "node.toml").read_text() == node_toml(), "run make docs"


def test_the_settings_page_is_the_generated_one(checkout: Path) -> None:
    assert (checkout / "docs" / "settings.md").read_text() == settings_page(), "run make docs"


def test_the_conformance_statement_is_the_generated_one(checkout: Path) -> None:
    assert (checkout / "docs" / "conformance.md").read_text() == conformance_page(), "run make docs"


def test_the_conformance_statement_lists_what_is_negotiated() -> None:
    page = conformance_page()
    for uid in (*classes.STORAGE_CLASSES, *classes.QUERY_RETRIEVE_CLASSES, *classes.storage_syntaxes(deflate=False)):
        assert f"| {uid} |" in page


def test_every_key_has_a_meaning() -> None:
    for section in (
        PeersFile,
        Peer,
        Route,
        Conditions,
        Destination,
        ViewRule,
        PrivateLabel,
        *(f.annotation for f in NodeSettings.model_fields.values()),
    ):
        for name, field in section.model_fields.items():  # type: ignore[union-attr]
            assert field.description, f"{section}.{name}"


@pytest.mark.parametrize("file", ["peers.toml", "routes.toml", "views.toml"])
def test_the_comments_name_every_key_of_peers_and_routes(checkout: Path, file: str) -> None:
    text = (checkout / "ae_config" / file).read_text()
    sections = {
        "peers.toml": (PeersFile, Peer),
        "routes.toml": (Route, Conditions, Destination),
        "views.toml": (ViewRule, PrivateLabel),
    }[file]
    for section in sections:
        for name in section.model_fields:
            assert name in text, f"{file} does not mention {name}"


def test_examples_in_the_comments_are_valid_when_uncommented(checkout: Path, tmp_path: Path) -> None:
    for file in ("node.toml", "peers.toml", "routes.toml", "views.toml"):
        lines = (checkout / "ae_config" / file).read_text().splitlines()
        code = [line[2:] if line.startswith("# ") and _is_code(line[2:]) else line for line in lines]
        (tmp_path / file).write_text("\n".join(code))
    configuration = load_configuration(tmp_path)
    assert {peer.name for peer in configuration.peers.peer} == {"vivid-e95-room-2", "pacs"}
    assert configuration.routes.destination[0].peer == "pacs"
    assert configuration.routes.route[-1].after == "segmentation"
    assert [rule.view for rule in configuration.views.view[:3]] == ["PLAX", "A4C", "PSAX-PM"]


def _is_code(text: str) -> bool:
    return text.startswith("[[") or (" = " in text and text.split(" = ")[0].isidentifier())


def test_the_shipped_routes_make_slow_motion_of_2d_loops_and_send_nothing(checkout: Path) -> None:
    routes = load_configuration(checkout / "ae_config").routes
    assert not any(route.deliver_to for route in routes.route)
    assert not routes.report.deliver_to
    stress, rest = (route for route in routes.route if route.task == "slow_motion")
    for route, stage in ((stress, ("any",)), (rest, ("none",))):
        assert (route.task, dict(route.parameters), route.deliver_to) == ("slow_motion", {"factor": 4, "beats": 2}, ())
        assert "optical-flow" in route.models
        assert route.when.stage == stage, "a loop is slowed down once"


def test_the_shipped_peers_let_nobody_in(checkout: Path) -> None:
    peers = load_configuration(checkout / "ae_config").peers
    assert not peers.allow_unknown
    assert peers.peer == ()
