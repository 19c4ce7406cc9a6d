"""Parameters of a run and numbers of a package's [config], checked before they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from echonode.core.errors import BadInput, PackageInvalid

PREPARATIONS: Final = ("published", "clinical")
MOST_CLIPS: Final = 4096


def preparation_of(parameters: Mapping[str, Any], usual: str) -> str:
    """The preparation mode that a run asks for; the package's when it does not say.

    Raises:
        BadInput: there is no such mode.
    """
    asked = parameters.get("preparation", usual)
    if asked not in PREPARATIONS:
        raise BadInput(f"preparation: {' or '.join(PREPARATIONS)} is expected, not {asked!r}")
    return str(asked)


def whole_of(parameters: Mapping[str, Any], name: str, usual: int | None, *, least: int, most: int) -> int | None:
    """A whole number among the parameters of a run.

    Raises:
        BadInput: something else, or out of range.
    """
    asked = parameters.get(name, usual)
    if asked is None:
        return None
    if isinstance(asked, bool) or not isinstance(asked, int) or not least <= asked <= most:
        raise BadInput(f"{name}: a whole number from {least} to {most} is expected, not {asked!r}")
    return asked


def starts_of(parameters: Mapping[str, Any]) -> list[int] | None:
    """The first frames that a run asks for, counted from 0; None when it leaves them to the task.

    Raises:
        BadInput: no list of whole numbers from 0.
    """
    asked = parameters.get("starts")
    if asked is None:
        return None
    sound = isinstance(asked, Sequence) and not isinstance(asked, str) and 0 < len(asked) <= MOST_CLIPS
    if not sound or any(isinstance(start, bool) or not isinstance(start, int) or start < 0 for start in asked):
        raise BadInput(f"starts: a list of frame numbers from 0 is expected, not {str(asked)[:80]!r}")
    return [int(start) for start in asked]


def positive(config: Mapping[str, Any], name: str, usual: float) -> float:
    """A number above 0 of a package's [config].

    Raises:
        PackageInvalid: something else.
    """
    value = config.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise PackageInvalid(f"config.{name}: a number above 0 is expected, not {value!r}")
    return float(value)


def counted(config: Mapping[str, Any], name: str, usual: int, *, most: int = MOST_CLIPS) -> int:
    """A whole number from 1 of a package's [config].

    Raises:
        PackageInvalid: something else.
    """
    value = config.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise PackageInvalid(f"config.{name}: a whole number from 1 to {most} is expected, not {value!r}")
    return value
