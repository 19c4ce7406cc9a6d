"""`echonode evaluate segmentation`: overlap, volumes, ejection fraction and timing, with intervals; the locked test too."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from echonode.phantom.cohort import LoopPlan
from echonode.phantom.heart import Heart
from echonode.phantom.truth import Unmeasurable, disks_ml
from echonode.tasks.segmentation.beats import roughness
from echonode.tasks.segmentation.dataset import clip_of, layout, read_labelled, simulated_codes
from echonode.tasks.segmentation.disks import Disks, lengths_agree, volume_ml
from echonode.tasks.segmentation.evaluate.cases import (
    NAN,
    STRUCTURES,
    VIEW_CODES,
    Cases,
    Ejection,
    Overlap,
    Steadiness,
    Volumes,
    disks_beside,
    planes_of,
    segmented,
    still_of,
)
from echonode.tasks.segmentation.evaluate.kept import Kept
from echonode.tasks.segmentation.evaluate.tables import figures_of, metrics_of, paired_tables, tables_of
from echonode.tasks.segmentation.net import ARCHITECTURES
from echonode.tasks.segmentation.runner import ROLE, Refinement, SegmentationRunner, open_runner
from echonode.training.arguments import Evaluation, EvaluationArguments, TrainingArguments, TrainingResult
from echonode.training.dataset import LOCKED_TEST, DatasetManifest, Item, Split
from echonode.training.options import with_options
from echonode.training.publish import as_half, publish
from echonode.training.run import Run
from echonode.training.sources import evaluation_data, study_of
from echonode.training.table import Table

if TYPE_CHECKING:
    from echonode.tasks.segmentation.prepare import Normalisation
    from echonode.tasks.segmentation.train import Network, Options

SMOOTHING_MS: Final = 20.0
REFINED: Final[dict[str, Any]] = {"smoothing_ms": SMOOTHING_MS, "smooth": True, "whole": True}
"""What the sound recipe's package does after its network; the published one does nothing."""
INPUT: Final[dict[str, Any]] = {
    "modes": ["2d", "unknown"], "views": ["A2C", "A4C"], "frames_min": 1, "colour": False, "species": ["human"],
    "age_years_min": 18, "tte_only": True,
}  # fmt: skip
OUTPUT: Final = [
    {"name": "label map: 1 left ventricular cavity, 2 myocardium, 3 left atrium"},
    {"name": "largest area of each structure, where calibrated", "unit": "cm2"},
    {"name": "single-plane volumes by the method of disks, where calibrated", "unit": "mL"},
    {"name": "single-plane ejection fraction by the method of disks", "unit": "%"},
]

Tell = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class TestOptions:
    """`--set key=value` of an evaluation: simulated loops at `scale` of the scanner's raster, `beats` long."""

    scale: float = 1.0
    beats: float = 1.5

    def __post_init__(self) -> None:
        if not 0.1 <= self.scale <= 1 or not 1 <= self.beats <= 5:
            raise ValueError("a scale from 0.1 to 1 and 1 to 5 beats are expected")


def evaluate(arguments: EvaluationArguments) -> Evaluation:
    """The tables of one package or of several on the same cases.

    Raises:
        BadInput: data or an option that is not understood.
    """
    options = with_options(TestOptions(), arguments.options)
    data = evaluation_data(arguments, name="segmentation", layout=layout)
    runners = [open_runner(package, arguments.device, arguments.threads) for package in arguments.packages]
    found = cases_of(runners, data, data.items, options, workers=arguments.workers, tell=_told)
    named = {package.name: cases for package, cases in zip(arguments.packages, found, strict=True)}
    tables: dict[str, Table] = {}
    for name, cases in named.items():
        prefix = f"{name}: " if len(named) > 1 else ""
        tables |= {f"{prefix}{title}": table for title, table in tables_of(cases).items()}
    tables |= paired_tables(named, seed=arguments.seed)
    figures: list[Path] = []
    if arguments.figures is not None:
        for name, cases in named.items():
            figures += figures_of(cases, arguments.figures, prefix=f"{name}-" if len(named) > 1 else "")
    metrics = {name: metrics_of(cases, on=data.source, seed=arguments.seed) for name, cases in named.items()}
    return Evaluation(tables=tables, metrics=metrics, figures=tuple(figures))


