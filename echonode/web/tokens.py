"""Who may do what on the web edge: bearer tokens (RFC 6750), and without any the browser's own rules."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from echonode.core.configuration import TOKENS_FILE, Configuration, read_section
from echonode.core.errors import ConfigurationError
from echonode.core.settings import WebSection
from echonode.core.tokens import TokenRight, TokensFile, is_loopback
from echonode.web.address import host_of, is_own_host
from echonode.web.failures import refused

LOG = logging.getLogger(__name__)
LOOK_AGAIN_SECONDS = 1.0
HOLDER = "token_name"
"""Key of the request's state that names the holder of the token."""
_OPEN = re.compile(r"/health/(live|ready)|/api/?|/api/openapi\.json|/viewer(/.*)?")
_QUERY = re.compile(
    r"/(studies|series|instances|studies/[^/]+/(series|instances)|studies/[^/]+/series/[^/]+/instances)/?"
)
_BEARER = re.compile(rb"[Bb]earer +([A-Za-z0-9._~+/-]+=*) *")


def rights_for(method: str, path: str, prefix: str) -> tuple[TokenRight, ...]:
    """The rights of which a request needs one; none for what anybody may see: health, the API's page, the viewer.

    A path that nobody has thought of needs `admin`.
    """
    if path.startswith(f"{prefix}/"):
        if method not in ("GET", "HEAD"):
            return (TokenRight.STORE,)
        return (TokenRight.QUERY,) if _QUERY.fullmatch(path.removeprefix(prefix)) else (TokenRight.RETRIEVE,)
    if method in ("GET", "HEAD"):
        if path == "/wado":
            return (TokenRight.RETRIEVE,)
        if path == "/metrics":
            return tuple(TokenRight)
        if _OPEN.fullmatch(path):
            return ()
    return (TokenRight.ADMIN,)


class TokenBook:
    """The tokens of tokens.toml; a token that is made or removed counts within a second, in every process."""

    def __init__(self, configuration: Configuration, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._path = configuration.folder / TOKENS_FILE
        self._tokens = configuration.tokens
        self._seconds = seconds
        self._stamp = _stamp(self._path)
        self._looked_at = seconds()
        self._needed = bool(self._tokens.token) or not is_loopback(configuration.node.web.host)

    def current(self) -> tuple[TokensFile, bool]:
        """The tokens, and whether one is needed. Once there was one, removing the last opens nothing."""
        now = self._seconds()
        if now - self._looked_at >= LOOK_AGAIN_SECONDS:
            self._looked_at = now
            self._look()
        return self._tokens, self._needed

    def _look(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        try:
            self._tokens = read_section(self._path, TokensFile)
        except ConfigurationError as error:
            LOG.error("tokens.toml cannot be read; what it said before still counts", extra={"reason": str(error)})
            return
        self._stamp = stamp
        self._needed = self._needed or bool(self._tokens.token)


class Gate:
    """Lets a request through to the application, or answers 401, 403 or 421.

    With tokens, every request that is not open to all needs one with the right. Without (on loopback only), requests
    must name this machine in their Host header, and a page from elsewhere may change nothing.
    """

    def __init__(self, app: ASGIApp, *, book: TokenBook, web: WebSection) -> None:
        self._app = app
        self._book = book
        self._web = web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        refusal = self._refusal(scope)
        if refusal is not None:
            await refused(*refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str, dict[str, str]] | None:
        tokens, needed = self._book.current()
        if not needed:
            return self._browser_refusal(scope)
        rights = rights_for(scope["method"], scope["path"], self._web.prefix)
        if not rights:
            return None
        secrets = [value for name, value in scope["headers"] if name == b"authorization"]
        match = _BEARER.fullmatch(secrets[0]) if len(secrets) == 1 else None
        if match is None:
            return 401, "a bearer token is needed", {"www-authenticate": 'Bearer realm="echonode"'}
        holder = tokens.holder(match[1].decode("ascii"))
        if holder is None:
            return 401, "the token is not known", {"www-authenticate": 'Bearer realm="echonode", error="invalid_token"'}
        if not set(rights) & set(holder.rights):
            challenge = f'Bearer realm="echonode", error="insufficient_scope", scope="{rights[0]}"'
            return 403, f"the token {holder.name} lacks the right {rights[0]}", {"www-authenticate": challenge}
        scope.setdefault("state", {})[HOLDER] = holder.name
        return None

    def _browser_refusal(self, scope: Scope) -> tuple[int, str, dict[str, str]] | None:
        host = host_of(scope)
        if host is not None and not is_own_host(host, self._web):
            return 421, "this node does not go by that name; web.public_url in node.toml tells it another", {}
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        for name, value in scope["headers"]:
            if name == b"origin" and not self._is_welcome(value.decode("latin-1"), host or ""):
                return 403, "a page of another origin may not do this; web.allowed_origins names those that may", {}
        return None

    def _is_welcome(self, origin: str, host: str) -> bool:
        own = {f"http://{host}", f"https://{host}", self._web.public_url.rstrip("/")} - {""}
        return origin in own or origin in self._web.allowed_origins or "*" in self._web.allowed_origins


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
