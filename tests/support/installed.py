"""The tiny recipe as an installed package: any process that has the folder on PYTHONPATH finds it by entry point."""

from __future__ import annotations

import os
from pathlib import Path

SPEC = """from echonode.core.task import TaskSpec

TASK = TaskSpec(
    name="tiny",
    title="Tiny",
    runner="tests.support.tiny_recipe:nothing",
    recipes={"tiny": "tests.support.tiny_recipe:main"},
    evaluations={"tiny": "tests.support.tiny_recipe:evaluate"},
)
"""


def install_tiny(site: Path, *, checkout: Path) -> str:
    """Lay the package out in `site` as an installer does; the PYTHONPATH with which a process finds it."""
    described = site / "echonode_tiny-1.0.dist-info"
    described.mkdir(parents=True)
    (site / "echonode_tiny.py").write_text(SPEC)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: echonode-tiny\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[echonode.tasks]\ntiny = echonode_tiny:TASK\n")
    return os.pathsep.join([str(site), str(checkout)])
