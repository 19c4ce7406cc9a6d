"""Whether a model package keeps its word: what it is held to before a person may let it at patients' objects.

Any package of any task is run in runner processes on probes: recordings that its input contract takes, and nonsense. The
caller makes the probes and hands in the executor, so nothing here knows what a picture of a heart looks like.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from echonode.core.errors import BadInput, PackageInvalid, RunFailed
from echonode.core.identity import new_id
from echonode.core.package import Package
from echonode.core.ports import Executor, RunRequest
from echonode.core.result_json import json_values, kind_of, results_of_json, results_to_json
from echonode.core.results import (
    Details,
    Embedding,
    Finding,
    Ineligible,
    LabelMap,
    Loop,
    Measurement,
    Picture,
    Result,
    RunOutcome,
)

RUN_SECONDS = 60.0
MEMORY_BYTES = 8 << 30
NOT_TESTED = "not tested"
_UNLOADABLE = "the model cannot be loaded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A file to run a model on. `fits`: the input contract takes it, so an answer is expected; what does not fit may be
    answered or refused, but nothing may break. `frames`, `rows` and `columns` are the file's, 0 where unknown."""

    name: str
    source: Path
    fits: bool
    facts: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    frames: int = 0
    rows: int = 0
    columns: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One row of the table: what was looked at, whether it is as it should be, and what was found in words."""

    name: str
    ok: bool
    says: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ran:
    probe: Probe
    answer: RunOutcome | RunFailed
    seconds: float

    @property
    def said(self) -> tuple[Result, ...]:
        """The results; none of a run that failed."""
        return self.answer.results if isinstance(self.answer, RunOutcome) else ()

    @property
    def answered(self) -> bool:
        """Whether anything but reasons came."""
        return any(not isinstance(each, Ineligible | Details) for each in self.said)

    @property
    def reasons(self) -> str:
        """Why not, in one line."""
        return "; ".join(each.reason for each in self.said if isinstance(each, Ineligible))


def contract_tests(
    package: Package,
    probes: Sequence[Probe],
    *,
    executor: Executor,
    spool: Path,
    peak_bytes: Callable[[], int | None],
    memory_bytes: int = MEMORY_BYTES,
    seconds: float = RUN_SECONDS,
) -> list[Check]:
    """Every check of the table, passed or not; later ones are left out where a package cannot be loaded.

    `spool` is an empty folder for what runs write, `peak_bytes` tells how much memory the runner has taken at most, None
    where that is not known. `seconds` bounds one run.
    """
    first: list[_Ran] = []
    for probe in probes:
        ran = _run(package, probe, executor, spool, seconds)
        first.append(ran)
        if isinstance(ran.answer, RunFailed) and _UNLOADABLE in str(ran.answer):
            return [Check(name="loads", ok=False, says=str(ran.answer))]
    again = {
        ran.probe.name: _run(package, ran.probe, executor, spool, seconds)
        for ran in first
        if ran.probe.fits or ran.answered
    }
    return [
        _loads(package, first),
        _answers(first),
        _shapes([*first, *again.values()]),
        _same([ran for ran in first if ran.probe.name in again], again),
        _keeps(first),
        _nonsense([ran for ran in first if not ran.probe.fits]),
        _memory(peak_bytes(), memory_bytes),
    ]


def passed(checks: Sequence[Check]) -> bool:
    """Whether the package may be registered."""
    return bool(checks) and all(check.ok for check in checks)


def checks_as_json(checks: Sequence[Check]) -> dict[str, Any]:
    """The table as it is kept."""
    return {check.name: {"ok": check.ok, "says": check.says} for check in checks}


def _run(package: Package, probe: Probe, executor: Executor, spool: Path, seconds: float) -> _Ran:
    run_id = new_id()
    folder = spool / run_id
    folder.mkdir(parents=True)
    begun = time.monotonic()
    request = RunRequest(
        run_id=run_id,
        task=package.task,
        package=package.folder,
        source=probe.source,
        spool=folder,
        parameters=probe.parameters,
        facts=probe.facts,
    )
    answer: RunOutcome | RunFailed
    try:
        # loading takes as long as a run may, and so does the run
        answer = executor.submit(request).result(timeout=3 * seconds)
    except RunFailed as error:
        answer = error
    except TimeoutError:
        answer = RunFailed(f"no answer within {3 * seconds:g} s")
    if isinstance(answer, RunFailed):
        shutil.rmtree(folder, ignore_errors=True)
    return _Ran(probe=probe, answer=answer, seconds=time.monotonic() - begun)


def _loads(package: Package, ran: Sequence[_Ran]) -> Check:
    digests = {
        str(each.answer.details.get("package_digest", package.digest))
        for each in ran
        if isinstance(each.answer, RunOutcome)
    }
    if digests - {package.digest}:
        return Check(name="loads", ok=False, says="the runner loaded another package than the one that was verified")
    if not digests:
        return Check(name="loads", ok=False, says=str(ran[0].answer) if ran else "there is nothing to run it on")
    slowest = max(each.seconds for each in ran)
    return Check(
        name="loads", ok=True, says=f"digest {package.digest[:16]}; {len(ran)} probes, the slowest {slowest:.1f} s"
    )


def _answers(ran: Sequence[_Ran]) -> Check:
    """A probe that fits is answered, and no run on one fails; a label map counts where a model starts from those."""
    broken = [each for each in ran if each.probe.fits and isinstance(each.answer, RunFailed)]
    if broken:
        return Check(name="answers", ok=False, says=f"{broken[0].probe.name}: {broken[0].answer}")
    answered = [each for each in ran if each.answered]
    if not answered:
        refused = next((each for each in ran if each.probe.fits and each.reasons), None)
        why = f": {refused.probe.name}: {refused.reasons}" if refused is not None else ""
        return Check(name="answers", ok=False, says=f"it answers none of the probes{why}; give it clips that it takes")
    kinds = sorted({kind_of(result) for each in answered for result in each.said if not isinstance(result, Details)})
    names = ", ".join(each.probe.name for each in answered if each.probe.fits) or answered[0].probe.name
    return Check(name="answers", ok=True, says=f"{' and '.join(kinds)} of {names}")


def _shapes(ran: Sequence[_Ran]) -> Check:
    for each in ran:
        for result in each.said:
            if fault := fault_of(result, each.probe):
                return Check(name="shapes", ok=False, says=f"{each.probe.name}: {kind_of(result)}: {fault}")
    return Check(name="shapes", ok=True, says=f"{sum(len(each.said) for each in ran)} results as they should be")


def _same(ran: Sequence[_Ran], again: Mapping[str, _Ran]) -> Check:
    for each in ran:
        if not same_results(each.said, again[each.probe.name].said):
            return Check(name="deterministic", ok=False, says=f"{each.probe.name}: the second run says something else")
    return Check(name="deterministic", ok=True, says=f"{len(ran)} probes say the same when run again")


def _keeps(ran: Sequence[_Ran]) -> Check:
    """What is kept as values comes back as it was."""
    for each in ran:
        values = [result for result in each.said if isinstance(result, Measurement | Finding | Ineligible)]
        try:
            back = results_of_json(json_values(results_to_json(values)))
        except (BadInput, ValueError, TypeError) as error:
            return Check(name="keeps", ok=False, says=f"{each.probe.name}: cannot be kept: {error}")
        if not same_results(values, back):
            return Check(name="keeps", ok=False, says=f"{each.probe.name}: is another when it is read back")
    return Check(name="keeps", ok=True, says="values are the same when they are read back")


def _nonsense(ran: Sequence[_Ran]) -> Check:
    broken = [each for each in ran if isinstance(each.answer, RunFailed)]
    if broken:
        return Check(name="nonsense", ok=False, says=f"{broken[0].probe.name}: {broken[0].answer}")
    if not ran:
        return Check(name="nonsense", ok=True, says=NOT_TESTED)
    silent = [each for each in ran if not each.said]
    if silent:
        return Check(name="nonsense", ok=False, says=f"{silent[0].probe.name}: neither an answer nor a reason")
    refused = [each.probe.name for each in ran if not each.answered]
    answered = [each.probe.name for each in ran if each.answered]
    words = [f"refuses {', '.join(refused)}"] if refused else []
    words += [f"answers {', '.join(answered)}"] if answered else []
    return Check(name="nonsense", ok=True, says="; ".join(words))


def _memory(peak: int | None, most: int) -> Check:
    if peak is None:
        return Check(name="memory", ok=True, says=NOT_TESTED)
    says = f"{peak / (1 << 30):.2f} GiB at most; {most / (1 << 30):.3g} GiB are allowed"
    return Check(name="memory", ok=peak <= most, says=says)


def fault_of(result: Result, probe: Probe) -> str:
    """What is wrong with a result of that probe; empty when nothing is."""
    match result:
        case Measurement() | Finding():
            if probe.frames and any(not 0 <= frame < probe.frames for frame in result.frames):
                return f"was read from a frame that the loop of {probe.frames} has not"
            limits = result.uncertainty if isinstance(result, Measurement) else None
            if limits is not None and not (math.isfinite(limits) and limits >= 0):
                return f"{result.concept.meaning} has limits that are no number"
        case LabelMap():
            return _fault_of_labels(result, probe)
        case Loop():
            if (probe.rows, probe.columns) != result.frames.shape[1:3] and probe.rows:
                return f"frames of {result.frames.shape[1:3]}, and its source has {(probe.rows, probe.columns)}"
            if (np.diff(result.times_ms) <= 0).any():
                return "times do not rise"
        case Picture():
            if result.pixels.dtype != np.uint8 or result.pixels.ndim != 3 or result.pixels.shape[2] != 3:
                return f"pixels must be uint8 H x W x 3, not {result.pixels.dtype} {result.pixels.shape}"
        case Embedding():
            if result.vector.ndim != 1 or not np.isfinite(result.vector).all():
                return "must be a vector of finite numbers"
    return ""


def _fault_of_labels(result: LabelMap, probe: Probe) -> str:
    labels = result.labels
    if labels.dtype != np.uint8 or labels.ndim != 3:
        return f"labels must be uint8 T x H x W, not {labels.dtype} {labels.shape}"
    if len(labels) != len(result.frames):
        return f"{len(labels)} label maps for {len(result.frames)} frames"
    if probe.rows and labels.shape[1:] != (probe.rows, probe.columns):
        return f"labels of {labels.shape[1:]}, and the source has {(probe.rows, probe.columns)}"
    if probe.frames and any(not 0 <= frame < probe.frames for frame in result.frames):
        return f"of a frame that the loop of {probe.frames} has not"
    unnamed = sorted({int(value) for value in np.unique(labels)} - {0, *result.segments})
    return f"label {unnamed[0]} has no name" if unnamed else ""


def same_results(first: Sequence[Result], second: Sequence[Result]) -> bool:
    """Whether two runs said the same, number for number and pixel for pixel."""
    return len(first) == len(second) and all(map(_same_result, first, second))


def _same_result(first: Result, second: Result) -> bool:
    if type(first) is not type(second):
        return False
    for each in fields(first):
        one, other = getattr(first, each.name), getattr(second, each.name)
        if isinstance(one, np.ndarray):
            if not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
                return False
        elif isinstance(first, Details):
            if json_values(one) != json_values(other):
                return False
        elif one != other:
            return False
    return True


def refusal_in_words(checks: Sequence[Check]) -> str:
    """Why a package is not registered, in one line."""
    return "; ".join(f"{check.name}: {' '.join(check.says.split())}" for check in checks if not check.ok)


def hold(package: Package, checks: Sequence[Check]) -> None:
    """Nothing, when every check passed.

    Raises:
        PackageInvalid: one did not, in one line.
    """
    if not passed(checks):
        raise PackageInvalid(f"model {package.name} fails its contract tests: {refusal_in_words(checks)}")
