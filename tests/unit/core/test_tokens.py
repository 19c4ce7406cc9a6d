"""A web edge that strangers can reach asks for a token, and a token opens no more than it was made for."""

from __future__ import annotations

from pathlib import Path

import pytest

from echonode.core.configuration import load_configuration, refuse_strangers
from echonode.core.errors import ConfigurationError
from echonode.core.tokens import TokensFile, is_loopback, new_secret, sha256_of

SECRET = "a-secret"
TOKEN = f'[[token]]\nname = "viewer"\nsha256 = "{sha256_of(SECRET)}"\nrights = ["query", "retrieve"]\n'


def written(folder: Path, node: str, tokens: str = "") -> Path:
    (folder / "node.toml").write_text(node)
    (folder / "tokens.toml").write_text(tokens)
    return folder


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "echo.example.org", "127.0.0.1.example.org"])
def test_a_node_that_others_can_reach_does_not_start_without_a_token(tmp_path: Path, host: str) -> None:
    configuration = load_configuration(written(tmp_path, f'[web]\nhost = "{host}"\n'))
    with pytest.raises(ConfigurationError) as caught:
        refuse_strangers(configuration)
    assert "\n" not in str(caught.value)
    for part in ("node.toml", "web.host", host, "echonode token create"):
        assert part in str(caught.value)
    refuse_strangers(load_configuration(written(tmp_path, f'[web]\nhost = "{host}"\n', TOKEN)))
    refuse_strangers(load_configuration(written(tmp_path, f'[web]\nhost = "{host}"\nenabled = false\n')))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_on_this_machine_alone_no_token_is_needed(tmp_path: Path, host: str) -> None:
    refuse_strangers(load_configuration(written(tmp_path, f'[web]\nhost = "{host}"\n')))
    assert is_loopback(host)


def test_a_token_is_known_by_its_digest_and_by_nothing_else(tmp_path: Path) -> None:
    tokens = load_configuration(written(tmp_path, "", TOKEN)).tokens
    holder = tokens.holder(SECRET)
    assert holder is not None
    assert holder.name == "viewer"
    for wrong in ("", "a-secre", "a-secret ", "A-SECRET", sha256_of(SECRET), "x" * 100_000, SECRET + "x" * 200):
        assert tokens.holder(wrong) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TOKEN.replace('"retrieve"', '"delete"'), "token.0.rights"),
        (TOKEN.replace('["query", "retrieve"]', "[]"), "token.0.rights"),
        (TOKEN.replace("viewer", "a b"), "token.0.name"),
        ('[[token]]\nname = "x"\nsecret = "y"\n', "token.0"),
        (TOKEN + TOKEN, "'viewer' is used twice"),
    ],
)
def test_a_mistake_in_tokens_toml_stops_the_start(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=r"tokens\.toml") as caught:
        load_configuration(written(tmp_path, "", text))
    assert said in str(caught.value)


def test_two_tokens_are_never_alike_and_need_no_quoting() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(secret) == 43 and secret.replace("-", "").replace("_", "").isalnum() for secret in secrets)
    assert TokensFile().holder("") is None
