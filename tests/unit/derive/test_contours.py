"""An outline beside the edge, broken, or in the colour of another structure would show what the model did not say."""

from __future__ import annotations

import numpy as np

from echonode.derive.contours import Contours
from echonode.derive.palette import COLOURS, cielab, colours_of


def disc(size: int, radius: float, value: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.uint8)
    labels[np.hypot(y - size / 2, x - size / 2) < radius] = value
    return labels


def drawn(labels: np.ndarray, colours: dict[int, tuple[int, int, int]], width: float = 2.0) -> np.ndarray:
    picture = np.full((*labels.shape, 3), 100, np.uint8)
    Contours(colours=colours, width=width).draw(picture, labels)
    return picture


def near(picture: np.ndarray, colour: tuple[int, int, int], tolerance: int = 40) -> np.ndarray:
    close: np.ndarray = np.abs(picture.astype(int) - colour).max(axis=2) < tolerance
    return close


def test_the_outline_lies_on_the_edge_all_the_way_round() -> None:
    picture = drawn(disc(200, 60, 1), {1: (0, 255, 0)})
    y, x = np.nonzero(near(picture, (0, 255, 0)))
    distance = np.hypot(y - 100, x - 100)
    assert np.abs(distance - 60).max() < 2.5
    angles = np.sort(np.arctan2(y - 100, x - 100))
    assert np.diff(angles).max() < 0.05, "the outline has a gap"


def test_the_outline_is_anti_aliased_and_the_inside_is_left_as_it_is() -> None:
    picture = drawn(disc(200, 60, 1), {1: (0, 255, 0)})
    assert len(np.unique(picture[..., 1])) > 20, "no steps between line and tissue"
    assert (picture[90:110, 90:110] == 100).all()
    assert (picture[:20] == 100).all()


def test_a_cavity_keeps_its_colour_where_the_wall_around_it_ends() -> None:
    labels = disc(200, 60, 2)
    labels[disc(200, 40, 1) == 1] = 1
    picture = drawn(labels, {1: (0, 255, 0), 2: (255, 0, 0)})
    y, x = np.nonzero(near(picture, (255, 0, 0)))
    assert np.hypot(y - 100, x - 100).min() > 55, "the wall's colour is on the cavity's edge"
    y, x = np.nonzero(near(picture, (0, 255, 0)))
    assert np.abs(np.hypot(y - 100, x - 100) - 40).max() < 2.5


def test_a_structure_that_ends_at_the_border_of_the_picture_is_not_closed_there() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[40:60, :50] = 1
    picture = drawn(labels, {1: (0, 255, 0)})
    assert not near(picture, (0, 255, 0))[45:55, 0].any()


def test_nothing_is_drawn_where_nothing_is_seen() -> None:
    assert (drawn(np.zeros((50, 50), np.uint8), {1: (0, 255, 0)}) == 100).all()


def test_colours_follow_the_label_values_and_differ() -> None:
    colours = colours_of([3, 1, 2])
    assert list(colours) == [1, 2, 3]
    assert len(set(colours.values())) == 3
    assert colours_of(range(1, 9))[8] == COLOURS[0]


def test_cielab_values_are_those_of_the_standard_scale() -> None:
    assert cielab((255, 255, 255))[0] == 65535
    assert cielab((0, 0, 0))[0] == 0
    grey = cielab((119, 119, 119))
    assert abs(grey[1] - 32896) < 60, "a* of grey is 128 of 255"
    assert abs(grey[2] - 32896) < 60
    assert cielab((255, 0, 0))[1] > 40000
