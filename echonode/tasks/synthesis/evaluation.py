"""`echonode evaluate synthesis`: how like original pictures the synthetic ones are that a model makes of the same label maps.

What is measured needs no other network: grey level and roughness of each tissue beside the original picture of the same map,
how far a picture is from the original one and from another of the same map (a model that only remembers makes no difference
between the two), and the time an image. Whether pictures are good for training is told by training on them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from echonode.core.errors import BadInput
from echonode.tasks.common.camus import SECTOR_CODES, checked_codes
from echonode.tasks.common.reading import silent
from echonode.tasks.synthesis.dataset import layout
from echonode.tasks.synthesis.marking import marked
from echonode.tasks.synthesis.noise import image_seed
from echonode.tasks.synthesis.prepare import resized_labels, resized_picture
from echonode.tasks.synthesis.runner import SynthesisRunner, open_runner
from echonode.training.arguments import Evaluation, EvaluationArguments, Metric
from echonode.training.dataset import LOCKED_TEST, DatasetManifest, Item
from echonode.training.options import with_options
from echonode.training.publish import metric
from echonode.training.sources import evaluation_data
from echonode.training.statistics import bootstrap_interval
from echonode.training.table import Table

TISSUES: Final = {1: "cavity", 2: "other tissue", 3: "myocardium", 4: "left atrium"}
FEWEST_PIXELS: Final = 25
SHOWN: Final = 6
LEVELS: Final = "of 255"
SECONDS: Final = "seconds an image"

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class TestOptions:
    """`--set key=value`: at most so many `pictures`, evenly spread; `steps` of the sampler, 0 for the package's."""

    pictures: int = 100
    steps: int = 0

    def __post_init__(self) -> None:
        if self.pictures < 1 or self.steps < 0:
            raise ValueError("pictures of at least 1 and steps of at least 0 are expected")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Case:
    """One label map: its original picture, two synthetic ones, and the seconds that the first took."""

    patient: str
    codes: Bytes
    original: Bytes
    made: Bytes
    again: Bytes
    seconds: float


def evaluate(arguments: EvaluationArguments) -> Evaluation:
    """The tables of each package on the test pictures of trees.

    Raises:
        BadInput: data or an option that is not understood, or no picture in the test split.
    """
    options = with_options(TestOptions(), arguments.options)
    data = evaluation_data(arguments, name="synthesis", layout=layout)
    tables: dict[str, Table] = {}
    metrics: dict[str, tuple[Metric, ...]] = {}
    figures: list[Path] = []
    for package in arguments.packages:
        runner = open_runner(package, arguments.device, arguments.threads)
        cases = cases_of(runner, data, options, seed=arguments.seed)
        prefix = f"{package.name}: " if len(arguments.packages) > 1 else ""
        metrics[package.name] = metrics_of(cases, on=tested_on(data), seed=arguments.seed)
        tables[f"{prefix}synthetic beside original, by tissue"] = tissue_table(cases, seed=arguments.seed)
        if arguments.figures is not None:
            arguments.figures.mkdir(parents=True, exist_ok=True)
            figures.append(arguments.figures / f"{package.name}-beside-original.png")
            Image.fromarray(sheet(cases)).save(figures[-1])
    return Evaluation(tables=tables, metrics=metrics, figures=tuple(figures))


def cases_of(runner: SynthesisRunner, data: DatasetManifest, options: TestOptions, *, seed: int) -> list[Case]:
    """The cases of the data's items that the network makes, in their order.

    Raises:
        BadInput: there is none.
    """
    items = [item for item in data.items if not runner.view or item.labels.get("view") == runner.view]
    if not items:
        raise BadInput(f"the data have no test picture of {runner.view or 'any view'}")
    places = np.unique(np.linspace(0, len(items) - 1, min(options.pictures, len(items))).round().astype(int))
    asked = runner.walk_of({"steps": options.steps} if options.steps else {})
    return [_case(runner, items[place], data, asked, seed) for place in places]


def tested_on(data: DatasetManifest) -> str:
    """What the test pictures are, as their tree says; the data's own words where it does not."""
    origins = {str(item.labels.get("origin", "")) for item in data.items}
    told = sorted({each.partition(LOCKED_TEST)[2] or f"the test pictures of {each}" for each in origins if each})
    return "; ".join(told) or data.source


