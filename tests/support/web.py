"""One real web process on loopback with its archive, plain HTTP towards it, and its memory."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echonode.archive.archive import Archive
from echonode.core.configuration import Configuration, load_configuration
from echonode.node import open_archive


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the node said to one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class WebProcess:
    """`python -m echonode.node web` on a folder of its own, as the supervisor runs it."""

    def __init__(
        self, folder: Path, *, port: int, web: str = "", more: str = "", tokens: str = "", full: bool = False
    ) -> None:
        self.folder, self.port = folder, port
        self.config = folder / "config"
        self.config.mkdir(parents=True)
        (self.config / "node.toml").write_text(
            f'[storage]\nroot = "{folder / "data"}"\nrefuse_below_bytes = {1 << 60 if full else 0}\nwarn_below_bytes = 0\n'
            f"[models]\npaths = []\n[web]\nport = {port}\n{web}\n{more}"
        )
        if tokens:
            (self.config / "tokens.toml").write_text(tokens)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def configuration(self) -> Configuration:
        return load_configuration(self.config)

    @property
    def log(self) -> Path:
        return self.folder / "web.log"

    def start(self) -> WebProcess:
        """Start, and wait until it listens."""
        open_archive(self.configuration, migrate=True).close()
        with socket.socket() as listener, self.log.open("a") as log:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(128)
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "echonode.node", "web", str(self.config), str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(listener.fileno(),),
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", self.log.read_text()[-3000:]
        return self

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._ended(30)

    def close(self) -> None:
        """End it if it still runs."""
        if self.process is not None:
            self.process.kill()
            self._ended(10)

    def _ended(self, seconds: float) -> int:
        assert self.process is not None
        code = self.process.wait(seconds)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self.process = None
        return code

    def call(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
            return Answer(
                status=response.status,
                headers={name.lower(): value for name, value in response.getheaders()},
                body=content,
            )
        finally:
            connection.close()

    def raw(self, seconds: float = 10.0) -> socket.socket:
        """A connection for bytes that no HTTP client would send."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def memory(self) -> int:
        """Resident bytes of the process now, shared ones aside."""
        return self._status("RssAnon")

    def peak(self) -> int:
        """The most resident bytes that it ever had."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        assert self.process is not None
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    def files(self, folder: str) -> list[Path]:
        """Every file below a folder of the store, locks aside."""
        return [path for path in (self.folder / "data" / folder).rglob("*") if path.is_file() and path.name != "lock"]

    @contextlib.contextmanager
    def archive(self) -> Iterator[Archive]:
        """The archive, from outside."""
        archive = open_archive(self.configuration)
        try:
            yield archive
        finally:
            archive.close()


def answer_on(sock: socket.socket) -> Answer:
    """The next whole answer on a raw connection; status 0 when the node closed it without one."""
    content = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n\r\n" not in content:
            piece = sock.recv(65536)
            if not piece:
                break
            content += piece
    head, _, body = content.partition(b"\r\n\r\n")
    if not head:
        return Answer(status=0, headers={}, body=b"")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    length = int(headers.get("content-length", "0"))
    with contextlib.suppress(ConnectionError):
        while len(body) < length:
            piece = sock.recv(65536)
            if not piece:
                break
            body += piece
    return Answer(status=int(lines[0].split()[1]), headers=headers, body=body)
