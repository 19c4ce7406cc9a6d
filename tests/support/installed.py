"""A task of the tests as an installed package: any process that has the folder on PYTHONPATH finds it by entry point."""

from __future__ import annotations

import os
from pathlib import Path

TINY = "tests.support.tiny_recipe:TASK"


def install_task(site: Path, *, checkout: Path, name: str = "tiny", task: str = TINY) -> str:
    """Announce `task` in `site` as an installed package does; the PYTHONPATH with which a process finds it."""
    described = site / f"echonode_{name}-1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: echonode-{name}\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(f"[echonode.tasks]\n{name} = {task}\n")
    return os.pathsep.join([str(site), str(checkout)])
