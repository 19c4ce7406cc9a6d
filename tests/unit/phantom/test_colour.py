"""Colour that is not where flow is, or not where the box is, would be no distractor but a giveaway."""

from __future__ import annotations

import numpy as np

from echonode.phantom.colour import ColourBox, colour_scale
from echonode.phantom.heart import Heart
from echonode.phantom.patient import patient
from echonode.phantom.tissue import Label
from echonode.phantom.transducer import Fan, Frame
from echonode.phantom.views import View, plane

_FAN = Fan(Frame(x0=0, y0=0, x1=400, y1=300), sector_deg=80, depth_mm=160, lines=110, samples=220)


def _overlays(label: Label) -> list[np.ndarray]:
    person = patient(seed=5, ef_percent=60, heart_rate_bpm=65)
    heart = Heart(person)
    box = ColourBox(heart, _FAN, plane(View.A4C, person), view=View.A4C, rng=np.random.Generator(np.random.PCG64(1)))
    labels, grey = np.full((220, 110), label, np.uint8), np.zeros((220, 110), np.uint8)
    start = heart.beats(5.0)[0]
    return [box.picture(labels, grey, start + 0.04 * step) for step in range(24)]


def test_inflow_comes_towards_an_apical_probe_and_outflow_goes_away() -> None:
    shown = np.stack(_overlays(Label.LV)).astype(int)
    red, blue = (
        (shown[..., 0] > shown[..., 2] + 40).sum(axis=(1, 2)),
        (shown[..., 2] > shown[..., 0] + 40).sum(axis=(1, 2)),
    )
    systole, diastole = slice(3, 7), slice(12, 17)
    assert red[diastole].max() > 3 * red[systole].max() + 100
    assert blue[systole].max() > 100


def test_colour_stays_in_its_box_and_off_the_walls() -> None:
    for shown in _overlays(Label.LV):
        lit = shown.max(axis=-1) > 0
        assert lit.any(axis=0).mean() < 0.5
        assert lit.any(axis=1).mean() < 0.6
    assert all((shown.max(axis=-1) > 0).mean() < 0.03 for shown in _overlays(Label.MYOCARDIUM))


def test_the_scale_is_blue_away_black_at_rest_and_red_towards() -> None:
    scale = colour_scale().astype(int)
    assert scale[128].max() == 0
    assert scale[30, 2] > scale[30, 0]
    assert scale[220, 0] > scale[220, 2]
