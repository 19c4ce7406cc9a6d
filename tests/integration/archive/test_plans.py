"""Keyed queries must not walk a table: an archive that grows would slow them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import event
from sqlalchemy.engine import Engine

from echonode.archive.bare import Bare
from echonode.archive.database import Database
from echonode.core.attributes import COMPUTED
from echonode.core.query import Fuzzy, Level, QueryRequest, Universal
from echonode.core.work import WorkKind
from echonode.flow.query import find
from tests.support.door import DoorBench, picture

KEYS: list[dict[str, str]] = [
    {"QueryRetrieveLevel": "STUDY", "PatientID": "P1"},
    {"QueryRetrieveLevel": "STUDY", "PatientName": "Echo*"},
    {"QueryRetrieveLevel": "STUDY", "PatientName": "Echo^Ada"},
    {"QueryRetrieveLevel": "STUDY", "AccessionNumber": "A1"},
    {"QueryRetrieveLevel": "STUDY", "StudyDate": "20260101-20260131", "ModalitiesInStudy": "US"},
    {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2.3", "NumberOfStudyRelatedInstances": ""},
    {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.2.3", "Modality": "US"},
    {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1"},
]


@pytest.fixture
def plans(door: DoorBench, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The steps of every SELECT that runs, as the database plans it."""
    door.send(picture())
    steps: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.startswith("SELECT"):
            planned = connection.connection.dbapi_connection.cursor()
            planned.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps.extend(row[3] for row in planned.fetchall())

    look_up_all = Database.look_up_all

    def look_up(self: Database, statement: Bare, values: Mapping[str, Any]) -> list[Sequence[Any]]:
        with self.reading() as connection:
            sql, parameters = statement.bind(connection.dialect, values)
            explain(connection, None, sql, parameters, None, False)
        return look_up_all(self, statement, values)

    monkeypatch.setattr(Database, "look_up_all", look_up)
    event.listen(Engine, "before_cursor_execute", explain)
    yield steps
    event.remove(Engine, "before_cursor_execute", explain)


@pytest.mark.parametrize("keys", KEYS, ids=lambda keys: " ".join(keys))
def test_no_keyed_query_scans(door: DoorBench, plans: list[str], keys: dict[str, str]) -> None:
    identifier = Dataset()
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    assert len(list(find(door.archive, identifier, root="study", ae_title="ECHONODE"))) == 1
    assert plans
    assert scans(plans) == []


def scans(plans: list[str]) -> list[str]:
    """Walks over tables; a list of ids that was handed in is none."""
    return [step for step in plans if step.startswith("SCAN") and "json_each" not in step]


def test_retrieval_does_not_scan(door: DoorBench, plans: list[str]) -> None:
    contents = door.archive.contents
    assert contents.located(study_uid="1.2.3", series_uid="1.2.3.1", sop_instance_uid="1.2.3.4")
    assert contents.located_uid("1.2.3.4")
    assert len(contents.located_all(study_uid="1.2.3")) == len(
        contents.located_all(study_uid="1.2.3", series_uid="1.2.3.1")
    )
    for which in ({}, {"series_uid": "1.2.3.1"}, {"series_uid": "1.2.3.1", "sop_instance_uid": "1.2.3.4"}):
        assert len(contents.metadata(study_uid="1.2.3", **which)) == 1
    assert contents.digests(study_uid="1.2.3")
    assert plans
    assert scans(plans) == []


def test_fuzzy_matching_and_counts_do_not_scan(door: DoorBench, plans: list[str]) -> None:
    counted = dict.fromkeys(COMPUTED, Universal())
    request = QueryRequest(level=Level.STUDY, keys={"PatientName": Fuzzy("ada"), **counted}, limit=5)
    assert len(list(door.archive.index.find(request))) == door.archive.index.count(request) == 1
    assert plans
    assert scans(plans) == []
    assert not [step for step in plans if "instance USING INDEX" in step], "counting reads rows, not an index alone"


def test_neither_ingest_nor_the_worker_s_polling_scans(door: DoorBench, plans: list[str]) -> None:
    door.send(picture("1.2.3.9"))
    door.send(picture("1.2.3.10", PatientID="P2"))
    door.archive.work.claim(kind=WorkKind.RUN, owner="w", lease_seconds=1)
    door.archive.work.reap()
    door.archive.activity.unsettled(quiet_seconds=1, longest_seconds=10)
    door.archive.index.instances(study_uid="1.2.3")
    door.archive.index.facts_of_study("1.2.3")
    assert [step for step in plans if step.startswith("SCAN") and "pause" not in step] == []
