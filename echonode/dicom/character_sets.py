"""Python's names of the character sets that Specific Character Set (0008,0005) declares, misspelt ones read too."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydicom.charset import python_encoding

LATIN_1 = ("iso8859",)


def encodings_of(value: bytes | str | Iterable[str]) -> tuple[str, ...]:
    """Python's names of the character sets that a value of (0008,0005) names, as `character_sets`."""
    if not value:
        return ("iso8859",)
    names = (
        value.decode("latin-1").split("\\")
        if isinstance(value, bytes)
        else [value]
        if isinstance(value, str)
        else value
    )
    terms = (character_set_term(str(name).strip(" \0")) for name in names)
    return tuple("iso8859" if term is None else python_encoding[term] for term in terms) or ("iso8859",)


def character_set_term(term: str) -> str | None:
    """The defined term of PS3.3 C.12.1.1.2 that is meant, such as ISO_IR 126 by "ISO IR 126"; None when none is."""
    if term in python_encoding:
        return term
    number = re.search(r"(\d+)$", term)
    if number is None:
        return None
    repaired = f"ISO 2022 IR {number[1]}" if "2022" in term else f"ISO_IR {number[1]}"
    return repaired if repaired in python_encoding else None
