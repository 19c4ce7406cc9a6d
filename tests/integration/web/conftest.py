"""Web processes on loopback."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.web import WebProcess

StartWeb = Callable[..., WebProcess]


@pytest.fixture
def start_web(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[StartWeb]:
    """Starts web processes; `web` holds lines of [web], `more` further sections, `tokens` is tokens.toml.

    With `full` its disk counts as full.
    """
    running: list[WebProcess] = []

    def start(**options: Any) -> WebProcess:
        process = WebProcess(tmp_path / f"node{len(running)}", port=free_port(), **options)
        running.append(process)
        return process.start()

    yield start
    for process in running:
        process.close()


@pytest.fixture
def web(start_web: StartWeb) -> WebProcess:
    """A web process with default settings and without tokens."""
    return start_web()


@pytest.fixture(scope="module")
def shared_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    """One web process for all tests of a module: each takes instance numbers of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = WebProcess(tmp_path_factory.mktemp("web") / "node", port=port)
    yield process.start()
    process.close()
