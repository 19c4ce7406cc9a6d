"""A viewer's page under /viewer: files of one folder as they lie there, and a configuration that points to this node.

The page runs under a content security policy that lets it talk to this node alone. It is given no token, and none of
the data sources by which an address in a link could make it fetch from elsewhere and send credentials along.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from echonode.core.errors import NotFound
from echonode.core.settings import WebSection
from echonode.web.address import base_url
from echonode.web.body import FilePieces, Headers, empty, send_bytes, send_files
from echonode.web.conditional import etag_of, is_current, not_modified
from echonode.web.services import Services
from echonode.web.wado_uri import PATH as WADO_PATH

LOG = logging.getLogger(__name__)
PREFIX = "/viewer"
INDEX, CONFIGURATION = "index.html", "app-config.js"
MEDIA_TYPES = {
    ".css": "text/css",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".jsonc": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
"""Only files with these endings are served."""
_WITHHELD = frozenset({"sw.js", CONFIGURATION})
_NAMED_BY_CONTENT = re.compile(r"(^|[./])[0-9a-f]{16,}\.")
_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


def routes(services: Services) -> list[BaseRoute]:
    """/viewer and everything below it; nothing where web.viewer is empty."""
    web = services.web
    if not web.viewer:
        return []
    folder = (services.configuration.folder / web.viewer).resolve()
    page = ViewerPage(folder, web)
    return [
        Route(PREFIX, page, methods=["GET", "HEAD"]),
        Route(f"{PREFIX}/{{path:path}}", page, methods=["GET", "HEAD"]),
    ]


class ViewerPage:
    """The folder as it was when the process started: a path that was not there then is never looked for."""

    def __init__(self, folder: Path, web: WebSection) -> None:
        self._web = web
        self._files = dict(_files_of(folder)) if folder.is_dir() else {}
        index = self._files.get(INDEX)
        self._index = b"" if index is None else index.read_bytes()
        self._policy = policy(self._index, web).encode()
        if index is None:
            LOG.error("web.viewer names a folder that holds no index.html", extra={"folder": str(folder)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. A path that names no file is a place inside the page: it gets the page.

        Raises:
            NotFound: there is no such file, or no page.
        """
        path = scope["path_params"].get("path")
        if path is None:
            await empty(send, 308, [*_ALWAYS, (b"location", f"{PREFIX}/".encode())])
        elif not self._index:
            raise NotFound("no viewer is installed here: echonode viewer install gets one")
        elif path == CONFIGURATION:
            await self._send(scope, send, configuration(scope, self._web), MEDIA_TYPES[".js"])
        elif path in self._files and path != INDEX:
            await self._file(path, scope, receive, send)
        elif path in ("", INDEX) or "." not in path.rpartition("/")[2]:
            await self._send(scope, send, self._index, MEDIA_TYPES[".html"])
        elif re.fullmatch(r"[0-9.]+", path.rpartition("/")[2]):
            await self._send(scope, send, self._index, MEDIA_TYPES[".html"])  # a UID at the end of the page's path
        else:
            raise NotFound("the viewer has no such file")

    async def _send(self, scope: Scope, send: Send, content: bytes, media_type: str) -> None:
        etag = etag_of(hashlib.sha256(content).hexdigest()[:32])
        headers = self._headers(media_type, etag, b"no-cache")
        if is_current(scope, etag):
            await not_modified(send, headers)
        else:
            await send_bytes(send, 200, headers, content)

    async def _file(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        file = self._files[path]
        try:
            status = file.stat()
        except OSError:
            raise NotFound("the viewer's file is gone") from None
        etag = etag_of(f"{status.st_mtime_ns:x}", f"{status.st_size:x}")
        caching = b"public, max-age=31536000, immutable" if _NAMED_BY_CONTENT.search(path) else b"no-cache"
        headers = self._headers(MEDIA_TYPES[file.suffix], etag, caching)
        if is_current(scope, etag):
            await not_modified(send, headers)
            return
        pieces = [FilePieces(file, [(0, status.st_size)])]
        await send_files(scope, receive, send, status=200, headers=headers, files=pieces)

    def _headers(self, media_type: str, etag: str, caching: bytes) -> Headers:
        return [
            (b"content-type", media_type.encode()),
            (b"etag", etag.encode()),
            (b"cache-control", caching),
            (b"content-security-policy", self._policy),
            *_ALWAYS,
        ]


def policy(index: bytes, web: WebSection) -> str:
    """The content security policy of the page; its own inline scripts are allowed by their digests.

    The decoders in it are WebAssembly whose glue makes functions from text, which needs 'unsafe-eval'; no script from
    elsewhere and no inline one that the page did not bring runs all the same.
    """
    digests = (hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(index))
    own = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    public = urlsplit(web.public_url)
    elsewhere = f" {public.scheme}://{public.netloc}" if public.scheme in ("http", "https") and public.netloc else ""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'unsafe-eval' 'wasm-unsafe-eval' {own}".rstrip(),
            "worker-src 'self' blob:",
            "style-src 'self' 'unsafe-inline'",
            "font-src 'self' data:",
            f"img-src 'self' data: blob:{elsewhere}",
            f"media-src 'self' blob:{elsewhere}",
            f"object-src 'self' blob:{elsewhere}",
            f"frame-src 'self' blob:{elsewhere}",
            f"connect-src 'self' data: blob:{elsewhere}",
            "manifest-src 'self'",
            "base-uri 'self'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def configuration(scope: Scope, web: WebSection) -> bytes:
    """OHIF's app-config.js with this node as its only source."""
    root = base_url(scope, web)
    source: dict[str, Any] = {
        "friendlyName": "echonode",
        "name": "echonode",
        "qidoRoot": root,
        "wadoRoot": root,
        "wadoUriRoot": root.removesuffix(web.prefix) + WADO_PATH,
        "qidoSupportsIncludeField": True,
        "supportsReject": False,
        "supportsStow": False,
        "dicomUploadEnabled": False,
        "imageRendering": "wadors",
        "thumbnailRendering": "thumbnail",
        "thumbnailRequestStrategy": "fetch",
        "enableStudyLazyLoad": True,
        "supportsFuzzyMatching": True,
        "supportsWildcard": True,
        "singlepart": "bulkdata,video,pdf",
        "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
        "omitQuotationForMultipartRequest": True,
    }
    settings = {
        "name": "echonode",
        "routerBasename": PREFIX,
        "extensions": [],
        "modes": [],
        "customizationService": {},
        "showStudyList": True,
        "autoPlayCine": True,
        "maxNumberOfWebWorkers": 3,
        "showLoadingIndicator": True,
        "showWarningMessageForCrossOrigin": True,
        "showCPUFallbackMessage": True,
        "strictZSpacingForVolumeViewport": True,
        "groupEnabledModesFirst": True,
        "allowMultiSelectExport": False,
        "maxNumRequests": {"interaction": 100, "thumbnail": 5, "prefetch": 25},
        "showErrorDetails": "always",
        "defaultDataSourceName": "echonode",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "echonode",
                "configuration": source,
            }
        ],
    }
    return f"window.config = {json.dumps(settings, ensure_ascii=True)};\n".encode()


def _files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        if not hidden and file.suffix in MEDIA_TYPES and name not in _WITHHELD and _is_inside(file, folder):
            yield name, file


def _is_inside(file: Path, folder: Path) -> bool:
    """Whether it is a file of that folder itself: a link may lead anywhere."""
    return file.is_file() and file.resolve().is_relative_to(folder)
