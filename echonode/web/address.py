"""The node's address as a client sees it, from settings or from a Host header that has been checked."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.types import Scope

from echonode.core.settings import WebSection
from echonode.core.tokens import is_loopback

_HOST = re.compile(rb"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


def host_of(scope: Scope) -> str | None:
    """The Host header, name and port; None when it is missing, there twice, or has another form than RFC 9110 7.2.

    What this gives back is safe inside a URL, a header, JSON and markup.
    """
    found = [value for name, value in scope["headers"] if name == b"host"]
    if len(found) != 1 or not _HOST.fullmatch(found[0]):
        return None
    host: bytes = found[0]
    return host.decode("ascii")


def base_url(scope: Scope, web: WebSection) -> str:
    """Scheme, host and the DICOMweb prefix, without a slash at the end: what every RetrieveURL begins with."""
    if web.public_url:
        return web.public_url.rstrip("/") + web.prefix
    host = host_of(scope) or f"{web.host}:{web.port}"
    if ":" not in host.rpartition("]")[2] and is_own_host(host, web):
        host = f"{host}:{web.port}"  # clients that leave the port out (dicomweb-client does) are led to ours, not to 80
    return f"{scope.get('scheme', 'http')}://{host}{web.prefix}"


def is_own_host(host: str, web: WebSection) -> bool:
    """Whether a Host header names this node: loopback, the address it listens on, or its public one.

    A page elsewhere that lets its own name point to 127.0.0.1 (DNS rebinding) sends that name here.
    """
    name = name_of(host)
    return is_loopback(name) or name in {web.host.lower(), (urlsplit(web.public_url).hostname or "").lower()}


def name_of(host: str) -> str:
    """A Host header without its port and brackets, in lower case."""
    return (host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]).lower()
