"""The facts of a stored object as they are known now: what a header told first, and what was decided since."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from echonode.archive.schema import INSTANCE
from echonode.core.errors import NotFound
from echonode.core.facts import Facts

_I = INSTANCE.c


def known_facts(connection: Connection, sop_instance_uid: str) -> Facts | None:
    """The facts of that object, as this transaction sees them; None when it is not stored."""
    values = connection.execute(select(_I.facts).where(_I.sop_instance_uid == sop_instance_uid)).scalar()
    return None if values is None else Facts.from_dict(values)


def write_facts(connection: Connection, sop_instance_uid: str, facts: Facts) -> None:
    """`facts` are the object's from now on, and what questions ask for follows them.

    Raises:
        NotFound: it is not stored.
    """
    changed = connection.execute(
        update(INSTANCE)
        .where(_I.sop_instance_uid == sop_instance_uid)
        .values(
            facts=facts.as_dict(),
            mode=str(facts.mode),
            view=facts.view or "",
            view_confidence=facts.view_confidence,
            quality=facts.quality,
        )
    )
    if changed.rowcount != 1:
        raise NotFound(f"no stored object has the UID {sop_instance_uid}")
