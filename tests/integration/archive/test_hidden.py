"""The node's own simulated objects are seen by nobody; what carries no marker of this node's key always is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from echonode.core.errors import NotFound
from echonode.core.query import Level, QueryRequest, Single, Universal
from echonode.core.readings import KeptReading
from echonode.core.received import Origin, Verdict
from echonode.core.tally import Tally
from echonode.flow.counted import CountedIngest
from echonode.flow.query import find, select
from echonode.phantom.marker import sign, signed_by, write_block
from tests.support.door import DoorBench, picture

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
OWN = {
    "StudyInstanceUID": "2.25.7",
    "SeriesInstanceUID": "2.25.7.1",
    "PatientID": "PHANTOM-1",
    "PatientName": "PHANTOM",
}
LEVELS = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}


def marked(uid: str, *, key: bytes | None = KEY, marker: bytes | None = None, **values: Any) -> Dataset:
    """A picture with the private block; `marker` instead of the one that `key` gives to its UID."""
    dataset = picture(uid, **{**OWN, **values})
    if marker is None and key is not None:
        marker = sign(uid, key)
    write_block(dataset, origin="1-0000-quick#1", marker=marker)
    return dataset


@pytest.fixture
def door(tmp_path: Path) -> Iterator[DoorBench]:
    bench = DoorBench(tmp_path, recogniser=partial(signed_by, key=KEY))
    yield bench
    bench.archive.close()


def seen(door: DoorBench, level: Level) -> list[str]:
    """UIDs (or PatientIDs) that a query of that level answers with."""
    keyword = LEVELS[level]
    matches = door.archive.index.find(QueryRequest(level=level, keys={keyword: Universal()}))
    tag = {"PatientID": "00100020", "StudyInstanceUID": "0020000D", "SeriesInstanceUID": "0020000E"}.get(
        keyword, "00080018"
    )
    return [match.attributes[tag]["Value"][0] for match in matches]


def test_no_query_no_retrieval_and_no_total_knows_the_node_s_own_study(door: DoorBench) -> None:
    receipt = door.send(marked("2.25.8"))
    door.send(picture("1.2.3.4"))
    assert receipt.self_check
    assert {level: seen(door, level) for level in Level} == {
        Level.PATIENT: ["P1"], Level.STUDY: ["1.2.3"], Level.SERIES: ["1.2.3.1"], Level.IMAGE: ["1.2.3.4"],
    }  # fmt: skip
    index, contents = door.archive.index, door.archive.contents
    assert (index.totals()["patients"], index.totals()["studies"], index.totals()["instances"]) == (1, 1, 1)
    assert [each.sop_instance_uid for each in index.instances()] == ["1.2.3.4"]
    assert index.facts_of_study("2.25.7") == []
    with pytest.raises(NotFound):
        index.resolve_study("2.25.7")
    assert contents.located_uid("2.25.8") is None
    assert contents.metadata(study_uid="2.25.7") == []
    assert contents.located_all(study_uid="2.25.7") == []


def test_c_find_and_c_move_by_its_very_uids_find_nothing(door: DoorBench) -> None:
    door.send(marked("2.25.8"))
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", "2.25.7"
    assert list(find(door.archive, asked, root="study", ae_title="ECHONODE")) == []
    assert select(door.archive, asked, root="study") == []


@pytest.mark.parametrize("origin", [Origin.DIMSE, Origin.WEB, Origin.IMPORT])
def test_the_signature_counts_whichever_door_it_came_through(door: DoorBench, origin: Origin) -> None:
    door.send(marked("2.25.8"), origin=origin)
    assert seen(door, Level.STUDY) == []
    assert door.archive.hidden.studies() == ["2.25.7"]


@pytest.mark.parametrize(
    "dataset",
    [
        marked("2.25.8", key=OTHER_KEY),
        marked("2.25.8", marker=sign("2.25.9", KEY)),
        marked("2.25.8", key=None),
        marked("2.25.8", marker=b""),
        marked("2.25.8", marker=b"\0" * 32),
        marked("2.25.8", marker=sign("2.25.8", KEY)[:31]),
        marked("2.25.8", marker=sign("2.25.8", KEY) + b"\0\0"),
        picture("2.25.8", **OWN),
    ],
    ids=["another key", "copied to another UID", "unsigned", "empty", "zeros", "cut", "longer", "by name alone"],
)
@pytest.mark.parametrize("origin", [Origin.DIMSE, Origin.WEB])
def test_a_forged_or_copied_marker_hides_nothing(door: DoorBench, dataset: Dataset, origin: Origin) -> None:
    receipt = door.send(dataset, origin=origin)
    assert not receipt.self_check
    assert seen(door, Level.IMAGE) == ["2.25.8"]
    assert door.archive.hidden.purge("2.25.7") == 0
    assert seen(door, Level.IMAGE) == ["2.25.8"]


def test_a_node_without_a_key_hides_nothing(tmp_path: Path) -> None:
    door = DoorBench(tmp_path)
    door.send(marked("2.25.8"))
    assert seen(door, Level.IMAGE) == ["2.25.8"]
    door.archive.close()


def test_a_real_object_in_the_study_of_a_check_makes_it_a_real_study_that_outlives_the_purge(door: DoorBench) -> None:
    door.send(marked("2.25.8"))
    door.send(picture("1.2.3.4", StudyInstanceUID="2.25.7", SeriesInstanceUID="2.25.7.1"))
    (match,) = door.archive.index.find(QueryRequest(level=Level.STUDY, keys={"PatientName": Universal()}))
    assert match.attributes["00100020"]["Value"] == ["P1"]
    assert seen(door, Level.IMAGE) == ["1.2.3.4"]
    assert door.archive.conflicts.list() == []  # the simulated patient has no say
    request = QueryRequest(level=Level.STUDY, keys={"PatientName": Single("Echo^Ada", ignore_case=True)})
    assert len(list(door.archive.index.find(request))) == 1
    assert door.archive.hidden.purge("2.25.7") == 1
    assert seen(door, Level.PATIENT) == ["P1"]
    assert seen(door, Level.IMAGE) == ["1.2.3.4"]
    assert len(door.stored_bytes("1.2.3.4")) > 100


def test_an_own_object_in_a_patient_s_study_hides_itself_alone_and_holds_nothing(door: DoorBench) -> None:
    door.send(picture("1.2.3.4"))
    door.send(marked("2.25.8", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1", Modality="US"))
    assert seen(door, Level.IMAGE) == ["1.2.3.4"]
    assert door.archive.conflicts.list() == []
    request = QueryRequest(level=Level.STUDY, keys={"NumberOfStudyRelatedInstances": Universal()})
    assert [match.counts["NumberOfStudyRelatedInstances"] for match in door.archive.index.find(request)] == [1]
    door.archive.hidden.purge("1.2.3")
    assert seen(door, Level.STUDY) == ["1.2.3"]


def test_a_patient_s_object_under_the_uid_of_an_own_one_is_refused_not_swallowed(door: DoorBench) -> None:
    door.send(marked("2.25.8"))
    receipt = door.send(picture("2.25.8"))  # the same pixels: it would be kept as a version, and purged with the first
    assert (receipt.verdict, receipt.dicom_status) == (Verdict.CONFLICT, 0x0111)
    door.archive.hidden.purge("2.25.7")
    assert door.send(picture("2.25.8")).verdict is Verdict.STORED
    assert seen(door, Level.IMAGE) == ["2.25.8"]


def test_an_own_object_under_the_uid_of_a_patient_s_changes_nothing(door: DoorBench) -> None:
    door.send(picture("2.25.8"))
    assert door.send(marked("2.25.8")).verdict is Verdict.CONFLICT
    assert seen(door, Level.IMAGE) == ["2.25.8"]


def test_what_is_derived_of_an_own_study_is_hidden_with_it_also_when_it_comes_too_late(door: DoorBench) -> None:
    door.send(marked("2.25.8"))
    door.send(picture("2.25.9", **OWN), origin=Origin.DERIVED)
    assert seen(door, Level.STUDY) == []
    assert door.archive.hidden.purge("2.25.7") == 2
    door.send(picture("2.25.9", **OWN), origin=Origin.DERIVED, self_check=True)
    assert seen(door, Level.STUDY) == []
    assert door.archive.hidden.purge("2.25.7") == 1


def test_the_purge_leaves_no_row_and_no_byte_but_the_audit(door: DoorBench) -> None:
    door.send(marked("2.25.8"))
    door.send(marked("2.25.9"))
    assert door.archive.work.list()
    assert len(door.files("objects")) == 2
    assert door.archive.hidden.purge("2.25.7") == 2
    assert door.archive.hidden.studies() == []
    assert door.archive.work.list() == []
    assert door.files("objects") == []
    with door.archive.reading() as connection:
        for table in ("patient", "study", "series", "instance", "content", "name_word", "association_study"):
            assert connection.exec_driver_sql(f"select count(*) from {table}").scalar() == 0, table
    assert [row.event for row in door.archive.audit.story("2.25.7")] == ["stored", "stored"]


def test_hidden_objects_are_found_by_their_own_index(door: DoorBench) -> None:
    with door.archive.reading() as connection:
        statement = "explain query plan select study_fk from instance where hidden = 1"
        plan = " ".join(str(row[3]) for row in connection.exec_driver_sql(statement))
    assert "ix_instance_hidden" in plan


def test_the_door_s_counts_are_those_of_patients(tmp_path: Path) -> None:
    door, tally = DoorBench(tmp_path), Tally()
    door.ingest = CountedIngest(
        tally=tally, archive=door.archive, blobs=door.blobs, planner=lambda facts: [],
        settings=door.ingest._settings, recogniser=partial(signed_by, key=KEY),
    )  # fmt: skip
    door.send(marked("2.25.8"))
    assert tally.counts() == []
    door.send(picture("1.2.3.4"))
    assert ["objects", ["dimse", "stored"], 1] in tally.counts()
    door.archive.close()


def test_under_the_node_s_own_title_only_marked_objects_come_in(door: DoorBench) -> None:
    refused = door.send(picture("1.2.3.4"), marked_only=True)
    assert (refused.verdict, refused.dicom_status) == (Verdict.QUARANTINED, 0x0124)
    assert door.send(marked("2.25.8"), marked_only=True).accepted


def test_a_study_that_was_only_simulated_never_waits_to_be_settled(door: DoorBench) -> None:
    door.send(marked("2.25.8"))
    assert door.archive.gauges().unsettled == 0


def test_what_models_said_of_the_node_s_own_study_goes_with_it(door: DoorBench) -> None:
    """A number of a simulated heart must be kept nowhere once the check has ended; a patient's stays."""
    door.send(marked("2.25.8"))
    door.send(picture("1.2.3.4"))
    with door.archive.transaction() as connection:
        for study, uid in (("2.25.7", "2.25.8"), ("1.2.3", "1.2.3.4")):
            kept = KeptReading(
                sop_instance_uid=uid, study_uid=study, task="view", model="m", version="1", digest="d", route="r",
                work_id="w",
            )  # fmt: skip
            door.archive.readings.put(connection, kept)
    assert len(door.archive.readings.of_study("2.25.7")) == 1
    door.archive.hidden.purge("2.25.7")
    assert door.archive.readings.of_study("2.25.7", current=False) == []
    assert len(door.archive.readings.of_study("1.2.3")) == 1
