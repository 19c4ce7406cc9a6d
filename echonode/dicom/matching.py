"""The identifier of C-FIND, C-MOVE and C-GET as levels and matchers (PS3.4 C.2.2.2, C.4.1, C.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from echonode.core.attributes import ATTRIBUTES, COMPUTED, LEVELS, UNIQUE_KEYS
from echonode.core.errors import BadQuery
from echonode.core.identity import is_uid
from echonode.core.query import AnyOf, Level, Matcher, Range, Single, Universal, Wildcard
from echonode.dicom import elements

Root = Literal["patient", "study"]
_NO_KEYS = frozenset({"SpecificCharacterSet", "QueryRetrieveLevel", "TimezoneOffsetFromUTC", "RetrieveAETitle",
                      "InstanceAvailability", "StorageMediaFileSetID", "QueryRetrieveView"})  # fmt: skip
_NUMBERS = frozenset({"IS", "DS", "US"})
_DIGITS = {"DA": (8,), "TM": (2, 4, 6), "DT": (4, 6, 8, 10, 12, 14)}
_LONGEST_KEY = 1024


@dataclass(frozen=True, slots=True)
class AskedElement:
    """An element of the identifier that a response repeats, with or without a value."""

    tag: BaseTag
    vr: str
    keyword: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Identifier:
    """What is asked: at which level, with which keys, and which elements a response has.

    `keys` has indexed keywords of the level and of those above, and computed ones. `ignored` names keys with a value
    that this node does not match on: responses may then hold more than was asked for (status FF01H).
    """

    level: Level
    keys: Mapping[str, Matcher]
    asked: tuple[AskedElement, ...]
    ignored: tuple[str, ...]


def read_identifier(identifier: Dataset, *, root: Root) -> Identifier:
    """A C-FIND identifier, checked against its level and its information model.

    Raises:
        BadQuery: no level or one that the model lacks, a unique key of a level above is missing or not single, a
            wildcard in a UID, or a date or time that is none.
    """
    level = level_of(identifier, root=root)
    keys: dict[str, Matcher] = {}
    asked: list[AskedElement] = []
    ignored: list[str] = []
    for tag in sorted(identifier.keys()):
        keyword = keyword_for_tag(tag)
        if tag.element == 0 or keyword in _NO_KEYS:
            continue
        stored = identifier.get_item(tag)
        vr = _vr(keyword, stored.VR)
        asked.append(AskedElement(tag, vr, keyword))
        if not _served(keyword, level):
            if vr == "SQ" or elements.texts(identifier, keyword) if keyword else bool(stored.value):
                ignored.append(keyword or str(tag))
            continue
        keys[keyword] = matcher_of(keyword, vr, elements.texts(identifier, keyword))
    _check_levels_above(keys, level, root)
    return Identifier(level=level, keys=keys, asked=tuple(asked), ignored=tuple(ignored))


def retrieve_keys(identifier: Dataset, *, root: Root) -> dict[str, Matcher]:
    """The unique keys of a C-MOVE or C-GET identifier (PS3.4 C.4.2.2.1): single above its level, a list at its level.

    Raises:
        BadQuery: as `read_identifier`; or the unique key of the level is missing.
    """
    level = level_of(identifier, root=root)
    keys: dict[str, Matcher] = {}
    for each in _levels(root):
        keyword = UNIQUE_KEYS[each]
        if LEVELS.index(each) <= LEVELS.index(level):
            values = elements.texts(identifier, keyword)
            matcher = matcher_of(keyword, ATTRIBUTES[keyword].vr, values)
            if isinstance(matcher, Universal | Wildcard):
                raise BadQuery(f"a retrieve at level {level} needs {keyword}, without wildcards")
            keys[keyword] = matcher
    _check_levels_above(keys, level, root)
    if issuer := elements.text(identifier, "IssuerOfPatientID"):
        keys["IssuerOfPatientID"] = Single(issuer)
    return keys


def level_of(identifier: Dataset, *, root: Root) -> Level:
    """The Query/Retrieve Level.

    Raises:
        BadQuery: it is missing, unknown, or PATIENT in the study root model.
    """
    text = elements.text(identifier, "QueryRetrieveLevel")
    try:
        level = Level(text)
    except ValueError:
        raise BadQuery(f"Query/Retrieve Level is {text[:16]!r}: PATIENT, STUDY, SERIES or IMAGE was expected") from None
    if level not in _levels(root):
        raise BadQuery(f"the {root} root model has no level {level}")
    return level


def matcher_of(keyword: str, vr: str, values: tuple[str, ...]) -> Matcher:
    """The matcher that the values of one key ask for.

    Raises:
        BadQuery: a wildcard in a UID, or a date or time that is none.
    """
    values = tuple(value for value in values if value)
    if not values or all(value.strip("*") == "" for value in values):
        return Universal()
    if any(len(value) > _LONGEST_KEY for value in values):
        raise BadQuery(f"{keyword}: a key of more than {_LONGEST_KEY} characters")
    if vr == "UI":
        if not all(is_uid(value) for value in values):
            raise BadQuery(f"{keyword}: a key must be a UID or a list of UIDs")
        return Single(values[0]) if len(values) == 1 else AnyOf(values)
    if vr in _DIGITS:
        return _moment(keyword, vr, values[0])
    if vr in _NUMBERS:
        return Single(values[0]) if len(values) == 1 else AnyOf(values)
    wild = any(character in value for value in values for character in "*?")
    if len(values) > 1 and not wild and vr != "PN":
        return AnyOf(values)
    value = "\\".join(values) if wild else values[0]
    return Wildcard(value, ignore_case=vr == "PN") if wild else Single(value, ignore_case=vr == "PN")


def _moment(keyword: str, vr: str, value: str) -> Matcher:
    """Single or range matching of a date or time (PS3.4 C.2.2.2.5); `-` alone asks for nothing."""
    first, hyphen, last = (part.strip() for part in value.partition("-"))
    for end in (first, last):
        if end and not _is_moment(vr, end):
            raise BadQuery(f"{keyword}: {end[:26]!r} is no {vr}")
    if not hyphen:
        return Single(first)
    return Range(first or None, last or None) if first or last else Universal()


def _is_moment(vr: str, text: str) -> bool:
    whole, dot, fraction = text.partition("+")[0].partition(".")
    if vr == "DA":
        return len(text.replace(".", "")) == 8 and text.replace(".", "").isdecimal()
    if vr == "TM":
        whole = whole.replace(":", "")
    return whole.isdecimal() and len(whole) in _DIGITS[vr] and (not dot or fraction.isdecimal())


def _vr(keyword: str, stored: str | None) -> str:
    if keyword in ATTRIBUTES:
        return ATTRIBUTES[keyword].vr
    if keyword in COMPUTED:
        return COMPUTED[keyword][1]
    return stored or "UN"


def _served(keyword: str, level: Level) -> bool:
    described = ATTRIBUTES[keyword].level if keyword in ATTRIBUTES else COMPUTED.get(keyword, (0, 0, None))[2]
    return described is not None and LEVELS.index(described) <= LEVELS.index(level)


def _levels(root: Root) -> tuple[Level, ...]:
    return LEVELS if root == "patient" else LEVELS[1:]


def _check_levels_above(keys: Mapping[str, Matcher], level: Level, root: Root) -> None:
    """Hierarchical queries name the one entity of each level above (PS3.4 C.4.1.2.2.1)."""
    for above in _levels(root):
        if above is level:
            return
        if not isinstance(keys.get(UNIQUE_KEYS[above]), Single):
            raise BadQuery(f"a query at level {level} needs one {UNIQUE_KEYS[above]}")
