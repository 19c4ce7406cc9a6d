"""The query parameters of rendered resources (PS3.18 8.3.5) as a Look."""

from __future__ import annotations

from collections.abc import Mapping

from echonode.core.errors import BadInput
from echonode.dicom.look import Look, Viewport, VoiFunction, VoiWindow

_FUNCTIONS = {
    "linear": VoiFunction.LINEAR,
    "linear-exact": VoiFunction.LINEAR_EXACT,
    "sigmoid": VoiFunction.SIGMOID,
}
_ANNOTATIONS = frozenset({"patient", "technique"})
_PROFILES = frozenset({"no", "yes", "srgb", "adobergb", "rommrgb", "displayp3"})


def look_of(query: Mapping[str, str], *, viewport: Viewport | None = None) -> Look:
    """The look that `viewport`, `window` and `quality` ask for; parameters that it does not know are ignored.

    `viewport` stands in where the query names none. `iccprofile` is accepted, because what we show is sRGB; so is
    `annotation`, although nothing is ever written into a picture.

    Raises:
        BadInput: a value that PS3.18 8.3.5 does not allow.
    """
    _one_of(query.get("iccprofile"), _PROFILES, "iccprofile")
    for word in (query.get("annotation") or "").split(","):
        _one_of(word, _ANNOTATIONS, "annotation")
    return Look(
        viewport=_viewport(query["viewport"]) if query.get("viewport") else viewport,
        window=_window(query["window"]) if query.get("window") else None,
        quality=whole(query["quality"], "quality") if query.get("quality") else None,
    )


def whole(text: str, name: str) -> int:
    """A whole number without a sign.

    Raises:
        BadInput: anything else.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadInput(f"{name}: a whole number was expected, not {text[:40]!r}")
    return int(text)


def real(text: str, name: str) -> float:
    """A decimal number.

    Raises:
        BadInput: anything else.
    """
    try:
        return float(text[:40])
    except ValueError:
        raise BadInput(f"{name}: a number was expected, not {text[:40]!r}") from None


def _viewport(text: str) -> Viewport:
    parts = text.split(",")
    if not 2 <= len(parts) <= 6:
        raise BadInput("viewport: width,height[,x,y,width,height] was expected")
    width, height = (whole(part, "viewport") for part in parts[:2])
    rest = [real(part, "viewport") if part.strip() else None for part in parts[2:]]
    if not any(part is not None for part in rest):
        return Viewport(width=width, height=height)
    left, top, across, down = [*rest, None, None, None, None][:4]
    return Viewport(width=width, height=height, region=(left or 0.0, top or 0.0, across, down))


def _window(text: str) -> VoiWindow:
    parts = text.split(",")
    if len(parts) not in (2, 3):
        raise BadInput("window: centre,width,function was expected")
    name = parts[2].strip().lower() if len(parts) == 3 else "linear"
    _one_of(name, frozenset(_FUNCTIONS), "window")
    return VoiWindow(centre=real(parts[0], "window"), width=real(parts[1], "window"), function=_FUNCTIONS[name])


def _one_of(word: str | None, words: frozenset[str], name: str) -> None:
    if word and word.strip().lower() not in words:
        raise BadInput(f"{name}: one of {', '.join(sorted(words))} was expected, not {word[:40]!r}")