def tested_and_published(
    run: Run, arguments: TrainingArguments, options: Options, network: Network, normalisation: Normalisation, *,
    steps: int,
) -> TrainingResult:  # fmt: skip
    """The error of the chosen weights on the test split, as the package will run them; the package when a name was given."""
    assert run.dataset is not None
    known = options.preparation == "published"
    refined: dict[str, Any] = {"side": options.side, "loop": options.loop} | ({} if known else REFINED)
    network.load_state_dict(as_half(network.state_dict()))
    runner = SegmentationRunner(
        network=network.eval(), device=run.device, normalisation=normalisation, contract=INPUT,
        preparation=options.preparation, refinement=Refinement.of(refined),
    )  # fmt: skip
    items = run.dataset.by_split()[Split.TEST]
    settings = TestOptions(scale=options.test_scale, beats=options.test_beats)
    kept = Kept(run.folder / "tested", mark=f"{_digest(network)} {settings} {refined} {normalisation}")
    cases = cases_of([runner], run.dataset, items, settings, workers=arguments.workers, tell=_told, kept=kept)[0]
    where = (
        run.dataset.source.rpartition("locked test: ")[2]
        if arguments.test_data
        else f"test split of {run.dataset.source}"
    )
    metrics = metrics_of(cases, on=where, seed=arguments.seed, locked=True)
    word = ARCHITECTURES[options.architecture]
    package = publish(
        run, arguments, recipe="segmentation", weights={ROLE: network.state_dict()}, half=[ROLE], steps=steps,
        metrics=metrics, tables=tables_of(cases),
        manifest={
            "task": "segmentation", "title": "Left heart segmentation, apical views", "trained_on": _learned_from(run, arguments),
            "architecture": {ROLE: options.architecture}, "preparation": options.preparation,
            "evaluated": [options.preparation], "input": INPUT, "output": OUTPUT,
            "config": {
                "mean": normalisation.mean, "std": normalisation.std, word: list(options.widths), **refined,
            },
        },
        words=_words(settings, simulated=run.dataset.simulated),
    )  # fmt: skip
    return TrainingResult(folder=run.folder, package=package, metrics=metrics)


def cases_of(
    runners: Sequence[SegmentationRunner], data: DatasetManifest, items: Sequence[Item], options: TestOptions, *,
    workers: int = 1, tell: Tell | None = None, kept: Kept | None = None,
) -> list[Cases]:  # fmt: skip
    """The cases of each runner: simulated studies are recorded once for all of them; `workers` processes do it.

    What is `kept` of an earlier test of the same weights is not done again.
    """
    groups: dict[str, list[tuple[Item, tuple[Path, ...]]]] = {}
    for item in items:
        groups.setdefault(item.patient, []).append((item, data.paths(item)))
    whole: list[Cases] = [Cases() for _ in runners]
    by_patient: dict[str, list[Cases]] = {}
    if kept is not None:
        known = {patient: kept.read(patient) for patient in groups}
        by_patient = {patient: cases for patient, cases in known.items() if cases is not None}
    missing = {patient: group for patient, group in groups.items() if patient not in by_patient}
    for patient, found in _each(runners, missing, options, workers):
        by_patient[patient] = found
        if kept is not None:
            kept.write(patient, found)
        if tell is not None:
            tell(len(by_patient), len(groups))
    # In the order of names, whoever was done first: the same bootstrap draws each time.
    for patient in sorted(by_patient):
        whole = [before + new for before, new in zip(whole, by_patient[patient], strict=True)]
    return whole


Group = Sequence[tuple[Item, tuple[Path, ...]]]


def _each(
    runners: Sequence[SegmentationRunner], groups: dict[str, Any], options: TestOptions, workers: int
) -> Iterator[tuple[str, list[Cases]]]:
    if workers < 2 or len(groups) < 4:
        for patient, group in groups.items():
            yield patient, _patient(runners, patient, group, options)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(min(workers, 16), mp_context=context, initializer=_calm) as pool:
        names = {pool.submit(_patient, runners, name, group, options): name for name, group in groups.items()}
        for run in as_completed(names):
            yield names[run], run.result()


