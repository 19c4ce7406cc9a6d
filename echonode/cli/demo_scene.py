"""The three parties of `echonode demo`: a node in a process of its own, a scanner that sends, a PACS that receives."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pydicom
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from echonode.core.errors import EchonodeError
from echonode.dimse.classes import STORAGE_CLASSES, VERIFICATION, storage_syntaxes

LOOPBACK = "127.0.0.1"
NODE_TITLE, SCANNER_TITLE, PACS_TITLE = "ECHONODE", "SCANNER", "PACS"
READY = "echonode is ready"

NODE_TOML = """\
[node]
port = {port}

[storage]
root = "data"
refuse_below_bytes = 268435456
warn_below_bytes = 268435456

[dimse]
acceptors = 1

[web]
enabled = false

[models]
paths = ["{models}"]

[settle]
quiet_seconds = 3.0

[log]
level = "info"
format = "json"
"""
PEERS_TOML = f"""\
[[peer]]
name = "scanner"
ae_title = "{SCANNER_TITLE}"
addresses = ["{LOOPBACK}"]
rights = ["store"]

[[peer]]
name = "pacs"
ae_title = "{PACS_TITLE}"
host = "{LOOPBACK}"
port = {{port}}
rights = ["store", "query", "retrieve"]
"""
DESTINATION_TOML = """
[[destination]]
name = "pacs"
peer = "pacs"
"""


class DemoFailed(EchonodeError):
    """The demonstration did not come to its end, with the reason."""


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def write_configuration(
    folder: Path, *, models: Path, shipped: Path, node_port: int, pacs_port: int, factor: int
) -> None:
    """The files of the demonstration's node: the rules are the `shipped` ones, and the PACS gets all that they make."""
    folder.mkdir(parents=True, exist_ok=True)
    path = str(models).replace("\\", "\\\\").replace('"', '\\"')
    (folder / "node.toml").write_text(NODE_TOML.format(port=node_port, models=path))
    (folder / "peers.toml").write_text(PEERS_TOML.format(port=pacs_port))
    rules = (shipped / "routes.toml").read_text(encoding="utf-8")
    rules = re.sub(r"(?m)^deliver_to = \[\]", 'deliver_to = ["pacs"]', rules)
    rules = re.sub(r"(?m)^(parameters = .*)factor = [0-9]+", rf"\g<1>factor = {factor}", rules)
    (folder / "routes.toml").write_text(rules + DESTINATION_TOML, encoding="utf-8")
    (folder / "views.toml").write_text((shipped / "views.toml").read_text(encoding="utf-8"), encoding="utf-8")


def wait_for(ready: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Return when `ready()`.

    Raises:
        DemoFailed: it was not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise DemoFailed(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.05)


@dataclass
class Arrival:
    """One object that reached the PACS; `at` is the wall clock."""

    path: Path
    at: float
    calling_ae: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass
class Pacs:
    """A storage SCP that writes what it gets into `folder`; a context manager."""

    folder: Path
    port: int
    arrivals: list[Arrival] = field(default_factory=list)

    def __enter__(self) -> Pacs:
        self.folder.mkdir(parents=True, exist_ok=True)
        syntaxes = sorted(storage_syntaxes(deflate=False))
        entity = AE(ae_title=PACS_TITLE)
        for uid in STORAGE_CLASSES:
            entity.add_supported_context(uid, syntaxes)
        entity.add_supported_context(VERIFICATION)
        entity.maximum_pdu_size = 1 << 20
        try:
            self._server = entity.start_server(
                (LOOPBACK, self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
            )
        except OSError as error:
            raise DemoFailed(f"the PACS cannot listen on port {self.port}: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()

    def _store(self, event: Any) -> int:
        request = event.request
        path = self.folder / f"{len(self.arrivals) + 1:03d}.dcm"
        path.write_bytes(event.encoded_dataset())
        self.arrivals.append(
            Arrival(
                path=path,
                at=time.time(),
                calling_ae=str(event.assoc.requestor.ae_title).strip(),
                sop_class_uid=str(request.AffectedSOPClassUID),
                sop_instance_uid=str(request.AffectedSOPInstanceUID),
                transfer_syntax_uid=str(event.context.transfer_syntax),
            )
        )
        return 0x0000


def echo(port: int) -> bool:
    """Whether the node answers a C-ECHO of the scanner."""
    entity = AE(ae_title=SCANNER_TITLE)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = 5
    association = entity.associate(LOOPBACK, port, [build_context(VERIFICATION)], ae_title=NODE_TITLE)
    if not association.is_established:
        return False
    try:
        status = association.send_c_echo()
        return getattr(status, "Status", None) == 0x0000
    finally:
        association.release()


def push(port: int, file: Path) -> float:
    """Send `file` as the scanner; seconds from the association request to its release.

    Raises:
        DemoFailed: the node did not take it.
    """
    data = pydicom.dcmread(file)
    entity = AE(ae_title=SCANNER_TITLE)
    entity.connection_timeout = entity.acse_timeout = 10
    entity.dimse_timeout = 60
    start = time.monotonic()
    contexts = [build_context(data.SOPClassUID, [data.file_meta.TransferSyntaxUID])]
    association = entity.associate(LOOPBACK, port, contexts, ae_title=NODE_TITLE)
    if not association.is_established:
        raise DemoFailed("the node did not accept the scanner's association")
    status = association.send_c_store(data)
    association.release()
    code = getattr(status, "Status", None)
    if code != 0x0000:
        said = "nothing" if code is None else f"status {code:04X}H"
        raise DemoFailed(f"the node did not store the loop: it answered {said}")
    return time.monotonic() - start


@dataclass
class Node:
    """`echonode serve` as a child process with its log in a file; a context manager that ends it."""

    folder: Path
    log: Path

    def __enter__(self) -> Node:
        environment = {key: value for key, value in os.environ.items() if key != "ECHONODE_CONFIG"}
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "echonode", "serve", "--config", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def require_running(self) -> bool:
        """True while it runs.

        Raises:
            DemoFailed: it has ended, with the last line of its log.
        """
        code = self._process.poll()
        if code is not None:
            raise DemoFailed(f"the node ended with exit code {code}: {self.last_line()}")
        return True

    def is_ready(self) -> bool:
        """Whether it has said that it takes connections.

        Raises:
            DemoFailed: it has ended, with the last line of its log.
        """
        return self.require_running() and READY in self.log.read_text(errors="replace")

    def stop(self) -> int:
        """End it as systemd would, and wait; its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def last_line(self) -> str:
        """The last line of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1] if lines else "its log is empty"
