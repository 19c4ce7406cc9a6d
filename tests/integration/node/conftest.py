"""A live node with its PACS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.live import LiveNode, Pacs


@pytest.fixture
def pacs(free_port: Callable[[], int]) -> Iterator[Pacs]:
    server = Pacs(free_port())
    yield server
    server.close()


@pytest.fixture
def node(tmp_path: Path, free_port: Callable[[], int], pacs: Pacs, checkout: Path) -> Iterator[LiveNode]:
    live = LiveNode(tmp_path / "node", port=free_port(), pacs_port=pacs.port, checkout=checkout)
    yield live
    live.close()
