"""What a model package is tested on when it is registered: simulated recordings that its input contract takes, and nonsense.

The recordings are small, always the same, and of nobody: a contract test asks whether a model keeps its word, not how
good it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from echonode.cli.routes import facts_of_file
from echonode.core.clip import Mode
from echonode.core.codes import Code
from echonode.core.package import Package
from echonode.core.results import LabelMap
from echonode.core.settings import NodeSection
from echonode.derive.segmentation import build_segmentation
from echonode.dicom.label_maps import is_label_map
from echonode.flow.examination import PARAMETERS
from echonode.phantom.acquire import Acquisition
from echonode.phantom.cohort import Cohort, LoopPlan, Study, SweepPlan
from echonode.phantom.frames import Syntax
from echonode.phantom.objects import build_object
from echonode.phantom.order import order_of
from echonode.phantom.views import View
from echonode.registry.contract_tests import Probe
from echonode.registry.manifest import InputContract

COHORT = "phantom:1@424242/quick"
ROWS, COLUMNS = 240, 320
FRAMES, FRAME_TIME_MS = 45, 100 / 3
MOST_FRAMES = 400
MOST_VIEWS = 2
USUAL_VIEWS = ("A4C", "PLAX")
ADULT, MARGIN_YEARS = 50.0, 1.0
SEGMENTS: Mapping[int, Code] = {
    1: Code("87878005", "SCT", "Left ventricle"),
    2: Code("74281007", "SCT", "Myocardium"),
    3: Code("82471001", "SCT", "Left atrium"),
}
"""Of a label map: the cavity and the wall of the left ventricle, and the left atrium."""
_FOUR_CHAMBERS = ("A4C", View.A4C)
_WHEN = datetime(2024, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bench:
    """Records loops and sweeps of one simulated patient into a folder, each under a number of its own."""

    study: Study
    folder: Path
    package: Package
    contract: InputContract

    def loop(
        self,
        name: str,
        view: View,
        *,
        number: int,
        fits: bool,
        frames: int,
        frame_time_ms: float = FRAME_TIME_MS,
        colour: bool = False,
        shown: np.ndarray | None = None,
        labels: bool = False,
    ) -> tuple[Probe, Acquisition]:
        """A loop; its frames are `shown` where given."""
        plan = replace(self.study.loops[0], view=view, colour=colour, quality=1.0)
        made = plan.acquire(frames=frames, frame_time_ms=frame_time_ms, rows=ROWS, columns=COLUMNS, labels=labels)
        if shown is not None:
            made = replace(made, frames=np.broadcast_to(shown[..., None], made.frames.shape).copy())
        return self._written(name, made, plan, number=number, fits=fits, frames=frames), made

    def sweep(self, name: str, *, number: int, fits: bool) -> Probe:
        """An M-mode picture at the level of the left ventricle."""
        plan = replace(self.study.sweeps[0], quality=1.0)
        # a strip needs its full raster: two pixels of it are a millimetre
        return self._written(name, plan.sweep(), plan, number=number, fits=fits, frames=1)

    def _written(
        self, name: str, made: Any, plan: LoopPlan | SweepPlan, *, number: int, fits: bool, frames: int
    ) -> Probe:
        path = self.folder / f"probe-{number:02d}.dcm"
        order = order_of(self.study, syntax=Syntax.EXPLICIT)
        build_object(made, plan, order=order, number=number, syntax=Syntax.EXPLICIT).write(path)
        rows, columns = made.frame.shape[:2] if isinstance(plan, SweepPlan) else made.frames.shape[1:3]
        return self.probe(name, path, fits=fits, frames=frames, rows=int(rows), columns=int(columns))

    def probe(self, name: str, path: Path, *, fits: bool, frames: int = 0, rows: int = 0, columns: int = 0) -> Probe:
        """The file as a probe, of a patient that the contract takes."""
        facts: dict[str, Any] = {}
        if not is_label_map(path):
            facts = facts_of_file(path).as_dict()
            if fits:
                facts |= {"age_years": _age(self.contract), "species": (self.contract.species or ("human",))[0]}
        return Probe(
            name=name,
            source=path,
            fits=fits,
            facts=facts,
            parameters=PARAMETERS.get(self.package.task, {}),
            frames=frames,
            rows=rows,
            columns=columns,
        )


def probes_for(package: Package, folder: Path, *, clips: Iterable[Path] = ()) -> list[Probe]:
    """What to run `package` on, written into `folder`; `clips` are files that the site knows the model takes.

    Raises:
        BadInput: a clip cannot be read.
    """
    contract = InputContract.model_validate(package.input)
    bench = _Bench(study=Cohort.parse(COHORT)[0], folder=folder, package=package, contract=contract)
    frame_time_ms = _frame_time_ms(contract, bench.study.patient.heart_rate_bpm)
    frames = min(max(contract.frames_min, FRAMES, round(1500 / frame_time_ms)), MOST_FRAMES)
    found = [bench.probe(clip.name, clip, fits=True) for clip in clips]
    loops, sweeps = _takes_loops(contract), _takes_sweeps(contract)
    labelled: Probe | None = None
    number = 1
    for called, view in _views(contract) if loops else [_FOUR_CHAMBERS]:
        probe, made = bench.loop(
            f"a simulated {called}",
            view,
            number=number,
            fits=loops,
            frames=frames,
            frame_time_ms=frame_time_ms,
            colour=loops and _colour_alone(contract),
            labels=labelled is None,
        )
        found.append(replace(probe, facts={**probe.facts, "view": called}) if loops else probe)
        labelled = labelled or _label_map(bench, probe, made)
        number += 1
    found.append(bench.sweep("a simulated M-mode", number=number, fits=sweeps))
    if labelled is not None:
        found.append(labelled)
    noise = np.random.default_rng(1).integers(0, 256, (ROWS, COLUMNS), dtype=np.uint8)
    black = np.zeros((ROWS, COLUMNS), np.uint8)
    for name, count, shown in (("noise", 16, noise), ("black frames", 16, black), ("a single frame", 1, None)):
        number += 1
        found.append(bench.loop(name, View.A4C, number=number, fits=False, frames=count, shown=shown)[0])
    return found


def _label_map(bench: _Bench, probe: Probe, made: Acquisition) -> Probe | None:
    """What a segmentation of that loop would be: models that draw hearts start from one."""
    if made.labels is None:
        return None
    labels = np.where(made.labels <= max(SEGMENTS), made.labels, 0).astype(np.uint8)
    if not labels.any():
        return None
    frames = tuple(range(len(labels)))
    path = bench.folder / "probe-labels.dcm"
    build_segmentation(
        probe.source,
        LabelMap(labels=labels, frames=frames, segments=SEGMENTS),
        package=bench.package,
        parameters={},
        node=NodeSection.model_validate({}),
        now=_WHEN,
    ).write(path)
    labelled = bench.probe("a label map", path, fits=False, rows=probe.rows, columns=probe.columns)
    return replace(labelled, parameters={**labelled.parameters, "phase": "ED"})


def _takes_loops(contract: InputContract) -> bool:
    return not contract.modes or bool({Mode.B_MODE, Mode.UNKNOWN, Mode.COLOUR}.intersection(contract.modes))


def _takes_sweeps(contract: InputContract) -> bool:
    return Mode.M_MODE in contract.modes


def _colour_alone(contract: InputContract) -> bool:
    return Mode.COLOUR in contract.modes and not {Mode.B_MODE, Mode.UNKNOWN}.intersection(contract.modes)


def _views(contract: InputContract) -> list[tuple[str, View]]:
    """The first views of the contract that can be simulated, by the names that it has for them (PSAX-MV); usual ones
    where it takes any."""
    known: dict[View, str] = {}
    for name in contract.views or USUAL_VIEWS:
        family = name.partition("-")[0]
        if family in set(View):
            known.setdefault(View(family), name)
    return [(name, view) for view, name in known.items()][:MOST_VIEWS] or [_FOUR_CHAMBERS]


def _frame_time_ms(contract: InputContract, heart_rate: float) -> float:
    """As fast as the contract asks for."""
    times = [FRAME_TIME_MS]
    if contract.frame_gap_ms_max is not None:
        times.append(0.95 * contract.frame_gap_ms_max)
    if contract.frames_per_beat_min is not None:
        times.append(0.8 * 60_000 / heart_rate / contract.frames_per_beat_min)
    return min(times)


def _age(contract: InputContract) -> float:
    """An adult, or whoever the model was made for."""
    oldest, youngest = contract.age_years_max, contract.age_years_min
    if oldest is not None and oldest < ADULT:
        return max(oldest - MARGIN_YEARS, youngest or 0.0)
    return max(ADULT, youngest or 0.0)