def _calm() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _patient(runners: Sequence[SegmentationRunner], patient: str, group: Group, options: TestOptions) -> list[Cases]:
    found = [Cases() for _ in runners]
    stills = [each for each in group if each[0].phantom is None]
    for item, _ in group:
        if item.phantom is not None:
            found = [a + b for a, b in zip(found, _simulated(runners, item, options), strict=True)]
    return [each + _read(runner, patient, stills) for each, runner in zip(found, runners, strict=True)]


def _simulated(runners: Sequence[SegmentationRunner], item: Item, options: TestOptions) -> list[Cases]:
    """Both apical loops of a simulated study, as long as `options` says."""
    assert item.phantom is not None
    study = study_of(item.phantom)
    found = [Cases() for _ in runners]
    planes: list[dict[str, tuple[Disks, Disks]]] = [{} for _ in runners]
    seen = {}
    for plan in study.loops:
        view = plan.view.value
        if view not in ("A4C", "A2C") or plan.colour or view in seen or plan.stage_number not in (None, 1):
            continue
        made = _acquired(plan, options)
        seen[view] = made.plane
        assert made.labels is not None
        truth = np.stack([simulated_codes(labels) for labels in made.labels])
        clip = replace(clip_of(made), view=VIEW_CODES[view])
        pixel = 10 * float(made.regions[0].delta_x or 0)
        heart = Ejection.of(study.patient.edv_ml, study.patient.esv_ml)
        observer = Ejection()
        if made.truth.disks_edv_ml is not None and made.truth.disks_esv_ml is not None:
            observer = Ejection.of(made.truth.disks_edv_ml, made.truth.disks_esv_ml)
        for place, runner in enumerate(runners):
            labels, ventricle, why = segmented(runner, clip)
            if labels is None:
                found[place] += Cases(refused=(f"{item.key} {view}: {why}",))
                continue
            overlaps: list[Overlap] = []
            for phase, frames in (("ED", made.truth.ed_frames[:1]), ("ES", made.truth.es_frames[:1])):
                for frame in frames:
                    overlaps += _overlaps(labels[frame], truth[frame], item.patient, view, phase, (pixel, pixel))
            areas = [(maps == 1).sum(axis=(1, 2)).astype(np.float64) for maps in (labels, truth)]
            single = Ejection()
            if ventricle is not None:
                single = Ejection.of(ventricle.end_diastole.volume_ml, ventricle.end_systole.volume_ml)
                planes[place][view] = (ventricle.end_diastole, ventricle.end_systole)
            steady = Steadiness(
                patient=item.patient, view=view,
                ed_ms=_missed(ventricle.ed_frames if ventricle else (), made.truth.ed_frames, made.times_ms),
                es_ms=_missed(ventricle.es_frames if ventricle else (), made.truth.es_frames, made.times_ms),
                roughness=roughness(areas[0], made.times_ms), reference_roughness=roughness(areas[1], made.times_ms),
            )  # fmt: skip
            found[place] += Cases(
                overlaps=tuple(overlaps), steadiness=(steady,),
                volumes=(Volumes(patient=item.patient, method=view, found=single, truth=heart, observer=observer),),
                refused=() if ventricle is not None else (f"{item.key} {view}: {why}",),
            )  # fmt: skip
    if len(seen) == 2:
        own = Heart(study.patient)
        end_diastole = own.beats(10.0)[0]
        both = (seen["A4C"], seen["A2C"])
        try:
            volumes = [disks_ml(own, both, moment) for moment in (end_diastole, own.end_systole_s(end_diastole))]
            observer = Ejection.of(*volumes)
        except Unmeasurable:
            observer = Ejection()
        heart = Ejection.of(study.patient.edv_ml, study.patient.esv_ml)
        for place, each in enumerate(planes):
            if len(each) == 2:
                four, two = each["A4C"], each["A2C"]
                value = Ejection.of(volume_ml(four[0], two[0]), volume_ml(four[1], two[1]))
                method = "biplane" if lengths_agree(four[0], two[0]) else "biplane, lengths apart"
                found[place] += Cases(
                    volumes=(Volumes(patient=item.patient, method=method, found=value, truth=heart, observer=observer),)
                )
    return found


