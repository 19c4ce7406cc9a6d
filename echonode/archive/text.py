"""How text is normalised for matching (PS3.4 C.2.2.2): the same on the stored and on the asking side."""

from __future__ import annotations

import re
import unicodedata

LONGEST_KEY = 256
"""Characters of a value that matching columns keep; longer than any VR that people query by."""


def person_name_key(component_group: str) -> str:
    """One component group of a PN, without case, diacritics, surrounding spaces and trailing empty components."""
    bare = "".join(
        character
        for character in unicodedata.normalize("NFKD", component_group.casefold())
        if not "\u0300" <= character <= "\u036f"
    )
    components = [" ".join(part.split()) for part in unicodedata.normalize("NFC", bare).split("^")]
    return "^".join(components).rstrip("^")[:LONGEST_KEY]


def person_name_keys(name: str) -> tuple[str, str, str]:
    """The keys of the alphabetic, ideographic and phonetic group of a PN (PS3.5 6.2.1.2)."""
    groups = [person_name_key(group) for group in name.split("=")[:3]]
    first, second, third = [*groups, "", "", ""][:3]
    return first, second, third


def name_words(name: str) -> set[str]:
    """The words of every component of a PN, normalised: what fuzzy matching compares (PS3.4 C.2.2.2.4)."""
    keys = person_name_keys(name)
    return {word for key in keys for word in re.split(r"[\s^,.\-']+", key) if word}


def date_key(value: str) -> str:
    """A DA as YYYYMMDD; the retired form YYYY.MM.DD is read too, anything else is empty."""
    digits = value.strip().replace(".", "").replace("-", "")
    return digits if len(digits) == 8 and digits.isdigit() and digits.isascii() else ""


def time_key(value: str, *, last: bool = False) -> str:
    """A TM filled up to HHMMSS.FFFFFF so that text order is time order; with the latest time it can mean for `last`.

    Empty where it is no time.
    """
    whole, _, fraction = value.strip().replace(":", "").partition(".")
    if not (whole.isdigit() and whole.isascii() and len(whole) in (2, 4, 6)):
        return ""
    if fraction and not (fraction.isdigit() and fraction.isascii() and len(whole) == 6):
        return ""
    filling = "5959"[: 6 - len(whole)] if last else "0000"[: 6 - len(whole)]
    return f"{whole}{filling}.{fraction[:6].ljust(6, '9' if last else '0')}"


def wildcard_matches(pattern: str, value: str) -> bool:
    """Whether `value` fits a pattern of `*`, `?` and literal characters, in time len(pattern) x len(value) at most."""
    at, star, retry, position = 0, -1, 0, 0
    while position < len(value):
        if at < len(pattern) and pattern[at] == "*":
            star, retry = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", value[position]):
            at += 1
            position += 1
        elif star >= 0:
            retry += 1
            at, position = star + 1, retry
        else:
            return False
    return pattern[at:].strip("*") == ""
