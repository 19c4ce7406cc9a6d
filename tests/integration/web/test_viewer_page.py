"""The viewer's page is served as it lies in its folder, talks to this node alone, and opens no other file."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette

from echonode.core.errors import EchonodeError
from echonode.core.settings import WebSection
from echonode.web import viewer
from echonode.web.failures import on_echonode_error
from tests.support.asgi import get

INLINE = b'window.PUBLIC_URL="/viewer/"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_bytes(b"<script>" + INLINE + b'</script><script src="/viewer/app.js"></script>')
    (folder / "app.bundle.0123456789abcdef.js").write_text("run()")
    (folder / "codec.wasm").write_bytes(b"\0asm")
    (folder / "app-config.js").write_text("window.config = {evil: true}")
    (folder / "sw.js").write_text("importScripts('elsewhere')")
    (folder / ".env").write_text("SECRET")
    (folder / "run.php").write_text("<?php")
    (folder / "assets" / "a.png").write_bytes(b"png")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


def app(folder: Path, **web: Any) -> Starlette:
    services = SimpleNamespace(
        web=WebSection(viewer=str(folder), **web), configuration=SimpleNamespace(folder=folder.parent)
    )
    return Starlette(
        routes=viewer.routes(services),  # type: ignore[arg-type]
        exception_handlers={EchonodeError: on_echonode_error},
    )


def test_places_inside_the_page_get_the_page_and_files_are_files(folder: Path) -> None:
    site = app(folder)
    assert get(site, "/viewer").headers["location"] == "/viewer/"
    for path in (
        "/viewer/",
        "/viewer/viewer?StudyInstanceUIDs=1.2.3",
        "/viewer/studies/1.2.840.10008",
        "/viewer/index.html",
    ):
        answer = get(site, path)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/html")
    script = get(site, "/viewer/app.bundle.0123456789abcdef.js")
    assert (script.body, script.headers["content-type"]) == (b"run()", "text/javascript; charset=utf-8")
    assert "immutable" in script.headers["cache-control"]
    assert get(site, "/viewer/codec.wasm").headers["content-type"] == "application/wasm"
    assert get(site, "/viewer/assets/a.png").body == b"png"
    again = get(site, "/viewer/codec.wasm", {"If-None-Match": get(site, "/viewer/codec.wasm").headers["etag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "/etc/passwd.txt", "assets/../../secret.txt", "link.txt",
        ".env", "sw.js", "run.php", "app.js.map", "assets/%00.png", "missing.js",
    ],
)  # fmt: skip
def test_nothing_else_is_opened(folder: Path, path: str) -> None:
    answer = get(app(folder), f"/viewer/{path}")
    assert answer.status == 404
    assert b"secret" not in answer.body


def test_the_configuration_points_to_this_node_alone(folder: Path) -> None:
    answer = get(app(folder), "/viewer/app-config.js", {"Host": "localhost:8080"})
    text = answer.body.decode()
    assert text.startswith("window.config = ")
    settings = json.loads(text.removeprefix("window.config = ").rstrip(";\n"))
    (source,) = settings["dataSources"]
    assert source["namespace"].endswith(".dicomweb")
    assert source["configuration"]["wadoRoot"] == "http://localhost:8080/dicom-web"
    assert source["configuration"]["wadoUriRoot"] == "http://localhost:8080/wado"
    assert settings["routerBasename"] == "/viewer"
    for key in ("dangerouslyUseDynamicConfig", "customizationUrlPrefixes", "oidc"):
        assert key not in settings
    public = get(app(folder, public_url="https://echo.example.org/"), "/viewer/app-config.js").body.decode()
    assert '"qidoRoot": "https://echo.example.org/dicom-web"' in public
    hostile = get(app(folder), "/viewer/app-config.js", {"Host": '"};alert(1);//'}).body.decode()
    assert "alert" not in hostile


def test_the_policy_lets_only_the_pages_own_scripts_run(folder: Path) -> None:
    policy = get(app(folder), "/viewer/").headers["content-security-policy"]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    digest = base64.b64encode(hashlib.sha256(INLINE).digest()).decode()
    assert f"'sha256-{digest}'" in rules["script-src"]
    assert "'unsafe-inline'" not in rules["script-src"]
    assert rules["default-src"] == ["'none'"]
    assert rules["connect-src"] == ["'self'", "data:", "blob:"]
    assert rules["frame-ancestors"] == ["'none'"]
    assert not any("*" in word or word in ("http:", "https:") for words in rules.values() for word in words)
    script = get(app(folder), "/viewer/app.bundle.0123456789abcdef.js")
    assert script.headers["content-security-policy"] == policy  # workers take theirs from their own script
    assert script.headers["x-content-type-options"] == "nosniff"


def test_no_folder_is_no_route_and_an_empty_one_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    services = SimpleNamespace(web=WebSection(), configuration=SimpleNamespace(folder=tmp_path))
    assert viewer.routes(services) == []  # type: ignore[arg-type]
    answer = get(app(tmp_path / "nowhere"), "/viewer/")
    assert answer.status == 404
    assert "echonode viewer install" in answer.json["error"]