def _acquired(plan: LoopPlan, options: TestOptions) -> Any:
    rows, columns = (2 * round(side * options.scale / 2) for side in (plan.machine.rows, plan.machine.columns))
    wanted = options.beats * 60_000 / plan.patient.heart_rate_bpm / plan.frame_time_ms
    return plan.acquire(frames=max(8, math.ceil(wanted)), rows=rows, columns=columns)


def _read(runner: SegmentationRunner, patient: str, stills: Group) -> Cases:
    """One patient's pictures beside label maps."""
    overlaps: list[Overlap] = []
    refused: list[str] = []
    disks: dict[tuple[str, str], tuple[Disks | None, Disks | None]] = {}
    for item, files in stills:
        picture, truth, spacing, regions = read_labelled(item, files)
        view, phase = str(item.labels.get("view") or ""), str(item.labels.get("phase") or "")
        found, _, why = segmented(runner, still_of(picture, regions, view))
        if found is None:
            refused.append(f"{item.key}: {why}")
            continue
        pixel = spacing or (NAN, NAN)
        overlaps += _overlaps(found[0], truth, patient, view, phase, pixel)
        if spacing is not None and view and phase:
            disks[view, phase] = disks_beside(found[0], truth, spacing)
    return Cases(overlaps=tuple(overlaps), volumes=tuple(planes_of(disks, patient)), refused=tuple(refused))


def _overlaps(
    found: NDArray[np.uint8], truth: NDArray[np.uint8], patient: str, view: str, phase: str,
    spacing_mm: tuple[float, float],
) -> list[Overlap]:  # fmt: skip
    from echonode.training.overlap import dice, hausdorff_mm

    told = all(np.isfinite(spacing_mm))
    rows = []
    for structure, codes in STRUCTURES.items():
        a, b = np.isin(found, codes), np.isin(truth, codes)
        if not a.any() and not b.any():
            continue
        distance = hausdorff_mm(a, b, spacing_mm=spacing_mm) if told and a.any() and b.any() else NAN
        rows.append(
            Overlap(
                patient=patient, view=view, phase=phase, structure=structure, dice=dice(a, b), hausdorff_mm=distance
            )
        )
    return rows


def _missed(found: Sequence[int], truth: Sequence[int], times_ms: NDArray[np.float64]) -> tuple[float, ...]:
    """For each true frame the time from it to the nearest that was found, ms; NaN where none was."""
    return tuple(
        min((float(times_ms[each] - times_ms[frame]) for each in found), key=abs, default=NAN) for frame in truth
    )


def _digest(network: Network) -> str:
    found = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _learned_from(run: Run, arguments: TrainingArguments) -> str:
    assert run.dataset is not None
    origins = sorted({str(item.labels["origin"]) for item in run.dataset.items if "origin" in item.labels})
    if origins:
        told = "; ".join(origins).partition(LOCKED_TEST)[0]
        return told + (", of simulated hearts, no patient" if run.dataset.simulated else "")
    if run.dataset.simulated:
        return f"simulated hearts of echonode's phantom ({', '.join(arguments.data)}), no patient"
    return run.dataset.source.partition("; locked test")[0]


def _words(settings: TestOptions, *, simulated: bool) -> dict[str, list[str]]:
    loops = (
        f"Simulated loops were recorded at {settings.scale:g} of the scanner's raster, {settings.beats:g} beats long. "
        if simulated
        else ""
    )
    return {
        "How it was tested": [
            loops
            + "End-diastole and end-systole are found by the package itself, from the cavity's area over the loop; "
            "overlap is told at the true frames. `truth` is the heart's own volume, `observer` what the method of disks "
            "gives on perfect contours of the same planes: a plane that is off the axis, or walls that move unevenly, "
            "part the two, and no segmentation can mend that."
        ],
        "How it was chosen": [
            "The weights of the best mean Dice on validation patients; this run looked at the test last."
        ],
    }


def _told(done: int, total: int) -> None:
    import sys

    if done % 10 == 0 or done == total:
        sys.stderr.write(f"tested: {done} of {total}\n")
