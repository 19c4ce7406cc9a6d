"""Hostile requests on raw sockets: each is answered within its bound, and the process's memory stays where it was."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.web.conftest import StartWeb
from tests.support.dimse import small_object
from tests.support.stow import BOUNDARY, STUDIES, failures, multipart, part10, stored_uids, stow
from tests.support.waiting import wait_until
from tests.support.web import Answer, WebProcess, answer_on

MiB = 1 << 20
LIMITS = (
    f"max_body_bytes = {8 * MiB}\nmax_document_bytes = 65536\nmax_query_bytes = 4096\nmax_header_bytes = 8192\n"
    "stall_seconds = 1\nidle_seconds = 2\nconnections = 24\n"
)
JSON, XML = "application/dicom+json", "application/dicom+xml"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    """One process with tight limits for all tests: what one of them spoils, the next one sees."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = WebProcess(tmp_path_factory.mktemp("hostile") / "node", port=port, web=LIMITS).start()
    stow(process, part10(1))  # what is loaded on first use is loaded
    yield process
    process.close()


@pytest.fixture(autouse=True)
def _flat(web: WebProcess) -> Iterator[None]:
    """After each attack the node is well, has kept no piece of it, and is not larger than before."""
    before = web.memory()
    yield
    assert stow(web, part10(1)).status == 200
    wait_until(lambda: web.files("parts") == [], "the pieces to be removed", seconds=10)
    assert web.memory() < before + 24 * MiB


def ask(web: WebProcess, content: bytes, *, within: float = 10.0) -> Answer:
    """The answer to some bytes, which has to come within that many seconds."""
    began = time.monotonic()
    with web.raw(within + 5) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(content)
        answer = answer_on(sock)
    assert time.monotonic() - began < within, "the answer came too late"
    return answer


