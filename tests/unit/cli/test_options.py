"""What people type for a peer is understood, or refused with what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from echonode.cli.options import ae_title, peer_of
from echonode.core.errors import BadInput


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
