"""`echonode token`: made, shown once, listed without its secret, and taken away."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from echonode.cli.main import execute
from echonode.core.configuration import load_configuration


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "node.toml").write_text("")
    (tmp_path / "node.toml").chmod(0o600)
    return tmp_path


def test_a_token_is_shown_once_and_kept_as_a_digest(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["token", "create", "viewer", "--right", "query", "--right", "retrieve", "-c", str(config)]) == 0
    secret = capsys.readouterr().out.strip()
    assert secret not in (config / "tokens.toml").read_text()
    assert stat.S_IMODE((config / "tokens.toml").stat().st_mode) == 0o600
    holder = load_configuration(config).tokens.holder(secret)
    assert holder is not None
    assert [str(right) for right in holder.rights] == ["query", "retrieve"]
    assert execute(["token", "list", "--json", "-c", str(config)]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown) == [{"name": "viewer", "rights": ["query", "retrieve"]}]
    assert list(config.glob(".tokens*")) == []


def test_tokens_are_added_and_taken_away_one_by_one(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        assert execute(["token", "create", name, "--right", "store", "-c", str(config)]) == 0
    assert execute(["token", "remove", "one", "-c", str(config)]) == 0
    assert [token.name for token in load_configuration(config).tokens.token] == ["two"]
    assert execute(["token", "remove", "one", "-c", str(config)]) == 2
    assert "there is no token 'one'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x"], "a token needs a right; --right takes query, retrieve, store, admin"),
        (["x", "--right", "root"], "'root' is no right"),
        (["a b", "--right", "query"], "'a b' is no name for a token"),
        (["../x", "--right", "query"], "is no name for a token"),
    ],
)
def test_a_mistake_is_told_in_one_line_and_changes_nothing(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert execute(["token", "create", *arguments, "-c", str(config)]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert not (config / "tokens.toml").exists()
