"""The published plots of one recording, and the annotated strip, as PNG files; drawn with matplotlib, loaded late.

Named as the authors' command names them (Echo2Pheno, Module I): output_diastole, output_systole, output_heartrate,
output_img and output_img_mask. Bands behind curves are good (gold) and bad (midnight blue) stretches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.errors import BadInput
from echonode.core.results import Picture
from echonode.tasks.mmode.examination import Examination, Instant
from echonode.tasks.mmode.quality import GOOD
from echonode.tasks.mmode.volumes import teichholz

GOLD, MIDNIGHT, INK = "gold", "midnightblue", "#20242c"
SIZE, DOTS = (10.0, 5.0), 110
ANNOTATED: Final = "annotated.png"


def draw(folder: Path, examination: Examination, pictures: Sequence[Picture]) -> list[Path]:
    """Write every figure that the examination has something for into `folder`; the paths of all.

    Raises:
        BadInput: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = [_save_picture(folder, picture) for picture in pictures]
        if examination.lvid is not None:
            found += [
                _curves(folder, examination, instants=examination.diastoles, name="diastole"),
                _curves(folder, examination, instants=examination.systoles, name="systole"),
            ]
        found.append(_strip(folder, examination, mask=False))
        if examination.mask is not None:
            found.append(_strip(folder, examination, mask=True))
        if examination.rates:
            found.append(_rates(folder, examination))
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written: {error}") from error
    return found


def _figure(rows: int, columns: int = 1, *, ratios: Sequence[float] | None = None) -> tuple[Any, Any]:
    """A figure and its axes, without a display: nothing is kept by pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, height_ratios=ratios)


def _saved(figure: Any, path: Path) -> Path:
    figure.savefig(path)
    return path


def _save_picture(folder: Path, picture: Picture) -> Path:
    path = folder / ANNOTATED
    done, packed = cv2.imencode(".png", np.ascontiguousarray(picture.pixels[..., ::-1]))
    if not done:
        raise OSError("a picture could not be packed")
    path.write_bytes(packed.tobytes())
    return path


def _bands(axes: Any, examination: Examination) -> None:
    seconds = examination.strip.calibration.seconds
    for window, probability in zip(examination.windows, examination.probabilities, strict=True):
        good = probability > GOOD
        axes.axvspan(
            window.start * seconds, window.stop * seconds, color=GOLD if good else MIDNIGHT,
            alpha=0.25 if good else 0.45, linewidth=0,
        )  # fmt: skip


def _curves(folder: Path, examination: Examination, *, instants: Sequence[Instant], name: str) -> Path:
    """The volume and the diameter against time, with what was read of end-diastoles or end-systoles."""
    assert examination.lvid is not None
    seconds, species = examination.strip.calibration.seconds, examination.species
    time, lvid = np.arange(len(examination.lvid)) * seconds, examination.lvid
    figure, axes = _figure(2)
    curves: tuple[tuple[NDArray[np.float64], list[float | None], str], ...] = (
        (teichholz(lvid / species.diameter_mm), [one.volume for one in instants], f"volume, {species.volume_unit}"),
        (lvid, [one.value for one in instants], "LVID, mm"),
    )
    for row, (values, read, label) in enumerate(curves):
        place = axes[row, 0]
        _bands(place, examination)
        place.plot(time, values, color=INK, linewidth=0.9)
        for one, value in zip(instants, read, strict=True):
            if value is not None:
                place.plot(one.seconds, value, "o" if one.good else "x", color="crimson" if one.good else "grey")
        place.set_ylabel(label)
        place.set_xlim(0, time[-1])
    axes[1, 0].set_xlabel("time, s")
    axes[0, 0].set_title(f"end-{name}: volume by Teichholz, and diameter; gold: good stretches, blue: bad ones")
    return _saved(figure, folder / f"output_{name}.png")


def _strip(folder: Path, examination: Examination, *, mask: bool) -> Path:
    """The strip over a bar of how likely each stretch is good; with the cavity's outline when `mask`."""
    grey, calibration = examination.strip.grey, examination.strip.calibration
    reach = (0.0, grey.shape[1] * calibration.seconds, grey.shape[0] * calibration.millimetres / 10, 0.0)
    figure, axes = _figure(2, ratios=(14, 1))
    picture, bar = axes[0, 0], axes[1, 0]
    picture.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=reach, aspect="auto")
    picture.set_ylabel("depth, cm")
    if mask and examination.mask is not None:
        shown = np.ma.masked_where(~examination.mask, examination.mask)
        picture.imshow(shown, cmap="autumn", alpha=0.35, extent=reach, aspect="auto", interpolation="nearest")
    likely = np.full(grey.shape[1], np.nan)
    for window, probability in zip(examination.windows, examination.probabilities, strict=True):
        likely[window.start : window.stop] = probability
    drawn = bar.imshow(likely[None], cmap="viridis", vmin=0, vmax=1, extent=(*reach[:2], 0, 1), aspect="auto")
    bar.set_yticks([])
    bar.set_xlabel("time, s")
    figure.colorbar(drawn, ax=axes[:, 0].tolist(), label="probability that a stretch is good", shrink=0.8)
    return _saved(figure, folder / ("output_img_mask.png" if mask else "output_img.png"))


def _rates(folder: Path, examination: Examination) -> Path:
    """Heart rate against time; end-diastolic volume against heart rate, coloured by the quality of the beat."""
    figure, axes = _figure(1, 2)
    left, right = axes[0]
    _bands(left, examination)
    left.plot([one.seconds for one in examination.rates], [one.value for one in examination.rates], "o-", color=INK)
    left.set_xlabel("time, s")
    left.set_ylabel("heart rate, beats/min")
    left.set_xlim(0, examination.strip.duration)
    volumes = {one.column: one.volume for one in examination.diastoles}
    for good, colour, label in ((True, GOLD, "good"), (False, MIDNIGHT, "bad")):
        pairs = [(rate.value, volume) for rate, volume in _paired(examination, volumes) if rate.good == good]
        if pairs:
            right.scatter(*zip(*pairs, strict=True), color=colour, edgecolor=INK, label=label)
    right.set_xlabel("heart rate, beats/min")
    right.set_ylabel(f"end-diastolic volume, {examination.species.volume_unit}")
    if right.collections:
        right.legend(title="stretch")
    return _saved(figure, folder / "output_heartrate.png")


def _paired(examination: Examination, volumes: dict[int, float | None]) -> list[tuple[Instant, float]]:
    """Rates with the end-diastolic volume of their own beat."""
    if examination.beats:
        known = [(beat.rate, beat.diastole.volume) for beat in examination.beats]
        return [(rate, volume) for rate, volume in known if rate is not None and volume is not None]
    found = [(rate, volumes.get(rate.column)) for rate in examination.rates]
    return [(rate, volume) for rate, volume in found if volume is not None]
