"""SIGKILL for any process at any instant: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

from collections import Counter

import pydicom
import pytest
from pydicom.dataset import Dataset

from echonode.core.states import WorkState
from echonode.core.work import WorkKind
from tests.support.live import Killer, LiveNode, Pacs, send
from tests.support.loops import loop_dataset
from tests.support.waiting import wait_until


def acknowledged(node: LiveNode, killer: Killer, *, seeds: range) -> dict[str, bytes]:
    """Send a loop for each seed until it is acknowledged, and the last again until all kills are made; UID -> pixels."""
    sent: dict[str, bytes] = {}
    killer.start()
    try:
        for seed in seeds:
            loop = loop_dataset(seed=seed, frames=6)
            last = seed == seeds[-1]

            def stored(loop: Dataset = loop, last: bool = last) -> bool:
                return send(node.port, loop) == [0x0000] and (not last or killer.done)

            wait_until(stored, f"loop {seed} to be acknowledged", seconds=120, every=0.1)
            sent[str(loop.SOPInstanceUID)] = bytes(loop.PixelData)
    finally:
        killer.stop()
    return sent


def check(node: LiveNode, pacs: Pacs, sent: dict[str, bytes], *, seconds: float) -> None:
    """Everything is there exactly once, in the archive and in the PACS."""
    with node.archive() as archive:
        wait_until(
            lambda: (
                len(done := archive.work.list(kind=WorkKind.DELIVER, limit=10_000)) == len(sent)
                and all(item.state is WorkState.COMPLETED for item in done)
            ),
            "every result to be delivered",
            seconds=seconds,
        )
        stored = archive.index.instances(sop_instance_uids=sent)
        assert Counter(each.sop_instance_uid for each in stored) == Counter(list(sent))
        for each in stored:
            assert pydicom.dcmread(each.path).PixelData == sent[each.sop_instance_uid]
        runs = archive.work.list(kind=WorkKind.RUN, limit=10_000)
        assert Counter(run.sop_instance_uid for run in runs) == Counter(list(sent))
        assert {run.state for run in runs} == {WorkState.COMPLETED}
        results = [run.outcome["sop_instance_uid"] for run in runs]
        assert len(set(results)) == len(sent)
        derived = [each for each in archive.index.instances() if each.derived]
        assert sorted(each.sop_instance_uid for each in derived) == sorted(results)
        assert all(archive.index.versions(uid) == [] for uid in [*results, *sent])
        assert archive.quarantine.list() == []
    assert set(pacs.times) == set(results)


def test_processes_are_killed_while_loops_come_in(node: LiveNode, pacs: Pacs) -> None:
    """A bad quarter of an hour, in seconds."""
    node.start()
    sent = acknowledged(node, Killer(node, seed=1, kills=5, pause=(0.1, 0.4)), seeds=range(6))
    check(node, pacs, sent, seconds=120)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_processes_and_their_supervisor_are_killed_for_long(node: LiveNode, pacs: Pacs, seed: int) -> None:
    """A bad night: every process, the supervisor too, again and again."""
    node.start()
    sent: dict[str, bytes] = {}
    for number in range(4):
        killer = Killer(node, seed=100 * seed + number, kills=8, pause=(0.05, 1.0))
        sent |= acknowledged(node, killer, seeds=range(10 * number, 10 * number + 8))
        node.kill()
        node.start()
    check(node, pacs, sent, seconds=240)
