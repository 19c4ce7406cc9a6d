"""What people type for a peer is understood, or refused with what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from echonode.cli.main import execute
from echonode.cli.options import ae_title, model_paths, peer_of
from echonode.core.errors import BadInput
from echonode.registry.catalogue import Catalogue
from tests.support.runners import write_package


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "node.toml").write_text("")
    (tmp_path / "peers.toml").write_text(
        '[[peer]]\nname = "pacs"\nae_title = "PACS"\nhost = "192.0.2.5"\nport = 104\n'
        '[[peer]]\nname = "scanner"\nae_title = "VIVID"\n'
    )
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PACS@192.0.2.5:104", ("PACS", "192.0.2.5", 104)),
        ("My PACS@pacs.example:11112", ("My PACS", "pacs.example", 11112)),
        ("PACS@[::1]:4242", ("PACS", "::1", 4242)),
        ("pacs", ("PACS", "192.0.2.5", 104)),
    ],
)
def test_a_peer_is_an_address_or_a_name(config: Path, text: str, expected: tuple[str, str, int]) -> None:
    peer = peer_of(text, config)
    assert (peer.ae_title, peer.host, peer.port) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PACS@host",
        "PACS:104",
        "@host:104",
        "PACS@:104",
        "PACS@host:0",
        "PACS@host:port",
        "A\\B@h:1",
        "scanner",
        "x",
    ],
)
def test_anything_else_is_refused_in_one_line(config: Path, text: str) -> None:
    with pytest.raises(BadInput) as refused:
        peer_of(text, config)
    assert "\n" not in str(refused.value)


def test_an_ae_title_has_at_most_16_characters() -> None:
    assert ae_title("A" * 16) == "A" * 16
    with pytest.raises(BadInput, match="no AE title"):
        ae_title("A" * 17)


@pytest.mark.usefixtures("checkout")
def test_what_was_trained_here_is_found_by_its_name_beside_what_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`train --name mine` writes models/mine; the next command of the guide asks for `--model mine`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECHONODE_CONFIG", raising=False)
    write_package(tmp_path / "models", name="mine", task="view", contract="frames_min = 2")
    assert {"mine", "optical-flow"} <= set(Catalogue(model_paths(None)).names())
    (tmp_path / "map.png").write_bytes(b"")
    assert execute(["run", "synthesis", "map.png", "--model", "mine"]) == 2
    assert "model 'mine' is for view, not for synthesis" in capsys.readouterr().err
    assert execute(["evaluate", "segmentation", "--model", "phantom-view", "--data", "phantom:1@1"]) == 2
    assert "there is no model" not in capsys.readouterr().err
