"""A bench for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.bench import Bench


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkout: Path) -> Iterator[Callable[..., Bench]]:
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    benches: list[Bench] = []

    def build(**options: object) -> Bench:
        benches.append(Bench(tmp_path, **options))
        return benches[-1]

    yield build
    for bench in benches:
        bench.close()


@pytest.fixture
def bench(opened: Callable[..., Bench]) -> Bench:
    return opened()
