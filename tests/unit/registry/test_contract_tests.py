"""A package that breaks its word must not become a candidate, whatever its task: here one fault at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echonode.core.codes import Code
from echonode.core.errors import PackageInvalid, RunFailed
from echonode.core.package import Package
from echonode.core.ports import RunRequest
from echonode.core.results import (
    Details,
    Embedding,
    Ineligible,
    LabelMap,
    Measurement,
    Picture,
    Result,
    RunOutcome,
)
from echonode.registry.contract_tests import Check, Probe, contract_tests, hold, passed

PACKAGE = Package(name="made-up", version="1", task="any", title="Any", folder=Path("made-up"), digest="d" * 64)
EF = Code("10230-1", "LN", "Ejection fraction")
PERCENT = Code("%", "UCUM", "percent")
REFUSED = (Ineligible(reason="this is nothing that I know"),)
Says = Callable[[str, int], Sequence[Result] | RunFailed]


def measured(value: float = 55.0, *, frames: tuple[int, ...] = (0, 4)) -> Measurement:
    return Measurement(concept=EF, value=value, unit=PERCENT, frames=frames)


class Scripted:
    """An Executor whose model says what a test wants: `says(name of the source, how often it was asked)`."""

    def __init__(self, says: Says, *, digest: str = PACKAGE.digest) -> None:
        self._says, self._digest = says, digest
        self._asked: dict[str, int] = {}

    def submit(self, request: RunRequest, **_: Any) -> Future[RunOutcome]:
        name = request.source.name
        self._asked[name] = self._asked.get(name, 0) + 1
        answer, future = self._says(name, self._asked[name]), Future[RunOutcome]()
        if isinstance(answer, RunFailed):
            future.set_exception(answer)
        else:
            details = {"package_digest": self._digest}
            future.set_result(RunOutcome(results=tuple(answer), seconds=0.1, device="cpu", details=details))
        return future

    def capacity(self, package: Path) -> int:
        return 1

    def health(self) -> dict[str, Any]:
        return {}

    def shutdown(self) -> None:
        return


def checked(folder: Path, says: Says, *, peak: int | None = 1 << 30, digest: str = PACKAGE.digest) -> list[Check]:
    probes = [
        Probe(name="a heart", source=Path("heart"), fits=True, frames=10, rows=8, columns=6),
        Probe(name="noise", source=Path("noise"), fits=False, frames=10, rows=8, columns=6),
    ]
    executor = Scripted(says, digest=digest)
    return contract_tests(PACKAGE, probes, executor=executor, spool=folder, peak_bytes=lambda: peak)


def wrong(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if not check.ok]


def hearts_alone(*results: Result) -> Says:
    return lambda name, _asked: results if name == "heart" else REFUSED


def test_a_package_that_keeps_its_word_passes(tmp_path: Path) -> None:
    checks = checked(tmp_path, hearts_alone(measured(), Details(values={"spread": float("nan")})))
    assert passed(checks)
    assert [check.name for check in checks] == [
        "loads", "answers", "shapes", "deterministic", "keeps", "nonsense", "memory",
    ]  # fmt: skip
    hold(PACKAGE, checks)


def test_what_cannot_be_loaded_is_said_at_once(tmp_path: Path) -> None:
    checks = checked(tmp_path, lambda *_: RunFailed("the model cannot be loaded: no such layer"))
    assert wrong(checks) == ["loads"]
    with pytest.raises(PackageInvalid, match=r"made-up fails its contract tests: loads: .*no such layer"):
        hold(PACKAGE, checks)


FAULTS: list[tuple[str, Says]] = [
    ("answers", lambda name, _: RunFailed("crashed (signal 11)") if name == "heart" else REFUSED),
    ("answers", lambda *_: REFUSED),
    ("deterministic", lambda name, asked: (measured(50.0 + asked),) if name == "heart" else REFUSED),
    ("deterministic", lambda name, asked: (measured(),) * asked if name == "heart" else REFUSED),
    ("nonsense", lambda name, _: (measured(),) if name == "heart" else RunFailed("crashed (signal 11)")),
    ("nonsense", lambda name, _: (measured(),) if name == "heart" else ()),
    ("shapes", hearts_alone(measured(frames=(10,)))),
    ("shapes", hearts_alone(replace(measured(), uncertainty=float("nan")))),
    ("shapes", hearts_alone(LabelMap(labels=np.ones((1, 8, 6), np.uint8), frames=(0,), segments={2: EF}))),
    ("shapes", hearts_alone(LabelMap(labels=np.ones((1, 8, 7), np.uint8), frames=(0,), segments={1: EF}))),
    ("shapes", hearts_alone(LabelMap(labels=np.ones((2, 8, 6), np.uint8), frames=(0,), segments={1: EF}))),
    ("shapes", hearts_alone(Picture(pixels=np.zeros((8, 6), np.uint8), title="grey"))),
    ("shapes", hearts_alone(Embedding(vector=np.array([1.0, np.nan], np.float32), space="s"))),
]


@pytest.mark.parametrize(("fault", "says"), FAULTS)
def test_each_fault_is_found(tmp_path: Path, fault: str, says: Says) -> None:
    checks = checked(tmp_path, says)
    assert fault in wrong(checks)
    assert not passed(checks)


def test_pixels_that_differ_in_one_place_are_not_the_same_answer(tmp_path: Path) -> None:
    def says(name: str, asked: int) -> Sequence[Result]:
        pixels = np.zeros((4, 4, 3), np.uint8)
        pixels[0, 0, 0] = asked
        return (Picture(pixels=pixels, title="drawn"),) if name == "heart" else REFUSED

    assert wrong(checked(tmp_path, says)) == ["deterministic"]


def test_too_much_memory_is_refused_and_unknown_memory_is_said(tmp_path: Path) -> None:
    assert wrong(checked(tmp_path / "a", hearts_alone(measured()), peak=9 << 30)) == ["memory"]
    assert checked(tmp_path / "b", hearts_alone(measured()), peak=None)[-1].says == "not tested"


def test_a_runner_that_loads_another_package_is_caught(tmp_path: Path) -> None:
    assert wrong(checked(tmp_path, hearts_alone(measured()), digest="e" * 64)) == ["loads"]
