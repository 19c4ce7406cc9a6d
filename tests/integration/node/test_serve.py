"""`echonode serve` as an operator meets it: starting, stopping, and what is told when it cannot."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from echonode.core.states import WorkState
from echonode.core.work import WorkKind
from tests.support.live import LiveNode, Pacs, send
from tests.support.loops import loop_dataset
from tests.support.waiting import process_is_alive, wait_until

ECHONODE = str(Path(sys.executable).parent / "echonode")


def test_a_loop_goes_in_and_its_slow_motion_reaches_the_pacs(node: LiveNode, pacs: Pacs, tmp_path: Path) -> None:
    """From the scanner's C-STORE to the PACS's, through every process; and nothing of torch outside runners."""
    node.start()
    loop = loop_dataset()
    assert send(node.port, loop) == [0x0000]
    wait_until(lambda: pacs.times, "the result to reach the PACS")
    (uid,) = pacs.times
    assert pacs.objects[uid].StudyInstanceUID == loop.StudyInstanceUID
    assert pacs.objects[uid].NumberOfFrames == 19
    for role in ("acceptor", "worker"):
        for pid in node.children(f"echonode.node {role}"):
            assert "libtorch" not in Path(f"/proc/{pid}/maps").read_text()
    assert node.process is not None
    assert "libtorch" not in Path(f"/proc/{node.process.pid}/maps").read_text()

    back = pacs.objects[uid]
    assert send(node.port, back, calling_ae="PACS") == [0x0000]
    twin = loop_dataset(seed=9, study_uid=loop.StudyInstanceUID, sop_instance_uid=loop.SOPInstanceUID)
    assert send(node.port, twin) == [0x0111]
    assert send(node.port, loop) == [0x0000]
    with node.archive() as archive:
        assert len(archive.work.list(kind=WorkKind.RUN)) == 1
        (stored, derived) = archive.index.instances(study_uid=loop.StudyInstanceUID)
        assert pydicom.dcmread(stored.path).PixelData == loop.PixelData
        assert derived.sop_instance_uid == uid
        assert len(archive.quarantine.list()) == 1
    assert node.stop() == 0
    assert pacs.times[uid] == 1


def test_stopping_in_the_middle_and_starting_again_completes_everything(node: LiveNode, pacs: Pacs) -> None:
    """An update of the node at noon."""
    node.start()
    loops = [loop_dataset(seed=seed) for seed in range(4)]
    assert send(node.port, *loops) == [0] * 4
    children = node.children()
    assert node.stop() == 0
    assert not any(map(process_is_alive, children))
    node.start()
    wait_until(lambda: len(pacs.times) == 4, "four results to reach the PACS")
    with node.archive() as archive:
        wait_until(
            lambda: all(item.state is WorkState.COMPLETED for item in archive.work.list()), "every item to be completed"
        )
        assert all(item.attempts == 1 for item in archive.work.list(kind=WorkKind.RUN))


def test_a_destination_that_is_down_is_served_when_it_comes_back(
    tmp_path: Path, free_port: Callable[[], int], checkout: Path
) -> None:
    """The PACS is restarted while the lab works."""
    port = free_port()
    node = LiveNode(tmp_path / "node", port=free_port(), pacs_port=port, checkout=checkout).start()
    try:
        assert send(node.port, loop_dataset()) == [0]
        with node.archive() as archive:
            wait_until(
                lambda: any(item.attempts > 1 for item in archive.work.list(kind=WorkKind.DELIVER)), "two attempts"
            )
            pacs = Pacs(port)
            wait_until(lambda: pacs.times, "the result to reach the PACS")
            pacs.close()
    finally:
        node.close()


def test_children_follow_their_supervisor(node: LiveNode) -> None:
    """A supervisor that is killed must not leave processes that hold the port."""
    node.start()
    assert len(node.children("echonode.node acceptor")) == 2
    node.kill()
    node.start()
    assert node.stop() == 0


def test_a_child_that_dies_is_started_again(node: LiveNode) -> None:
    """The node mends itself at night."""
    node.start()
    for role in ("acceptor", "worker"):
        before = set(node.children(f"echonode.node {role}"))
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(set(node.children(f"echonode.node {role}")) - before) == 1, f"another {role}")  # noqa: B023
    assert send(node.port, loop_dataset()) == [0]


def failing(node: LiveNode) -> tuple[int, str]:
    ended = subprocess.run(
        [ECHONODE, "serve", "--config", str(node.config)], capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, [line for line in ended.stderr.splitlines() if not line.startswith("{")][-1]


def test_a_port_that_is_taken_is_said_in_one_line(node: LiveNode) -> None:
    """The commonest mistake at the first start."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", node.port))
        other.listen()
        code, line = failing(node)
    assert code == 2
    assert f"cannot listen on 127.0.0.1:{node.port}: Address already in use" in line


def test_a_second_node_on_the_same_data_is_refused(node: LiveNode) -> None:
    """Two workers on one archive would do everything twice."""
    node.start()
    code, line = failing(node)
    assert code == 2
    assert "another echonode" in line
    assert node.process is not None
    assert str(node.process.pid) in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_ways_of_stopping_end_cleanly(node: LiveNode, number: int) -> None:
    """Ctrl-C and systemd."""
    node.start()
    children = node.children()
    assert node.process is not None
    node.process.send_signal(number)
    assert node.process.wait(timeout=60) == 0
    assert not any(map(process_is_alive, children))
