"""Two patients in one study: nothing runs and nothing is delivered until a person has decided."""

from __future__ import annotations

import pytest

from echonode.archive.identity import PatientIdentity
from echonode.core.errors import BadInput, NotFound
from echonode.core.query import Level, QueryRequest, Single
from echonode.core.work import WorkKind
from tests.support.door import DoorBench, picture


def claimable(door: DoorBench) -> int:
    items = door.archive.work.claim(kind=WorkKind.RUN, owner="w", lease_seconds=60, limit=99)
    for item in items:
        door.archive.work.release(item.id, owner="w")
    return len(items)


def test_everything_of_the_study_waits_and_both_identities_are_listed(door: DoorBench) -> None:
    door.send(picture("1.2.3.4"))
    other = picture("1.2.3.5", PatientID="P2", PatientName="Noise^Bob")
    receipt = door.send(other, calling_ae="SECOND")
    assert receipt.accepted, "the object itself is safe and acknowledged"
    door.send(picture("1.2.3.6"))
    (conflict,) = door.archive.conflicts.list()
    assert conflict.study_uid == "1.2.3"
    assert [(claim.patient_id, claim.name) for claim in conflict.claims] == [("P1", "Echo^Ada"), ("P2", "Noise^Bob")]
    assert conflict.claims[1].calling_ae == "SECOND"
    assert claimable(door) == 0
    assert all(item.held for item in door.archive.work.list())


def test_resolving_lets_the_work_go_on_under_the_kept_identity(door: DoorBench) -> None:
    door.send(picture("1.2.3.4"))
    door.send(picture("1.2.3.5", PatientID="P2", PatientName="Noise^Bob", PatientBirthDate="19700101"))
    kept = door.archive.conflicts.resolve("1.2.3", keep="P2", by="ada")
    assert kept.patient_id == "P2"
    assert door.archive.conflicts.list() == []
    assert claimable(door) == 2
    request = QueryRequest(level=Level.STUDY, keys={"PatientID": Single("P2")})
    (found,) = door.archive.index.find(request)
    assert found.attributes["00100010"]["Value"] == [{"Alphabetic": "Noise^Bob"}]
    door.send(picture("1.2.3.6"))
    door.send(picture("1.2.3.7", PatientID="P2", PatientName="Noise^Bob", PatientBirthDate="19700101"))
    assert door.archive.conflicts.list() == [], "what a person has decided is not asked again"
    door.send(picture("1.2.3.8", PatientID="P3"))
    assert len(door.archive.conflicts.list()) == 1, "a third identity is new"
    assert claimable(door) == 0
    assert [row.event for row in door.archive.audit.story("1.2.3")].count("identity conflict resolved") == 1


def test_one_patient_id_with_two_persons_is_told_apart_by_digest(door: DoorBench) -> None:
    door.send(picture("1.2.3.4"))
    door.send(picture("1.2.3.5", PatientName="Noise^Bob", PatientBirthDate="19700101"))
    with pytest.raises(BadInput, match="more than one"):
        door.archive.conflicts.resolve("1.2.3", keep="P1")
    with pytest.raises(NotFound):
        door.archive.conflicts.resolve("1.2.3", keep="P7")
    digest = door.archive.conflicts.list()[0].claims[1].digest
    assert door.archive.conflicts.resolve("1.2.3", keep=digest).name == "Noise^Bob"
    with pytest.raises(NotFound):
        door.archive.conflicts.resolve("1.2.3", keep=digest)


def identity(
    patient_id: str = "P1", issuer: str = "", name: str = "Echo^Ada", born: str = "19600101"
) -> PatientIdentity:
    return PatientIdentity(patient_id=patient_id, issuer=issuer, name=name, birth_date=born)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (identity(), False),
        (identity(patient_id="P2"), True),
        (identity(issuer="CLINIC"), False),  # one side does not tell
        (identity(name="ECHO^ADA^"), False),
        (identity(name="Écho^Ada"), False),
        (identity(name="Echo-Smith^Ada"), False),  # married: the birth date agrees
        (identity(born="19600110"), False),  # mistyped: the name agrees
        (identity(name="Noise^Bob", born="19700101"), True),
        (identity(name="Noise^Bob", born=""), False),
        (identity(patient_id=""), False),  # no PatientID, and the name agrees
        (identity(patient_id="", name=""), True),
    ],
)
def test_what_contradicts(other: PatientIdentity, expected: bool) -> None:
    assert identity().contradicts(other) is expected
    assert other.contradicts(identity()) is expected


def test_two_issuers_are_two_patients() -> None:
    assert identity(issuer="CLINIC A").contradicts(identity(issuer="CLINIC B"))
