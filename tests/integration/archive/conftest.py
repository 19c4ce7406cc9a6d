"""A door for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.door import DoorBench


@pytest.fixture
def door(tmp_path: Path) -> Iterator[DoorBench]:
    made = DoorBench(tmp_path)
    yield made
    made.archive.close()
