"""Web processes on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.web import WebProcess

StartWeb = Callable[..., WebProcess]


@pytest.fixture
def start_web(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[StartWeb]:
    """Starts web processes; `web` holds lines of [web], `more` further sections, `tokens` is tokens.toml."""
    running: list[WebProcess] = []

    def start(*, web: str = "", more: str = "", tokens: str = "") -> WebProcess:
        process = WebProcess(tmp_path / f"node{len(running)}", port=free_port(), web=web, more=more, tokens=tokens)
        running.append(process)
        return process.start()

    yield start
    for process in running:
        process.close()


@pytest.fixture
def web(start_web: StartWeb) -> WebProcess:
    """A web process with default settings and without tokens."""
    return start_web()
