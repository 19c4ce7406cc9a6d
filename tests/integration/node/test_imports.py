"""What a process loads: a scanner must not wait for torch, and an acceptor decodes nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "cv2", "av", "highdicom", "scipy")


@pytest.mark.parametrize(
    ("modules", "without"),
    [
        ("echonode.node, echonode.supervisor, echonode.flow.ingest", HEAVY),
        ("echonode.node, echonode.dimse.acceptor", ("torch", "highdicom")),
        ("echonode.node, echonode.flow.run, echonode.execution.local, echonode.dimse.sender", ("torch",)),
        ("echonode.node, echonode.core.task", ("torch",)),
        ("echonode.sweeps, echonode.trainer, echonode.training_process", ("torch", "echonode.training.run")),
    ],
    ids=["supervisor", "acceptor", "worker", "tasks", "trainings"],
)
def test_a_process_does_not_load_what_it_does_not_need(modules: str, without: tuple[str, ...]) -> None:
    """Each would cost a second of every start and hundreds of megabytes of every process."""
    code = (
        f"import sys; import {modules}; from echonode.core.task import installed_tasks; assert installed_tasks();"
        f"print([name for name in {without!r} if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"
