"""Real objects: a lab's six rows name the views of a stress study, and colour is found where headers do not tell it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydicom
import pytest

from echonode.core.clip import Mode
from echonode.core.configuration import read_section
from echonode.core.facts import Facts
from echonode.core.settings import LimitsSection
from echonode.core.views import ViewsFile
from echonode.dicom.colour import FLOW_SHARE, GREY_SHARE, colour_share, colours
from echonode.dicom.facts import facts_of
from echonode.dicom.pixels import read_clip

pytestmark = pytest.mark.filterwarnings("ignore")  # the files are odd on purpose, and pydicom says so
SIX_ROWS = """
[[view]]
view = "PLAX"
vendor = "ACUSON"
stage = "any"
view_number = 1
[[view]]
view = "PSAX-PM"
vendor = "ACUSON"
stage = "any"
view_number = 2
[[view]]
view = "A4C"
vendor = "ACUSON"
stage = "any"
view_number = 3
[[view]]
view = "A2C"
vendor = "ACUSON"
stage = "any"
view_number = 4
[[view]]
view = "A3C"
vendor = "ACUSON"
stage = "any"
view_number = 5
[[view]]
view = "SC-SAX"
vendor = "ACUSON"
stage = "any"
view_number = 6
"""
MODES = {
    "2D": {Mode.B_MODE}, "2D-still": {Mode.B_MODE}, "2D-empty": {Mode.B_MODE}, "stress": {Mode.B_MODE},
    "M-mode": {Mode.M_MODE}, "spectral-TDI": {Mode.TDI}, "stress-colour": {Mode.COLOUR},
    # three of these have headers like their grey siblings', or none of what tells: their pixels are asked
    "colour": {Mode.COLOUR, Mode.B_MODE, Mode.UNKNOWN},
}  # fmt: skip


def facts(path: Path, views: ViewsFile | None = None) -> Facts:
    return facts_of(pydicom.dcmread(path, stop_before_pixels=True), transfer_syntax_uid="", views=views)


def test_six_rows_name_the_views_of_all_stages(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "views.toml").write_text(SIX_ROWS)
    views = read_section(tmp_path / "views.toml", ViewsFile)
    found = [facts(shared_data / "ultrasound" / "stress_acuson" / f"I_{n:06d}.dcm", views) for n in range(7, 19)]
    assert [each.view for each in found] == 2 * ["PLAX", "PSAX-PM", "A4C", "A2C", "A3C", "SC-SAX"]
    assert all(each.view_source == "views.toml" and each.view_firm and each.stage for each in found)
    assert {each.age_years for each in found} == {74.0}
    assert {(each.height_m, each.weight_kg) for each in found} == {(1.78, 72.0)}
    without = facts(shared_data / "ultrasound" / "stress_acuson" / "I_000007.dcm")
    assert (without.view, without.view_source, without.view_number) == (None, "", 1)


def test_the_shipped_rows_read_what_these_scanners_wrote_and_nothing_else(shared_data: Path, checkout: Path) -> None:
    shipped = read_section(checkout / "ae_config" / "views.toml", ViewsFile)
    folder = shared_data / "ultrasound"
    found = {path.stem: facts(path, shipped).view for path in sorted(folder.glob("*/*.dcm"))}
    assert {name: view for name, view in found.items() if view} == {
        "US-PAL-8-10x-echo": "PLAX",
        "jpeg-ls-Palette": "PLAX",
    }


def test_the_mode_of_every_real_echo(shared_data: Path) -> None:
    entries: list[dict[str, Any]] = json.loads((shared_data / "manifest.json").read_text())
    looked = 0
    for entry in entries:
        if entry["category"] in MODES and (shared_data / entry["file"]).is_file():
            assert facts(shared_data / entry["file"]).mode in MODES[entry["category"]], entry["file"]
            looked += 1
    assert looked >= 20
    xario = {path.stem: facts(path).mode for path in (shared_data / "ultrasound" / "adult_xario").glob("*.dcm")}
    assert xario == {
        "I_000031": Mode.B_MODE, "I_000032": Mode.COLOUR, "I_000034": Mode.M_MODE, "I_000038": Mode.TDI,
    }  # fmt: skip


def test_patients_of_real_files(shared_data: Path) -> None:
    child = facts(shared_data / "ultrasound" / "paediatric_hp" / "I_000001.dcm")
    assert (child.age_years, child.height_m, child.weight_kg) == (2.0, 0.87, 11.6)
    old = facts(shared_data / "ultrasound" / "adult_xario" / "I_000031.dcm")
    assert old.age_years is None, "born 1858, seen 2006"
    assert facts(shared_data / "ultrasound" / "single" / "color-pl.dcm").transesophageal


@pytest.mark.parametrize(
    ("name", "coloured"),
    [
        ("paediatric_hp/I_000001", False),
        ("paediatric_hp/I_000002", False),
        ("paediatric_hp/I_000003", True),
        ("adult_xario/I_000031", False),
        ("adult_xario/I_000032", True),
        ("stress_acuson/I_000009", False),
        ("single/IM00001.implicit_little_endian", True),
        ("single/US-PAL-8-10x-echo", True),
        ("single/color-pl", True),
        ("single/examples_ybr_color", False),
    ],
)
def test_colour_doppler_is_seen_where_the_header_is_that_of_a_grey_loop(
    shared_data: Path, name: str, coloured: bool
) -> None:
    clip = read_clip(shared_data / "ultrasound" / f"{name}.dcm", limits=LimitsSection())
    share = colour_share(clip.frames, clip.regions)
    assert share > 10 * FLOW_SHARE if coloured else share < GREY_SHARE, "not a close call"
    assert colours(clip) is coloured
