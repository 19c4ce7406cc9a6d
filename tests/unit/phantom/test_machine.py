"""A look that breaks a rule of its own would stop a cohort in the middle."""

from __future__ import annotations

from dataclasses import replace

import pytest

from echonode.phantom.machine import MACHINES, Rectangle, machine


def test_a_seed_always_gives_the_same_machine() -> None:
    assert machine(17) == machine(17)
    assert machine(17) != machine(18)


def test_random_machines_keep_within_what_scanners_do() -> None:
    looks = [machine(seed) for seed in range(200)]
    assert len({look.gain_db for look in looks}) == len(looks)
    assert all(30 < look.dynamic_range_db < 80 and 55 <= look.sector_deg <= 105 for look in looks)
    assert {look.channels for look in looks} == {1, 3}


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="slate"):
        machine("nobody")


@pytest.mark.parametrize(
    "changes", [{"channels": 2}, {"sector_deg": 170.0}, {"depth_mm": 5.0}, {"lines": 2}, {"frame_time_ms": 0.0}]
)
def test_nonsense_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        replace(MACHINES["slate"], **changes)  # type: ignore[arg-type]


def test_a_rectangle_outside_the_screen_is_refused() -> None:
    with pytest.raises(ValueError, match="inside"):
        Rectangle(x0=0.5, y0=0, x1=1.2, y1=1)