def head(method: str, path: str, *headers: str, host: str = "127.0.0.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode("latin-1")


STORE = head("POST", STUDIES, f'Content-Type: multipart/related; type="application/dicom"; boundary={BOUNDARY}')[:-2]


def test_a_huge_content_length_is_refused_before_anything_is_read(web: WebProcess) -> None:
    for length in (8 * MiB + 1, 1 << 32, 1 << 62):
        answer = ask(web, STORE + f"Content-Length: {length}\r\n\r\n".encode(), within=5)
        assert answer.status == 413, length
        assert "web.max_body_bytes" in answer.json["error"]
    for length in ("99999999999999999999999999", "-1", "1e9", "0x10", "+5", "5, 6"):
        assert ask(web, STORE + f"Content-Length: {length}\r\n\r\n".encode(), within=5).status == 400, length
    assert ask(web, head("GET", "/dicom-web/studies", "Content-Length: 70000")).status == 413


def test_endless_chunks_are_cut_off_at_the_bound(web: WebProcess) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with web.raw() as sock:
        sock.sendall(STORE + b"Transfer-Encoding: chunked\r\n\r\n")
        sock.sendall(f"{len(BOUNDARY) + 6:x}\r\n--{BOUNDARY}\r\n\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(1000):
                sock.sendall(chunk)
            pytest.fail("64 MiB were taken where 8 are allowed")
        assert answer_on(sock).status in (413, 0)


def test_a_million_tiny_chunks_cost_no_memory(web: WebProcess) -> None:
    with web.raw(60) as sock:
        sock.sendall(STORE + b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                sock.sendall(b"1\r\nx\r\n" * 5000)
            sock.sendall(b"0\r\n\r\n")
        assert answer_on(sock).status in (400, 0)


def test_chunk_extensions_trailers_and_heads_without_end_are_refused(web: WebProcess) -> None:
    flood = b"a" * 65536
    for start, piece in (
        (STORE + b"Transfer-Encoding: chunked\r\n\r\n5;", flood),
        (STORE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", (b"X: " + b"y" * 1000 + b"\r\n") * 60),
        (STORE + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", flood),
        (b"GET /", flood),
        (b"GET / HTTP/1.1\r\nX: ", flood),
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 10000),
        (flood, flood),
        (b"\r\n" * 1000, b"\r\n" * 30000),
    ):
        with web.raw(10) as sock:
            sock.sendall(start)
            with contextlib.suppress(ConnectionError, TimeoutError):
                for _ in range(2000):
                    sock.sendall(piece)
                pytest.fail(f"{start[-20:]!r}: everything was taken")
            assert answer_on(sock).status in (400, 408, 431, 0)


def test_long_heads_and_queries_are_refused_by_name(web: WebProcess) -> None:
    answer = ask(web, head("GET", "/dicom-web/studies?PatientName=" + "x" * 5000))
    assert (answer.status, "web.max_query_bytes" in answer.json["error"]) == (414, True)
    answer = ask(web, head("GET", "/dicom-web/studies", "X-Long: " + "y" * 9000))
    assert (answer.status, "web.max_header_bytes" in answer.json["error"]) == (431, True)
    answer = ask(web, head("GET", "/dicom-web/studies", *[f"X-{number}: y" for number in range(1500)]))
    assert answer.status == 431


def test_a_client_that_says_nothing_is_let_go(web: WebProcess) -> None:
    for start, status in (
        (b"", 408),
        (b"GET /dicom-web/st", 408),
        (STORE + b"Content-Length: 1000\r\n\r\n--" + BOUNDARY.encode(), 408),
    ):
        began = time.monotonic()
        answer = ask(web, start, within=8)
        assert answer.status == status, start
        assert time.monotonic() - began > 0.9


def test_a_body_that_drips_is_ended(web: WebProcess) -> None:
    """One byte a moment would hold a thread of work for days."""
    began = time.monotonic()
    with web.raw(10) as sock:
        sock.settimeout(0.1)
        sock.sendall(STORE + b"Content-Length: 100000\r\n\r\n")
        content = b""
        while time.monotonic() - began < 8 and not content:
            with contextlib.suppress(TimeoutError):
                sock.sendall(b"x")
                content = sock.recv(65536)
    assert b" 408 " in content
    assert time.monotonic() - began < 6


def test_an_answer_that_nobody_reads_is_given_up(web: WebProcess) -> None:
    """Whoever asks and never reads would keep what was asked for in memory."""
    assert stow(web, part10(2, pixels=bytes(6 * MiB))).status == 200
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    path = f"{STUDIES}/1.2.3.9/series/1.2.3.9.1/instances/1.2.3.9.1.2"
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", web.port))
        sock.sendall(head("GET", path, f"Accept: {accept}"))
        assert sock.recv(12).startswith(b"HTTP/1.1 200")

        def is_closed() -> bool:
            states = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            mine = f":{sock.getsockname()[1]:04X}"
            return not any(fields[2].endswith(mine) and fields[3] == "01" for fields in states)

        wait_until(is_closed, "the node to give the connection up", seconds=15)


def test_idle_sockets_lock_nobody_out(web: WebProcess) -> None:
    """Twice as many sockets as connections are allowed, none of which says anything."""
    with contextlib.ExitStack() as stack:
        for _ in range(48):
            stack.enter_context(web.raw())
        for _ in range(5):
            assert web.call("GET", "/health/live").status == 200


def test_compressed_bodies_are_not_inflated(web: WebProcess) -> None:
    body, headers = multipart(part10(1))
    bomb = gzip.compress(bytes(64 * MiB))
    for encoding, content in (("gzip", gzip.compress(body)), ("gzip", bomb), ("deflate", bomb), ("br", b"x")):
        answer = web.call("POST", STUDIES, body=content, headers={**headers, "Content-Encoding": encoding})
        assert answer.status == 415
        assert answer.headers["accept-encoding"] == "identity"


def test_entity_bombs_and_external_entities_are_refused_unread(web: WebProcess) -> None:
    lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    for document in (
        f'<!DOCTYPE x [<!ENTITY l0 "lol">{lol}]><NativeDicomModel>&l11;</NativeDicomModel>',
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><NativeDicomModel>&f;</NativeDicomModel>',
        f'<!DOCTYPE x SYSTEM "http://127.0.0.1:{web.port}/health/live"><NativeDicomModel/>',
        '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x"> %p;]><NativeDicomModel/>',
        "<NativeDicomModel>" + "<a>" * 15000,
        '<NativeDicomModel><DicomAttribute tag="00080018" vr="SQ"><Item>'
        + '<DicomAttribute tag="00080018" vr="SQ"><Item>' * 1000,
        "<html/>",
    ):
        for encoding in ("utf-8", "utf-16"):
            body, headers = multipart(document.encode(encoding), kind=XML)
            if len(body) < 65536:
                answer = web.call("POST", STUDIES, body=body, headers=headers)
                assert answer.status == 409, document[:60]
                assert failures(answer) == [0xC000]
                assert b"root:" not in answer.body


def test_deep_and_crowded_json_is_refused(web: WebProcess) -> None:
    nested: object = {}
    for _ in range(200):
        nested = {"00081140": {"vr": "SQ", "Value": [nested]}}
    for document in (
        b"[" * 60000,
        b'{"a":' * 10000,
        json.dumps([nested]).encode(),
        b"[" + b"[]," * 15000 + b"[]]",
        b'[{"00080018": {"vr": "UI", "Value": ["1.2.3"]}}]',
        b'[{"00080018": {"vr": "UI", "Value": {"a": 1}}}]',
        b'[{"00080018": {"vr": "\\u0000\\u0000", "Value": ["1.2.3"]}}]',
        b'[{"../../x": {"vr": "UI", "Value": ["1.2.3"]}}]',
        b'[{"00020010": {"vr": "UI", "Value": ["../../etc"]}, "7FE00010": {"vr": "OB"}}]',
        b"[NaN]",
        b"null",
        b"",
    ):
        body, headers = multipart(document, kind=JSON)
        answer = web.call("POST", STUDIES, body=body, headers=headers)
        assert answer.status in (400, 409), document[:60]
    body, headers = multipart(b"[" + b" " * 70000 + b"]", kind=JSON)
    assert web.call("POST", STUDIES, body=body, headers=headers).status == 413


def test_a_path_is_never_a_file_and_never_a_template(web: WebProcess) -> None:
    """Whatever stands in a segment: nothing of it is opened, evaluated, or given back as markup."""
    evil = (
        "../../../../etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%5c..%5cwindows%5cwin.ini",
        "....//....//etc/passwd",
        "%00",
        "1.2.3%00.dcm",
        "%0d%0aX-Evil:%20yes",
        "{{7*7}}",
        "${7*7}",
        "%7B%7B7*7%7D%7D",
        "<script>alert(1)</script>",
        "%3Cscript%3Ealert(1)%3C/script%3E",
        "'%20OR%201=1--",
        "%25%32%65%25%32%65",
        "\u00ff",
        "1." + "2" * 5000,
        "*",
        "%",
        ";jsessionid=1",
    )
    patterns = (
        "/{}",
        "/dicom-web/{}",
        "/dicom-web/studies/{}",
        "/dicom-web/studies/{}/metadata",
        "/dicom-web/studies/1.2.3.9/series/{}/metadata",
        "/dicom-web/studies/1.2.3.9/series/1.2.3.9.1/instances/{}",
        "/dicom-web/studies/1.2.3.9/series/1.2.3.9.1/instances/1.2.3.9.1.1/frames/{}",
        "/dicom-web/studies/1.2.3.9/series/1.2.3.9.1/instances/1.2.3.9.1.1/bulkdata/{}",
        "/dicom-web/studies/1.2.3.9/series/1.2.3.9.1/instances/1.2.3.9.1.1/{}",
        "/dicom-web/studies?PatientName={}",
        "/dicom-web/studies?{}=1",
        "/viewer/{}",
        "/api/v1/{}",
        "/api/v1/studies/{}",
    )
    for pattern in patterns:
        for text in evil:
            target = pattern.format(text)
            answer = ask(web, head("GET", target, "Connection: close"))
            assert answer.status in (200, 204, 400, 403, 404, 405, 406, 409, 414, 416, 431), (target, answer.status)
            assert "x-evil" not in answer.headers
            assert b"root:" not in answer.body
            assert b"<script" not in answer.body.lower() or "html" not in answer.headers.get("content-type", ""), target
            assert b'"49"' not in answer.body
            if answer.status != 431:
                assert answer.headers["x-content-type-options"] == "nosniff", target
            if "?" not in target:
                assert answer.status != 200 or text == "*" or "viewer" in target, target


def test_a_name_that_is_markup_stays_a_name(web: WebProcess) -> None:
    """Stored XSS by Patient's Name: what comes back is JSON that no browser takes for a page."""
    name = b"<script>alert(1)</script>^\"'><img src=x onerror=alert(2)>"
    sop, data = small_object(77, study="1.2.3.77")
    evil = data.replace(
        b"PN\x08\x00Doe^Jane", b"PN" + bytes((len(name) + len(name) % 2, 0)) + name.ljust(len(name) + len(name) % 2)
    )
    assert stored_uids(stow(web, evil)) == [sop]
    for path in (
        "/dicom-web/studies?StudyInstanceUID=1.2.3.77&includefield=PatientName",
        f"{STUDIES}/1.2.3.77/metadata",
        f"{STUDIES}/1.2.3.77/rendered",
        "/api/v1/studies/1.2.3.77",
    ):
        for accept in (JSON, "text/html", "*/*"):
            answer = web.call("GET", path, headers={"Accept": accept})
            assert answer.status in (200, 404, 406), (path, accept)
            assert "html" not in answer.headers["content-type"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "script-src" not in answer.headers["content-security-policy"]
    assert "onerror" not in web.log.read_text()


def test_no_value_becomes_a_header_or_a_line_of_the_log(web: WebProcess) -> None:
    for value in ("a\rb", "a\nb", "a\x00b", "a\x1b[31mb", "a\tb", "\u00e4" * 20):
        raw = head("GET", "/dicom-web/studies", f"X-Request-ID: {value}", "Connection: close")
        answer = ask(web, raw)
        assert answer.status in (200, 400, 404)
        assert value not in answer.headers.get("x-request-id", "")
    body, headers = multipart(({"Content-Type": "application/dicom\x1b[31m"}, part10(1)), ({"X\x1b": "y"}, part10(1)))
    assert web.call("POST", STUDIES, body=body, headers=headers).status in (202, 400, 409)
    assert "\x1b" not in web.log.read_text()


def test_requests_that_two_servers_would_read_differently_are_refused(web: WebProcess) -> None:
    """Smuggling: a proxy before the node must not see another request than the node does."""
    inner = head("GET", "/smuggled")
    for name, content in {
        "length and chunked": head("POST", "/x", "Content-Length: 4", "Transfer-Encoding: chunked")
        + b"0\r\n\r\n"
        + inner,
        "two lengths": head("POST", "/x", "Content-Length: 0", f"Content-Length: {len(inner)}") + inner,
        "obfuscated chunked": head("POST", "/x", "Transfer-Encoding: xchunked") + b"0\r\n\r\n" + inner,
        "chunked twice": head("POST", "/x", "Transfer-Encoding: chunked, identity") + b"0\r\n\r\n" + inner,
        "space before colon": head("POST", "/x", "Content-Length : 4") + b"abcd" + inner,
        "folded header": head("POST", "/x", "X: a\r\n b", "Content-Length: 0") + inner,
        "bare line feeds": b"POST /x HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 0\n\n" + inner,
        "bad chunk size": head("POST", "/x", "Transfer-Encoding: chunked") + b"zz\r\n\r\n" + inner,
        "negative chunk": head("POST", "/x", "Transfer-Encoding: chunked") + b"-1\r\n\r\n" + inner,
        "no host": b"GET /x HTTP/1.1\r\n\r\n",
        "two hosts": head("GET", "/x", "Host: evil.example"),
        "host with a path": head("GET", "/x", host="127.0.0.1/evil"),
        "host with markup": head("GET", "/x", host='127.0.0.1"><script>'),
        "absolute target": head("GET", "http://evil.example/x"),
        "no http": b"HELO mail.example\r\n\r\n",
        "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "version": b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
    }.items():
        with web.raw() as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(content)
            answer = answer_on(sock)
            assert answer.status in (400, 403, 404, 405, 421, 501), (name, answer.status)
            if name in ("length and chunked", "two lengths", "chunked twice", "bad chunk size", "negative chunk"):
                assert answer.status == 400, name
                assert answer_on(sock).status == 0, f"{name}: a second request was answered"


def test_a_page_whose_name_points_here_is_not_answered(web: WebProcess) -> None:
    """DNS rebinding: a browser on this machine would read the archive out to any page that it visits."""
    for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0"):
        assert ask(web, head("GET", "/dicom-web/studies", host=host)).status == 421, host
    for host in ("localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "127.0.0.2"):
        assert ask(web, head("GET", "/health/live", host=host)).status == 200, host


def test_a_page_from_elsewhere_changes_nothing(web: WebProcess) -> None:
    body, headers = multipart(part10(5))
    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example"):
        answer = web.call("POST", STUDIES, body=body, headers={**headers, "Origin": origin})
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers
    own = f"http://127.0.0.1:{web.port}"
    assert web.call("POST", STUDIES, body=body, headers={**headers, "Origin": own}).status == 200


def test_ten_thousand_parts_are_answered_one_by_one(web: WebProcess) -> None:
    body, headers = multipart(*[b"x" * 40] * 10_000)
    answer = web.call("POST", STUDIES, body=body, headers=headers)
    assert (answer.status, len(failures(answer))) == (409, 10_000)
    headers_part = ({f"X-{number}": "y" for number in range(500)}, b"")
    body, headers = multipart(headers_part)
    assert web.call("POST", STUDIES, body=body, headers=headers).status == 400
    body, headers = multipart(({"Content-Type": "a" * 100_000}, b""))
    assert web.call("POST", STUDIES, body=body, headers=headers).status == 400


def test_more_parts_than_anybody_sends_are_too_many(web: WebProcess) -> None:
    body = f"--{BOUNDARY}\r\n\r\n\r\n".encode() * 20_001
    _, headers = multipart()
    answer = web.call("POST", STUDIES, body=body, headers=headers)
    assert answer.status in (409, 413)


def test_a_multipart_body_that_breaks_off_keeps_what_was_whole(web: WebProcess) -> None:
    body, headers = multipart(part10(31), part10(32), part10(33))
    for cut in (20, 200, len(body) // 2, len(body) - 60, len(body) - 5):
        answer = web.call("POST", STUDIES, body=body[:cut], headers=headers)
        assert answer.status in (202, 400, 409), cut
        if answer.status == 202:
            assert set(stored_uids(answer)) <= {"1.2.3.9.1.31", "1.2.3.9.1.32", "1.2.3.9.1.33"}
    with web.raw() as sock:
        sock.sendall(STORE + f"Content-Length: {len(body)}\r\n\r\n".encode() + body[: len(body) // 2])
    wait_until(lambda: web.files("parts") == [], "the half object to be dropped", seconds=10)


def test_the_wrong_boundary_and_boundaries_inside_the_data_do_no_harm(web: WebProcess) -> None:
    nearly = f"\r\n--{BOUNDARY}".encode()
    pixels = (nearly[:-1] + b"!") * 40000
    answer = stow(web, part10(41, pixels=pixels))
    assert stored_uids(answer) == ["1.2.3.9.1.41"]
    body, headers = multipart(part10(42))
    assert web.call("POST", STUDIES, body=body.replace(b"\r\n--", b"\n--"), headers=headers).status in (400, 409)


def test_a_uid_that_is_a_path_is_quarantined_under_its_digest(web: WebProcess) -> None:
    for uid in ("../../../tmp/evil", "/etc/cron.d/x", "1.2.3\\..\\x", "1" * 65):
        answer = stow(web, part10(50, uid=uid))
        assert answer.status == 409
        assert failures(answer)[0] in (0xC000, 0xA900)
    assert all(len(path.name) == 64 for path in web.files("quarantine"))


def test_pipelined_requests_are_answered_in_order(web: WebProcess) -> None:
    request = head("GET", "/health/live")
    with web.raw() as sock:
        sock.sendall(request * 3 + head("GET", "/nothing", "Connection: close"))
        content = b""
        while piece := sock.recv(65536):
            content += piece
    assert content.count(b"HTTP/1.1 200") == 3
    assert content.rindex(b"HTTP/1.1 404") > content.rindex(b"HTTP/1.1 200")


def test_a_flood_of_connections_is_turned_away_and_forgotten(start_web: StartWeb) -> None:
    web = start_web(web="connections = 8\nstall_seconds = 5\n")
    path = STORE + b"Content-Length: 100000\r\n\r\n--x"
    with contextlib.ExitStack() as stack:
        busy = [stack.enter_context(web.raw()) for _ in range(8)]
        for sock in busy:
            sock.sendall(path)
        answers = []
        for _ in range(8):
            with web.raw() as sock:
                with contextlib.suppress(ConnectionError):
                    sock.sendall(head("GET", "/health/live"))
                answers.append(answer_on(sock).status)
        assert set(answers) <= {503, 0}
    wait_until(lambda: web.call("GET", "/health/live").status == 200, "the node to be free again", seconds=20)