def metrics_of(cases: Sequence[Case], *, on: str, seed: int = 0) -> tuple[Metric, ...]:
    """Errors of grey level and roughness, differences between pictures, and the time an image."""
    patients = [case.patient for case in cases]

    def told(name: str, values: list[float], unit: str = "") -> Metric:
        return metric(name, bootstrap_interval(values, statistic=_mean, by=patients, seed=seed), on=on, unit=unit)

    roughness = [_roughness(case.made, case) / _roughness(case.original, case) for case in cases]
    return (
        told("grey level of a tissue, MAE", [_tissue_error(case) for case in cases], LEVELS),
        told("roughness of tissue, synthetic over original", roughness),
        told("difference from the original picture", [_apart(case.made, case.original, case) for case in cases], LEVELS),
        told("difference of two pictures of one map", [_apart(case.made, case.again, case) for case in cases], LEVELS),
        told(SECONDS, [case.seconds for case in cases], "s"),
    )  # fmt: skip


def tissue_table(cases: Sequence[Case], *, seed: int = 0) -> Table:
    """Mean grey level of each tissue, original and synthetic, and what lies between them."""
    rows = []
    for code, name in TISSUES.items():
        pairs = [(_level(case.original, case, code), _level(case.made, case, code), case.patient) for case in cases]
        found = [(original, made, who) for original, made, who in pairs if original is not None and made is not None]
        if not found:
            continue
        difference = bootstrap_interval(
            [made - original for original, made, _ in found], statistic=_mean, by=[who for *_, who in found], seed=seed
        )
        rows.append(
            (name, len(found), float(np.mean([original for original, *_ in found])), float(np.mean([each[1] for each in found])),
             difference.value, difference.low, difference.high)
        )  # fmt: skip
    return Table(
        columns=("tissue", "n", "original, of 255", "synthetic", "difference", "low", "high"), rows=tuple(rows)
    )


def sheet(cases: Sequence[Case]) -> Bytes:
    """Label maps above original pictures above synthetic ones, marked, of a few cases."""
    places = np.unique(np.linspace(0, len(cases) - 1, min(SHOWN, len(cases))).round().astype(int))
    columns = []
    for place in places:
        case = cases[place]
        made = marked(np.repeat(case.made[:, :, None], 3, axis=2))
        side = len(made)
        rows = [
            np.asarray(Image.fromarray(part).resize((side, side), Image.Resampling.NEAREST))
            for part in (case.codes * np.uint8(63), case.original)
        ]
        columns.append(np.concatenate([np.repeat(row[:, :, None], 3, axis=2) for row in rows] + [made]))
    return np.concatenate(columns, axis=1)


def _case(runner: SynthesisRunner, item: Item, data: DatasetManifest, asked: Any, seed: int) -> Case:
    picture, truth = (np.asarray(Image.open(path).convert("L")) for path in data.paths(item))
    codes = resized_labels(checked_codes(truth, SECTOR_CODES), runner.size)
    seeds = [image_seed(seed, name=item.key, number=number) for number in range(2)]
    views = [str(item.labels.get("view"))]
    begun = time.perf_counter()
    made = runner.sampled([codes], seeds=seeds[:1], asked=asked, progress=silent, views=views)
    seconds = time.perf_counter() - begun
    again = runner.sampled([codes], seeds=seeds[1:], asked=asked, progress=silent, views=views)
    original = picture if picture.shape == codes.shape else resized_picture(picture, runner.size)
    return Case(
        patient=item.patient,
        codes=codes,
        original=original,
        made=made[0, :, :, 0],
        again=again[0, :, :, 0],
        seconds=seconds,
    )


def _level(picture: Bytes, case: Case, code: int) -> float | None:
    inside = case.codes == code
    return float(picture[inside].mean()) if inside.sum() >= FEWEST_PIXELS else None


def _tissue_error(case: Case) -> float:
    pairs = [(_level(case.original, case, code), _level(case.made, case, code)) for code in TISSUES]
    return float(
        np.mean([abs(made - original) for original, made in pairs if original is not None and made is not None])
    )


def _roughness(picture: Bytes, case: Case) -> float:
    """Mean absolute step to the next pixel across, inside the sector: speckle has much of it, a blurred one little."""
    inside = (case.codes[:, 1:] > 0) & (case.codes[:, :-1] > 0)
    return float(np.abs(np.diff(picture.astype(np.float64), axis=1))[inside].mean())


def _apart(first: Bytes, second: Bytes, case: Case) -> float:
    """Mean absolute difference in grey levels inside the sector."""
    return float(np.abs(first.astype(np.float64) - second.astype(np.float64))[case.codes > 0].mean())


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values))
