"""How many ways a regular expression can be tried on a text: senders choose the text, so no pattern may have too many.

Python's `re` has no time-out, and what it matches is in the header of an object whose sender waits for its answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

LONGEST_TEXT: Final = 128
"""Characters of a text that a pattern is tried on; a description (LO) has 64 at most."""
MOST_WAYS: Final = LONGEST_TEXT**2 * 64
"""Two repetitions without an end and some alternatives: half a second at the very worst."""
_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})


def ways(pattern: str) -> float:
    """An upper bound of the ways in which `pattern` fits at one place of a text; infinite where they double by the character.

    Raises:
        re.error: it is no regular expression.
    """
    return _of_sequence(import_module("re._parser").parse(pattern))


def _of_sequence(parsed: Iterable[tuple[Any, Any]]) -> float:
    return math.prod(_of_part(str(kind), value) for kind, value in parsed)


def _of_part(kind: str, value: Any) -> float:
    if kind in _REPEATS:
        fewest, most, inner = value
        within, most = _of_sequence(inner), min(int(most), LONGEST_TEXT)
        if within > 1:
            return float(within**most) if most <= 3 else math.inf
        return float(max(most - fewest, 0) + 1)
    if kind == "BRANCH":
        return sum(_of_sequence(each) for each in value[1])
    if kind == "GROUPREF_EXISTS":
        return sum(_of_sequence(each) for each in value[1:] if each is not None)
    parts = value if isinstance(value, tuple) else (value,)  # of a group or an assertion; a character is none
    return math.prod(_of_sequence(each) for each in parts if hasattr(each, "data"))
