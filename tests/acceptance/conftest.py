"""A real node in real processes, with a DCMTK or Orthanc peer, on loopback and in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.orthanc import Orthanc, orthanc_settings
from tests.support.waiting import wait_until

ECHONODE = str(Path(sys.executable).with_name("echonode"))
ROUTES = """
[[route]]
name = "slow-motion"
task = "slow_motion"
model = "optical-flow"
parameters = { factor = 4 }
deliver_to = ["pacs"]
[route.when]
modality = ["US"]
frames_min = 2

[[destination]]
name = "pacs"
peer = "pacs"
"""


def listens(port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True, kw_only=True)
class RunningNode:
    """A node that `echonode serve` runs."""

    port: int
    config: Path
    process: subprocess.Popen[bytes]
    ae_title: str = "ECHONODE"

    def cli(self, *arguments: str, ok: bool = True) -> str:
        """What the command line says against this node's configuration."""
        done = subprocess.run(
            [ECHONODE, *arguments],
            env=os.environ | {"ECHONODE_CONFIG": str(self.config), "COLUMNS": "200", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert not ok or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def work(self, *arguments: str) -> list[dict[str, Any]]:
        """The node's workitems."""
        found: list[dict[str, Any]] = json.loads(self.cli("work", "list", "--json", "--limit", "500", *arguments))
        return found


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a program that the test ends by its own pid."""
    with ExitStack() as stack:

        def run(*command: str, log: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
            output = stack.enter_context(log.open("wb"))
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | (env or {}))

            def end() -> None:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                    try:
                        process.wait(30)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait(10)

            stack.callback(end)
            return process

        yield run


@pytest.fixture
def node(
    tmp_path: Path, free_port: Callable[[], int], start: Callable[..., subprocess.Popen[bytes]], checkout: Path
) -> Callable[..., RunningNode]:
    """Start a node whose PACS listens on a given port."""

    def run(
        *,
        pacs_port: int,
        pacs_title: str = "PACS",
        routes: str = ROUTES,
        web_port: int = 0,
        dicomweb: str = "",
        views: str = "",
        models: str = "",
        execution: str = "",
    ) -> RunningNode:
        config, port = tmp_path / "node", free_port()
        config.mkdir()
        (config / "node.toml").write_text(
            f"[node]\nport = {port}\n[models]\npaths = ['{checkout / 'models'}']\n{models}\n"
            f"[execution]\n{execution}\n[settle]\nquiet_seconds = 2\nstress_quiet_seconds = 3\n[work]\nbackoff_seconds = 1\n"
            "[storage]\nrefuse_below_bytes = 0\nwarn_below_bytes = 0\n"
            + (f"[web]\nport = {web_port}\n" if web_port else "[web]\nenabled = false\n")
        )
        (config / "peers.toml").write_text(
            "[[peer]]\nname = 'scanner'\nae_title = 'SCANNER'\n"
            f"[[peer]]\nname = 'pacs'\nae_title = '{pacs_title}'\nhost = '127.0.0.1'\nport = {pacs_port}\n"
            "rights = ['store', 'query', 'retrieve']\n" + (f"dicomweb = '{dicomweb}'\n" if dicomweb else "")
        )
        (config / "routes.toml").write_text(routes)
        if views:
            (config / "views.toml").write_text(views)
        log = tmp_path / "node.log"
        process = start(ECHONODE, "serve", "--config", str(config), log=log)
        wait_until(
            lambda: listens(port) or process.poll() is not None, seconds=60, what=f"the node to listen on {port}"
        )
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        return RunningNode(port=port, config=config, process=process)

    return run


@pytest.fixture
def orthanc(
    tmp_path: Path,
    free_port: Callable[[], int],
    start: Callable[..., subprocess.Popen[bytes]],
    program: Callable[[str], str],
) -> Orthanc:
    """An Orthanc of this test's own that takes what it is sent."""
    http, dicom = free_port(), free_port()
    settings = orthanc_settings(tmp_path / "orthanc", http=http, dicom=dicom)
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    start(program("Orthanc"), str(tmp_path / "orthanc.json"), log=tmp_path / "orthanc.log", env={"TCP_NODELAY": "1"})
    wait_until(lambda: listens(http) and listens(dicom), seconds=60, what="Orthanc to listen")
    return Orthanc(http, dicom)
