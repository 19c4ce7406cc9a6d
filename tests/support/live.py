"""A real node in real processes, a real scanner and a real PACS beside it, all on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from echonode.archive.archive import Archive
from echonode.core.configuration import Configuration, load_configuration
from echonode.node import open_archive
from tests.support.loops import ULTRASOUND_MULTIFRAME
from tests.support.waiting import process_is_alive, wait_until

JPEG_BASELINE, EXPLICIT = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1"
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
SYNTAXES = [EXPLICIT, JPEG_BASELINE, "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2"]


class Pacs:
    """Keeps what it is sent: how often each UID came, and the bytes of each data set."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.times: Counter[str] = Counter()
        self.objects: dict[str, Dataset] = {}
        entity = AE(ae_title="PACS")
        entity.add_supported_context(ULTRASOUND_MULTIFRAME, SYNTAXES)
        entity.add_supported_context(COMPREHENSIVE_3D_SR, SYNTAXES)
        self._server = entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def close(self) -> None:
        self._server.shutdown()

    def _store(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.objects[uid] = dataset
        self.times[uid] += 1
        return 0x0000


def send(port: int, *datasets: Dataset, calling_ae: str = "SCANNER") -> list[int | None]:
    """Store over one association; the status of each object, None where no answer came."""
    entity = AE(ae_title=calling_ae)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    entity.connection_timeout = 5
    for syntax in sorted({str(dataset.file_meta.TransferSyntaxUID) for dataset in datasets}):
        entity.add_requested_context(ULTRASOUND_MULTIFRAME, syntax)
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return _send(entity, port, datasets)
    return [None] * len(datasets)


def _send(entity: AE, port: int, datasets: Sequence[Dataset]) -> list[int | None]:
    opened: list[socket.socket] = []
    # pynetdicom does not close a socket whose other end is gone.
    handlers = [(evt.EVT_CONN_OPEN, lambda event: opened.append(event.assoc.dul.socket.socket))]
    association = entity.associate("127.0.0.1", port, ae_title="ECHONODE", evt_handlers=handlers)
    statuses: list[int | None] = []
    for dataset in datasets:
        status = None
        if association.is_established:
            with contextlib.suppress(RuntimeError, ValueError):
                status = association.send_c_store(dataset).get("Status")
        statuses.append(status)
    if association.is_established:
        association.release()
    if association.is_alive():
        association.join(timeout=10)
    for each in opened:
        each.close()
    return statuses


class LiveNode:
    """`echonode serve` on a folder; `start` and `stop` as often as a test likes."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        pacs_port: int,
        checkout: Path,
        more: str = "",
        web_port: int = 0,
        report: str = "enabled = false",
    ) -> None:
        self.folder, self.port, self._checkout, self.web_port = folder, port, checkout, web_port
        web = f"port = {web_port}" if web_port else "enabled = false"
        config = folder / "config"
        config.mkdir(parents=True)
        (config / "node.toml").write_text(
            f'[node]\nport = {port}\n[storage]\nroot = "{folder / "data"}"\nrefuse_below_bytes = 0\n'
            f'warn_below_bytes = 0\n[models]\npaths = ["{checkout / "models"}"]\n[execution]\ndevices = ["cpu"]\n'
            "threads = 1\n[work]\nrun_attempts = 100\nbackoff_seconds = 0.2\nbackoff_longest_seconds = 1.0\n"
            f"poll_seconds = 0.05\n[web]\n{web}\n{more}"
        )
        (config / "peers.toml").write_text(
            '[[peer]]\nname = "scanner"\nae_title = "SCANNER"\n'
            f'[[peer]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {pacs_port}\n'
        )
        (config / "routes.toml").write_text(
            '[[route]]\nname = "slow"\ntask = "slow_motion"\nmodel = "optical-flow"\nparameters = {factor = 2}\n'
            'deliver_to = ["pacs"]\nwhen = {modality = ["US"]}\n[[destination]]\nname = "pacs"\npeer = "pacs"\n'
            f"[report]\n{report}\n"
        )
        self.config = config
        self.process: subprocess.Popen[str] | None = None

    @property
    def configuration(self) -> Configuration:
        return load_configuration(self.config)

    @property
    def log(self) -> Path:
        return self.folder / "node.log"

    def start(self) -> LiveNode:
        """Start, and wait for the ready line."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / "echonode"), "serve", "--config", str(self.config)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        site = f", http://127.0.0.1:{self.web_port}/dicom-web" if self.web_port else ""
        assert line == f"echonode is ready: ECHONODE on 127.0.0.1:{self.port}{site}\n", self.log.read_text()[-3000:]
        return self

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self._forget()
        return code

    def kill(self) -> None:
        """SIGKILL to the supervisor; its children must follow by themselves."""
        assert self.process is not None
        children = self.children()
        self.process.kill()
        self.process.wait()
        self._forget()
        wait_until(lambda: not any(map(process_is_alive, children)), "the children to follow their supervisor")

    def close(self) -> None:
        """End whatever still runs."""
        if self.process is not None:
            self.kill()

    def children(self, role: str = "") -> list[int]:
        """Process ids of all descendants whose command line contains `role`."""
        assert self.process is not None
        return [pid for pid in descendants(self.process.pid) if role in command_line(pid)]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of that event."""
        lines = (line for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in map(json.loads, lines) if line.get("event") == name]

    @contextlib.contextmanager
    def archive(self) -> Iterator[Archive]:
        """The node's archive, from outside."""
        archive = open_archive(self.configuration)
        try:
            yield archive
        finally:
            archive.close()

    def _forget(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None


class Killer(threading.Thread):
    """Kills `kills` processes of the node, one after another; on a slow machine more would never let it start."""

    def __init__(self, node: LiveNode, *, seed: int, kills: int, pause: tuple[float, float]) -> None:
        super().__init__(daemon=True)
        self._node, self._kills, self._pause = node, kills, pause
        self._random = random.Random(seed)
        self._stop_it = threading.Event()
        self.killed: Counter[str] = Counter()

    def run(self) -> None:
        while not self.done and not self._stop_it.wait(self._random.uniform(*self._pause)):
            role = self._random.choice(["acceptor", "worker", "execution.child"])
            pids = self._node.children(role)
            if pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._random.choice(pids), signal.SIGKILL)
                    self.killed[role] += 1

    @property
    def done(self) -> bool:
        """Whether all kills have been made."""
        return self.killed.total() >= self._kills

    def stop(self) -> None:
        self._stop_it.set()
        self.join()


def descendants(pid: int) -> list[int]:
    """Every process below `pid` now."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        for child in parents.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def command_line(pid: int) -> str:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
