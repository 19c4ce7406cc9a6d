"""The commands against a running node: refused, let in, sent, found, fetched, paused, asked for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from echonode.cli.demo import example_loop
from echonode.cli.main import execute
from tests.support.waiting import wait_until

STUDY = "1.2.840.114340.3.8251017118051.1.20160503.120850.2171"
OBJECT = "1.2.840.114340.3.8251017118051.3.20160503.121539.16117.4"


class Site:
    """A configuration, and the node that runs with it."""

    def __init__(self, folder: Path, port: int, checkout: Path) -> None:
        self.folder, self.port, self.log = folder, port, folder / "node.log"
        self.address = f"ECHONODE@127.0.0.1:{port}"
        (folder / "node.toml").write_text(
            f'[node]\nport = {port}\n[dimse]\nacceptors = 1\n[models]\npaths = ["{checkout / "models"}"]\n'
            "[storage]\nrefuse_below_bytes = 1048576\n[web]\nenabled = false\n"
        )
        (folder / "peers.toml").write_text("")
        (folder / "routes.toml").write_text((checkout / "ae_config" / "routes.toml").read_text())

    def start(self) -> None:
        command = [sys.executable, "-m", "echonode", "serve", "--config", str(self.folder)]
        with self.log.open("w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        wait_until(lambda: "echonode is ready" in self.log.read_text(), "the node's start")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Site]:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    site = Site(tmp_path_factory.mktemp("ae_config"), port, checkout)
    site.start()
    yield site
    site.kill()


def run(site: Site, *arguments: str) -> int:
    return execute([*arguments, "--config", str(site.folder)])


def rows(site: Site, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    capsys.readouterr()
    assert run(site, *arguments, "--json") == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def slow_motion(site: Site, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Runs of that task; other routes take the example loop too."""
    return [row for row in rows(site, capsys, "work", "list") if row["queue"] in ("refined-flow", "optical-flow")]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_site_from_the_first_refusal_to_the_second_run(
    site: Site, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # a stranger is refused, and `refused` shows lines that let it in as they stand
    assert run(site, "send", str(example_loop()), "--to", site.address, "--as", "VIVID") == 1
    assert "Calling AE title not recognised" in capsys.readouterr().err
    wait_until(lambda: bool(rows(site, capsys, "refused")), "the note of the refusal")
    assert run(site, "refused") == 0
    advice = capsys.readouterr().out
    (site.folder / "peers.toml").write_text(
        advice[advice.rindex("\n[[peer]]") :].replace('"store"', '"store", "query", "retrieve"')
    )
    site.stop()
    site.start()

    # paused work waits, and says so
    assert run(site, "pause", "route", "slow-motion", "--reason", "probe is being cleaned") == 0
    assert run(site, "send", str(example_loop()), "--to", site.address, "--as", "VIVID") == 0
    (item,) = slow_motion(site, capsys)
    assert item["state"] == "SCHEDULED"
    assert run(site, "work", "list") == 0
    assert "route slow-motion is paused" in capsys.readouterr().out
    assert run(site, "resume", "route", "slow-motion") == 0
    wait_until(lambda: [row["state"] for row in slow_motion(site, capsys)] == ["COMPLETED"], "the run")

    # the study is found, told and fetched, its result with it
    assert run(site, "query", "PatientID=204", "--to", site.address, "--as", "VIVID") == 0
    out = capsys.readouterr().out
    assert STUDY in out
    assert " PLA " in out
    assert run(site, "study", "show", STUDY) == 0
    told = capsys.readouterr().out
    assert "route slow-motion: matches" in told
    assert "made slow-motion" in told
    assert [row["StudyInstanceUID"] for row in rows(site, capsys, "study", "list")] == [STUDY]
    assert run(site, "retrieve", "--to", site.address, "--as", "VIVID", "--study", STUDY, "--out", str(tmp_path)) == 0
    assert len(list(tmp_path.glob("*.dcm"))) == 2
    assert (tmp_path / f"{OBJECT}.dcm").is_file()

    # a run by hand
    assert run(site, "request", "slow_motion", OBJECT, "-p", "factor=2") == 0
    wait_until(lambda: [row["state"] for row in slow_motion(site, capsys)] == ["COMPLETED"] * 2, "the second run")
    assert run(site, "work", "retry", str(slow_motion(site, capsys)[0]["id"])[:8]) == 0
    assert run(site, "peers", "check", site.address, "--as", "VIVID") == 0
    assert "explicit, implicit, jpeg" in capsys.readouterr().out


def test_a_peer_that_does_not_answer_is_one_line_and_exit_code_1(
    site: Site, capsys: pytest.CaptureFixture[str], free_port: Callable[[], int]
) -> None:
    nobody = f"NOBODY@127.0.0.1:{free_port()}"
    for arguments in (["send", str(example_loop())], ["query"], ["retrieve", "--study", "1.2.3"]):
        assert run(site, *arguments, "--to", nobody) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "cannot be reached" in line
