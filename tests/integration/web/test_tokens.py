"""Tokens, origins and names against a real web process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from echonode.core.tokens import sha256_of
from tests.integration.web.conftest import StartWeb
from tests.support.stow import STUDIES, multipart, part10
from tests.support.waiting import wait_until
from tests.support.web import WebProcess


def token(name: str, *rights: str) -> str:
    listed = ", ".join(f'"{right}"' for right in rights)
    return f'[[token]]\nname = "{name}"\nsha256 = "{sha256_of(name + "-secret")}"\nrights = [{listed}]\n'


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-secret"}


def store(web: WebProcess, headers: dict[str, str]) -> int:
    body, kind = multipart(part10(1))
    return web.call("POST", STUDIES, body=body, headers={**kind, **headers}).status


def test_every_request_needs_a_token_with_its_right(start_web: StartWeb) -> None:
    web = start_web(tokens=token("scanner", "store") + token("viewer", "query", "retrieve"))
    metadata = f"{STUDIES}/1.2.3.9/metadata"
    assert store(web, {}) == 401
    assert store(web, bearer("viewer")) == 403
    assert store(web, bearer("scanner")) == 200
    for headers in ({}, bearer("nobody"), {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}):
        answer = web.call("GET", metadata, headers=headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer realm=")
        assert b"Doe" not in answer.body
    assert web.call("GET", metadata, headers=bearer("scanner")).status == 403
    assert web.call("GET", metadata, headers=bearer("viewer")).status == 200
    assert web.call("GET", "/api/v1/work", headers=bearer("viewer")).status == 403
    assert web.call("GET", "/health/live").status == 200
    assert web.call("GET", metadata, headers={**bearer("viewer"), "Host": "echo.example.org"}).status == 200
    with web.archive() as archive:
        assert [row.who for row in archive.audit.story("1.2.3.9")] == ["scanner"]
    assert "-secret" not in web.log.read_text()


def test_a_token_counts_and_stops_counting_without_a_restart(start_web: StartWeb) -> None:
    web = start_web()
    assert store(web, {}) == 200
    file = web.config / "tokens.toml"
    file.write_text(token("scanner", "store"))
    wait_until(lambda: store(web, {}) == 401, "the first token to be needed", seconds=10)
    assert store(web, bearer("scanner")) == 200
    file.write_text("this is no TOML [")
    file.write_text(token("other", "store"))
    wait_until(lambda: store(web, bearer("scanner")) == 401, "the token to be taken away", seconds=10)
    file.unlink()
    wait_until(lambda: store(web, bearer("other")) == 401, "the last token to be taken away", seconds=10)
    assert store(web, {}) == 401, "removing the last token must not open the node"


def test_pages_of_allowed_origins_may_call_and_others_may_not(start_web: StartWeb) -> None:
    web = start_web(web='allowed_origins = ["https://viewer.example.org"]\npublic_url = "https://echo.example.org"\n')
    ask = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    good = web.call("OPTIONS", STUDIES, headers={**ask, "Origin": "https://viewer.example.org"})
    assert good.status == 200
    assert good.headers["access-control-allow-origin"] == "https://viewer.example.org"
    assert "Authorization" in good.headers["access-control-allow-headers"]
    evil = web.call("OPTIONS", STUDIES, headers={**ask, "Origin": "https://evil.example"})
    assert (evil.status, "access-control-allow-origin" in evil.headers) == (400, False)
    answer = web.call("GET", "/health/live", headers={"Origin": "https://viewer.example.org"})
    assert answer.headers["access-control-allow-origin"] == "https://viewer.example.org"
    assert "ETag" in answer.headers["access-control-expose-headers"]
    assert store(web, {"Origin": "https://viewer.example.org"}) == 200
    assert store(web, {"Origin": "https://evil.example"}) == 403
    assert web.call("GET", "/health/live", headers={"Host": "echo.example.org"}).status == 200


def test_without_allowed_origins_no_page_may_read_anything(shared_web: WebProcess) -> None:
    answer = shared_web.call("GET", "/health/live", headers={"Origin": "https://viewer.example.org"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_a_stop_lets_an_object_under_way_finish(start_web: StartWeb) -> None:
    """An update of the node in the middle of a store."""
    web = start_web()
    body, headers = multipart(part10(1))
    request = f"POST {STUDIES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    request += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    with web.raw(20) as sock:
        sock.sendall(request.encode() + body[:100])
        wait_until(lambda: web.call("GET", "/health/live").status == 200, "the node to be well")
        assert web.process is not None
        web.process.terminate()
        wait_until(lambda: not accepts(web), "the node to take no more connections", seconds=20)
        sock.sendall(body[100:])
        assert b" 200 " in sock.recv(4096)
    assert web.process.wait(30) == 0


def test_serve_does_not_start_open_to_strangers(tmp_path: Path) -> None:
    """One line and exit code 2, before any port is opened."""
    (tmp_path / "node.toml").write_text('[web]\nhost = "0.0.0.0"\n')
    for more in ((), ("--check",)):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "echonode", "serve", "-c", str(tmp_path), *more],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert "web.host: 0.0.0.0 is not loopback and there is no token" in done.stderr.splitlines()[-1]


def accepts(web: WebProcess) -> bool:
    try:
        web.raw(1).close()
    except OSError:
        return False
    return True
