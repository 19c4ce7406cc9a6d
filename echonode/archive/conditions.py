"""Matchers as SQL on indexed columns, and as Python on stored DICOM JSON for every other attribute (PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, select, true

from echonode.archive.entry import value_text
from echonode.archive.schema import INSTANCE, NAME_WORD, PATIENT, SERIES, STUDY
from echonode.archive.text import LONGEST_KEY, date_key, name_words, person_name_key, time_key, wildcard_matches
from echonode.core.attributes import Attribute
from echonode.core.query import AnyOf, Fuzzy, Level, Matcher, Range, Single, Universal, Wildcard

_MOST_STARS = 3
"""`*` of one pattern that the database is asked to match: it backtracks at each; the rest is matched in Python."""
_HIGHEST = "\U0010ffff"

_PERSON = {
    "PatientID": "patient_id",
    "IssuerOfPatientID": "issuer",
    "PatientBirthDate": "birth_date",
    "PatientSex": "sex",
}
_COLUMNS: dict[str, ColumnElement[str]] = {
    "StudyInstanceUID": STUDY.c.study_uid,
    "StudyDate": STUDY.c.study_date,
    "StudyTime": STUDY.c.study_time,
    "AccessionNumber": STUDY.c.accession,
    "StudyID": STUDY.c.study_id,
    "SeriesInstanceUID": SERIES.c.series_uid,
    "Modality": SERIES.c.modality,
    "SOPInstanceUID": INSTANCE.c.sop_instance_uid,
    "SOPClassUID": INSTANCE.c.sop_class_uid,
}
INDEXED = frozenset(
    {"PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "AccessionNumber", "StudyID"}
    | {"SeriesInstanceUID", "SOPInstanceUID"}
)
"""Keywords whose column has an index that single values, lists, ranges and prefixes can use."""


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL that lets every match through; `exact` when it lets nothing else through."""

    sql: ColumnElement[bool]
    exact: bool = True


NOTHING_KNOWN = Condition(true(), exact=False)


def column_condition(attribute: Attribute, matcher: Matcher, level: Level, *, glob: bool) -> Condition:
    """The matcher on the column that serves the attribute at that level; `glob` where the database has SQLite's GLOB."""
    table = PATIENT if level is Level.PATIENT else STUDY
    if attribute.keyword == "PatientName":
        if isinstance(matcher, Fuzzy):
            return _words(matcher.value, level)
        return _person_name((table.c.name_key, table.c.ideographic_key, table.c.phonetic_key), matcher, glob=glob)
    person = _PERSON.get(attribute.keyword)
    column = table.c[person] if person else _COLUMNS.get(attribute.keyword)
    return NOTHING_KNOWN if column is None else _plain(column, matcher, attribute.vr, glob=glob)


def text_condition(column: ColumnElement[str], matcher: Matcher, *, glob: bool) -> Condition:
    """The matcher on any column of plain text."""
    return _plain(column, matcher, "CS", glob=glob)


def attribute_matches(attribute: Attribute, matcher: Matcher, attributes: Mapping[str, Any]) -> bool:
    """Whether any value of the attribute in DICOM JSON fits."""
    if isinstance(matcher, Universal):
        return True
    values = [value_text(value) for value in attributes.get(attribute.tag, {}).get("Value", ())]
    return any(value_matches(attribute.vr, matcher, value) for value in values)


def value_matches(vr: str, matcher: Matcher, value: str) -> bool:
    """Whether one value, as DICOM text, fits."""
    if vr == "PN":
        return _name_matches(matcher, value)
    match matcher:
        case Universal() | Fuzzy():
            return True
        case AnyOf(values=values):
            return value in values
        case Range(first=first, last=last):
            key = {"TM": time_key, "DA": date_key}.get(vr, str)(value)
            low, high = _ends(vr, first, last)
            if vr == "DT" and high:
                key = key[: len(high)]  # 2026 as the last moment means all of 2026
            return bool(key) and (not low or key >= low) and (not high or key <= high)
        case Single(value=asked) if vr in ("DA", "TM"):
            normal = date_key if vr == "DA" else time_key
            return bool(normal(asked)) and normal(asked) == normal(value)
        case Single(value=asked) if vr in ("IS", "DS", "US"):
            return _number(value) == _number(asked)
        case Single(value=asked, ignore_case=ignore_case):
            return value.casefold() == asked.casefold() if ignore_case else value == asked
        case Wildcard(pattern=pattern, ignore_case=True):
            return wildcard_matches(pattern.casefold(), value.casefold())
        case Wildcard(pattern=pattern):
            return wildcard_matches(pattern, value)


