"""Matching: the database and plain Python agree, wildcards are what PS3.4 C.2.2.2.4 says, whatever people type."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from echonode.archive.archive import Archive
from echonode.archive.conditions import column_condition, value_matches
from echonode.archive.entry import person_columns
from echonode.archive.identity import PatientIdentity
from echonode.archive.schema import PATIENT
from echonode.archive.text import date_key, person_name_key, time_key, wildcard_matches
from echonode.core.attributes import ATTRIBUTES
from echonode.core.query import AnyOf, Level, Matcher, Range, Single, Wildcard

LETTERS = "abAB1[]^%_\\* ?éü日"
VALUES = st.text(LETTERS.replace("*", "").replace("?", "").replace("\\", ""), max_size=8)
PATTERNS = st.text(LETTERS.replace("\\", ""), min_size=1, max_size=8)
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    made = Archive.open(f"sqlite:///{tmp_path / 'echonode.sqlite3'}", migrate=True)
    yield made
    made.close()


def by_database(archive: Archive, keyword: str, matcher: Matcher, values: list[str]) -> set[str]:
    """Which of the values the index's columns let through."""
    attribute = ATTRIBUTES[keyword]
    condition = column_condition(attribute, matcher, Level.PATIENT, glob=True)
    with archive.transaction() as connection:
        connection.execute(PATIENT.delete())
        for number, value in enumerate(values):
            person = PatientIdentity(
                patient_id=value if keyword == "PatientID" else "",
                issuer="",
                name=value if keyword == "PatientName" else "",
                birth_date=date_key(value) if keyword == "PatientBirthDate" else "",
            )
            row = {"identity": str(number), **person_columns(person, {}), "attributes": {}}
            connection.execute(insert(PATIENT), row)
        found = connection.execute(select(PATIENT.c.identity).where(condition.sql)).scalars()
        let_through = {values[int(number)] for number in found}
    return let_through if condition.exact else {v for v in let_through if value_matches(attribute.vr, matcher, v)}


@QUIET
@given(values=st.lists(VALUES.map(str.strip).filter(bool), min_size=1, max_size=6, unique=True), pattern=PATTERNS)
def test_wildcards_on_plain_text(archive: Archive, values: list[str], pattern: str) -> None:
    matcher = Wildcard(pattern)
    expected = {value for value in values if value_matches("LO", matcher, value)}
    assert by_database(archive, "PatientID", matcher, values) == expected


@QUIET
@given(
    values=st.lists(VALUES.filter(person_name_key), min_size=1, max_size=6, unique=True),
    text=PATTERNS.filter(person_name_key),
)
def test_person_names(archive: Archive, values: list[str], text: str) -> None:
    matcher = Wildcard(text, ignore_case=True) if set("*?") & set(text) else Single(text, ignore_case=True)
    expected = {value for value in values if value_matches("PN", matcher, value)}
    assert by_database(archive, "PatientName", matcher, values) == expected


@QUIET
@given(
    values=st.lists(st.dates().map(lambda day: day.strftime("%Y%m%d").zfill(8)), min_size=1, max_size=6, unique=True),
    first=st.dates() | st.none(),
    last=st.dates() | st.none(),
)
def test_date_ranges(archive: Archive, values: list[str], first: object, last: object) -> None:
    ends = [None if end is None else end.strftime("%Y%m%d").zfill(8) for end in (first, last)]  # type: ignore[attr-defined]
    matcher = Range(*ends)
    expected = {v for v in values if (not ends[0] or v >= ends[0]) and (not ends[1] or v <= ends[1])}
    assert by_database(archive, "PatientBirthDate", matcher, values) == expected
    assert {value for value in values if value_matches("DA", matcher, value)} == expected


@given(value=VALUES, pattern=PATTERNS)
def test_wildcards_are_star_and_question_mark_and_nothing_else(value: str, pattern: str) -> None:
    translated = fnmatch.translate(pattern.replace("[", "[[]"))
    assert wildcard_matches(pattern, value) is (re.match(translated, value) is not None)


def test_a_pattern_full_of_stars_is_answered_at_once() -> None:
    assert not wildcard_matches("*a" * 200 + "b", "a" * 5000)


@pytest.mark.parametrize(
    ("asked", "stored", "expected"),
    [
        ("doe^jane", "Doe^Jane", True),
        ("DOE", "Doe^Jane", True),
        ("Doe^", "Doe^Jane", True),
        ("Do", "Doe^Jane", False),
        ("doe^jane^", "Doe^Jane^^^", True),
        ("Muller", "Müller^Karl", True),
        ("山田", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("=山田", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("Tanaka=山田", "Yamada^Tarou=山田^太郎=やまだ^たろう", False),
        ("  Doe  ^ Jane", "Doe^Jane", True),
    ],
)
def test_names_as_people_type_them(archive: Archive, asked: str, stored: str, expected: bool) -> None:
    matcher = Single(asked, ignore_case=True)
    assert value_matches("PN", matcher, stored) is expected
    assert by_database(archive, "PatientName", matcher, [stored]) == ({stored} if expected else set())


@pytest.mark.parametrize(
    ("matcher", "stored", "expected"),
    [
        (Range("10", "11"), "105959.5", True),
        (Range("1000", "1030"), "103059.999999", True),
        (Range("1000", "1030"), "103100", False),
        (Range(None, "09"), "095959", True),
        (Range("10", None), "09:59:59", False),
        (Single("101112"), "101112.000000", True),
        (Single("1011"), "101112", False),
        (Range("10", "11"), "", False),
    ],
)
def test_times(matcher: Matcher, stored: str, expected: bool) -> None:
    assert value_matches("TM", matcher, stored) is expected


def test_ids_are_told_apart_by_case_and_lists_match_any() -> None:
    assert not value_matches("LO", Single("p1"), "P1")
    assert value_matches("UI", AnyOf(("1.2", "1.3")), "1.3")
    assert value_matches("IS", Single("7"), "07")


@given(st.text(max_size=30))
def test_odd_dates_and_times_never_raise_and_never_match(text: str) -> None:
    assert date_key(text) == "" or len(date_key(text)) == 8
    assert time_key(text) == "" or len(time_key(text)) == 13
