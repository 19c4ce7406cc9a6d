"""Cases of studies that were tested already: a test that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from echonode.tasks.segmentation.evaluate.cases import Cases, Ejection, Overlap, Steadiness, Volumes
from echonode.training.atomic import write_text


class Kept:
    """One file a patient in `folder`; `mark` names the weights and the options that the cases are of."""

    def __init__(self, folder: Path, *, mark: str) -> None:
        self._folder, self._mark = folder, mark

    def read(self, patient: str) -> list[Cases] | None:
        """The cases of each runner, or None where there are none yet."""
        try:
            content = json.loads(self._path(patient).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return [_cases(each) for each in content]

    def write(self, patient: str, cases: Sequence[Cases]) -> None:
        """Keep them, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_text(self._path(patient), json.dumps([asdict(each) for each in cases]))

    def _path(self, patient: str) -> Path:
        name = hashlib.sha256("\0".join([self._mark, patient]).encode()).hexdigest()[:24]
        return self._folder / f"{name}.json"


def _cases(content: Mapping[str, Any]) -> Cases:
    return Cases(
        overlaps=tuple(Overlap(**each) for each in content["overlaps"]),
        volumes=tuple(
            Volumes(
                patient=each["patient"], method=each["method"],
                **{name: Ejection(**each[name]) for name in ("found", "truth", "observer")},
            )
            for each in content["volumes"]
        ),
        steadiness=tuple(
            Steadiness(**{**each, "ed_ms": tuple(each["ed_ms"]), "es_ms": tuple(each["es_ms"])})
            for each in content["steadiness"]
        ),
        refused=tuple(content["refused"]),
    )  # fmt: skip