def _plain(column: ColumnElement[str], matcher: Matcher, vr: str, *, glob: bool) -> Condition:
    match matcher:
        case AnyOf(values=values):
            return Condition(column.in_(values))
        case Range(first=first, last=last):
            low, high = _ends(vr, first, last)
            ends = [*([column >= low] if low else []), *([column <= high] if high else [])]
            return Condition(and_(column != "", *ends))
        case Single(value=value) if vr in ("DA", "TM"):
            key = date_key(value) if vr == "DA" else time_key(value)
            return Condition(column == key) if key else Condition(false())
        case Single(value=value, ignore_case=False):
            return Condition(column == value[:LONGEST_KEY], exact=len(value) < LONGEST_KEY)
        case Wildcard(pattern=pattern, ignore_case=False):
            return _like(column, pattern, glob=glob)
        case _:
            return NOTHING_KNOWN


def _person_name(columns: tuple[ColumnElement[str], ...], matcher: Matcher, *, glob: bool) -> Condition:
    """A key without `=` may fit any component group; one with `=` must fit each group that it gives."""
    if isinstance(matcher, Universal):
        return NOTHING_KNOWN
    if not isinstance(matcher, Single | Wildcard):
        return Condition(false())
    text = matcher.value if isinstance(matcher, Single) else matcher.pattern
    groups = text.split("=")[:3]
    if len(groups) > 1:
        parts = [_name_group(column, group, glob=glob) for column, group in zip(columns, groups, strict=False) if group]
        return Condition(and_(true(), *(part.sql for part in parts)), exact=all(part.exact for part in parts))
    parts = [_name_group(column, text, glob=glob) for column in columns]
    return Condition(or_(*(part.sql for part in parts)), exact=all(part.exact for part in parts))


def _words(name: str, level: Level) -> Condition:
    """Studies whose patient's name has, for each word, one that begins so: one range of an index a word."""
    if level is Level.PATIENT:
        return NOTHING_KNOWN
    having = [
        STUDY.c.id.in_(select(NAME_WORD.c.study_fk).where(NAME_WORD.c.word >= word, NAME_WORD.c.word < word + _HIGHEST))
        for word in sorted(asked_words(name))
    ]
    return Condition(and_(true(), *having))


def asked_words(name: str) -> set[str]:
    """The words that fuzzy matching asks for; wildcards say nothing more there."""
    return name_words(name.replace("*", " ").replace("?", " "))


def _name_group(column: ColumnElement[str], text: str, *, glob: bool) -> Condition:
    key = person_name_key(text)
    if "*" in key or "?" in key:
        return _like(column, key, glob=glob)
    # components that the key does not give are not asked for: Doe finds Doe^Jane
    return Condition(or_(column == key, and_(column > f"{key}^", column < f"{key}^{_HIGHEST}")))


def _name_matches(matcher: Matcher, value: str) -> bool:
    if isinstance(matcher, Universal):
        return True
    if isinstance(matcher, Fuzzy):
        words = name_words(value)
        return all(any(word.startswith(asked) for word in words) for asked in asked_words(matcher.value))
    if not isinstance(matcher, Single | Wildcard):
        return False
    stored = [person_name_key(group) for group in [*value.split("=")[:3], "", "", ""][:3]]
    text = matcher.value if isinstance(matcher, Single) else matcher.pattern
    groups = [person_name_key(group) for group in text.split("=")[:3]]
    if len(groups) > 1:
        return all(_group_matches(group, have) for group, have in zip(groups, stored, strict=False) if group)
    return any(_group_matches(groups[0], have) for have in stored)


def _group_matches(key: str, have: str) -> bool:
    if "*" in key or "?" in key:
        return bool(have) and wildcard_matches(key, have)
    return have == key or have.startswith(f"{key}^")


def _like(column: ColumnElement[str], pattern: str, *, glob: bool) -> Condition:
    pattern = re.sub(r"\*+", "*", pattern)
    prefix = re.split(r"[*?]", pattern, maxsplit=1)[0]
    conditions: list[ColumnElement[bool]] = [column != ""]
    if prefix:  # a range that the column's index serves
        conditions += [column >= prefix, column < prefix + _HIGHEST]
    if pattern == f"{prefix}*":
        return Condition(and_(*conditions))
    if pattern.count("*") > _MOST_STARS:
        return Condition(and_(*conditions), exact=False)
    if glob:
        conditions.append(column.op("GLOB", is_comparison=True)(pattern.replace("[", "[[]")))
    else:
        escaped = re.sub(r"([\\%_])", r"\\\1", pattern).replace("*", "%").replace("?", "_")
        conditions.append(column.like(escaped, escape="\\"))
    return Condition(and_(*conditions))


def _ends(vr: str, first: str | None, last: str | None) -> tuple[str, str]:
    if vr == "TM":
        return time_key(first or ""), time_key(last or "", last=True)
    if vr == "DA":
        return date_key(first or ""), date_key(last or "")
    return first or "", last or ""


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
