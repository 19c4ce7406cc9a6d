"""A typing mistake in ae_config must stop the start with one line that says where it is and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from echonode.core.configuration import load_configuration
from echonode.core.errors import ConfigurationError

PACS = '[[peer]]\nname = "pacs"\nae_title = "PACS"\n'
ROUTE = '[[route]]\nname = "slow"\ntask = "slow_motion"\nmodel = "optical-flow"\n'


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("node.toml", "[node]\nport = 99999\n", ["node.toml", "node.port", "65535", "99999"]),
        ("node.toml", '[node]\nport = "many"\n', ["node.toml", "node.port", "integer"]),
        ("node.toml", "[node]\naetitle = 'X'\n", ["node.toml", "node.aetitle", "no such key"]),
        ("node.toml", "[node]\nae_title = 'THIS IS FAR TOO LONG'\n", ["node.ae_title"]),
        ("node.toml", "[node\n", ["node.toml", "TOML"]),
        ("node.toml", "[dimse]\nprivate_classes = ['../../etc']\n", ["dimse.private_classes.0"]),
        ("peers.toml", PACS + "host = '10.0.0.1'\n", ["peers.toml", "peer.0", "host and port"]),
        ("peers.toml", PACS + "rights = ['delete']\n", ["peers.toml", "peer.0.rights.0", "'store'"]),
        ("peers.toml", PACS + PACS, ["peers.toml", "'pacs' is used twice"]),
        ("routes.toml", ROUTE + "deliver_to = ['nowhere']\n", ["routes.toml", "'nowhere'"]),
        ("routes.toml", ROUTE + "when = { modes = ['2d'] }\n", ["routes.toml", "route.0.when.modes", "no such key"]),
        (
            "routes.toml",
            "[[destination]]\nname = 'd'\npeer = 'ghost'\n",
            ["routes.toml", "destination.d.peer", "'ghost'"],
        ),
        ("routes.toml", ROUTE + ROUTE, ["routes.toml", "'slow' is named twice"]),
    ],
)
def test_a_mistake_is_told_in_one_line_with_file_and_key(tmp_path: Path, file: str, text: str, said: list[str]) -> None:
    (tmp_path / "node.toml").write_text("")
    (tmp_path / file).write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for part in said:
        assert part in message


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--config"):
        load_configuration(tmp_path / "nothing")


def test_an_empty_node_file_gives_a_node_that_listens_on_loopback_and_delivers_nothing(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text("")
    configuration = load_configuration(tmp_path)
    assert configuration.node.node.host == "127.0.0.1"
    assert configuration.routes.destination == ()
    assert configuration.root.is_absolute()
