"""Who an object says that its patient is, and when two objects of one study cannot mean the same person."""

from __future__ import annotations

from dataclasses import dataclass

from echonode.archive.text import person_name_keys
from echonode.core.identity import digest_of


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientIdentity:
    """PatientID with its issuer, name and birth date (YYYYMMDD or empty) as one object has them."""

    patient_id: str
    issuer: str
    name: str
    birth_date: str

    @property
    def digest(self) -> str:
        """The same for identities that differ in nothing that counts."""
        return digest_of([self.patient_id, self.issuer, *person_name_keys(self.name), self.birth_date])[:16]

    def contradicts(self, other: PatientIdentity) -> bool:
        """Whether both cannot be one person.

        They contradict each other with different PatientIDs or issuers, or with a different name *and* birth date. A
        missing issuer, name or birth date contradicts nothing; a missing PatientID does, unless the names agree.
        """
        if self.issuer and other.issuer and self.issuer != other.issuer:
            return True
        names = person_name_keys(self.name)[0], person_name_keys(other.name)[0]
        dates = self.birth_date, other.birth_date
        other_person = all(names) and names[0] != names[1] and all(dates) and dates[0] != dates[1]
        if self.patient_id == other.patient_id:
            return other_person
        if self.patient_id and other.patient_id:
            return True
        return other_person or not names[0] or names[0] != names[1]
