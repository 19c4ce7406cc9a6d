"""SIGKILL at any instant: nothing that was acknowledged is lost, nothing is there twice, nothing is half there."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from echonode.archive.schema import METADATA
from echonode.core.received import Verdict
from echonode.flow.orphans import sweep_orphans
from tests.support.door import DoorBench
from tests.support.killed import content_of


def run_and_kill(root: Path, first: int, *, after: float, checkout: Path) -> list[int]:
    """The numbers that a process acknowledged before it was killed, `after` seconds after its first one."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.killed", str(root), str(first)], cwd=checkout, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        begin = process.stdout.readline()
        assert begin, "the process ended before it stored anything"
        try:
            process.wait(timeout=after)
        except subprocess.TimeoutExpired:
            process.kill()
        rest = process.stdout.read()
    return [int(line) for line in (begin + rest).split(b"\n")[:-1]]


@pytest.mark.parametrize("rounds", [3, pytest.param(25, marks=pytest.mark.slow)])
def test_killing_the_process_again_and_again(tmp_path: Path, checkout: Path, rounds: int) -> None:
    chance = random.Random(rounds)
    acknowledged: set[int] = set()
    for _ in range(rounds):
        unsure = min(set(range(len(acknowledged) + 1)) - acknowledged)  # the sender repeats what it has no receipt for
        acknowledged.update(run_and_kill(tmp_path, unsure, after=chance.uniform(0.0, 0.3), checkout=checkout))

    door = DoorBench(tmp_path)
    with door.archive.reading() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        rows = {
            table.name: connection.execute(text(f"SELECT count(*) FROM {table.name}")).scalar_one()
            for table in METADATA.sorted_tables
        }
        for child, parent in (("instance", "series"), ("instance", "study"), ("series", "study"), ("study", "patient")):
            empty = f"SELECT count(*) FROM {parent} WHERE id NOT IN (SELECT {parent}_fk FROM {child})"
            assert connection.execute(text(empty)).scalar() == 0, f"a {parent} without any {child}"
    stored = {instance.sop_instance_uid: instance for instance in door.archive.index.instances()}
    for number in acknowledged:
        content = content_of(number)
        instance = stored[f"1.2.3.{number // 7}.9.{number}"]
        assert instance.sha256 == hashlib.sha256(content).hexdigest()
        assert door.stored_bytes(instance.sop_instance_uid) == content
        assert door.send(content).verdict is Verdict.DUPLICATE
    assert all(Path(instance.path).exists() for instance in stored.values()), "a row without its file"
    assert rows["instance"] == rows["workitem"] == rows["audit"] == len(stored) >= len(acknowledged)

    assert sweep_orphans(door.archive, door.blobs, older_than=-1).parts <= 4 * rounds
    assert door.files("parts") == []
    assert len(door.files("objects")) == len(stored), "a file without its row"
    assert door.archive.activity.reap() >= 1, "associations of killed processes do not stay open"
    assert door.archive.activity.count_open() <= 1
    door.archive.close()


def test_a_new_door_sweeps_what_a_killed_process_was_receiving(tmp_path: Path, checkout: Path) -> None:
    half = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from echonode.archive.blobs import LocalBlobs\n"
        "part = LocalBlobs(Path(sys.argv[1])).new_part()\n"
        "part.write_bytes(b'half an echo')\n"
        "print(part, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", half, str(tmp_path)],
        cwd=checkout,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        part = Path(process.stdout.readline().strip())
        door = DoorBench(tmp_path)
        assert part.exists(), "a process that lives is still receiving it"
        door.archive.close()
        process.kill()
        process.wait()
    door = DoorBench(tmp_path)
    assert not part.exists()
    door.archive.close()
