"""tokens.toml: who may use the web edge. A token itself is never kept, only its SHA-256."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from echonode.core.settings import Section, WebSection

TOKEN_BYTES = 32
"""Random bytes of a token: nothing that can be guessed, so a plain digest of it is enough."""
LONGEST_TOKEN = 128


class TokenRight(StrEnum):
    """What a token may do on the web edge."""

    QUERY = "query"
    RETRIEVE = "retrieve"
    STORE = "store"
    ADMIN = "admin"


class Token(Section):
    """One [[token]]."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = Field(
        description="who holds it, as the audit trail shows it"
    )
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="SHA-256 of the token, in hex; `echonode token create` writes it"
    )
    rights: tuple[TokenRight, ...] = Field(min_length=1, description="query, retrieve, store, admin")


class TokensFile(Section):
    """tokens.toml as a whole."""

    token: tuple[Token, ...] = Field((), description="the tokens")

    @model_validator(mode="after")
    def _unique(self) -> TokensFile:
        names = [token.name for token in self.token]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"name {twice[0]!r} is used twice")
        return self

    def holder(self, secret: str) -> Token | None:
        """The token that `secret` is; every one is compared, so that time tells nothing."""
        digest, found = sha256_of(secret[:LONGEST_TOKEN]), None
        for token in self.token:
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found if len(secret) <= LONGEST_TOKEN else None


def new_secret() -> str:
    """A fresh token: 32 random bytes as 43 characters that need no quoting in a header or a URL."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def sha256_of(secret: str) -> str:
    """What tokens.toml keeps of a token."""
    return hashlib.sha256(secret.encode()).hexdigest()


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether an address to listen on, or a name in a Host header, means this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_open_to_strangers(web: WebSection, tokens: TokensFile) -> bool:
    """Whether anybody who reaches the web edge from another machine could use it: such a node does not start."""
    return web.enabled and not tokens.token and not is_loopback(web.host)
