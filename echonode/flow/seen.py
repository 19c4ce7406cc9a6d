"""What a reading leads to: a view that was seen changes the facts, a label map starts what begins with one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from sqlalchemy.engine import Connection

from echonode.archive.archive import Archive
from echonode.archive.known_facts import known_facts
from echonode.core.readings import KeptReading
from echonode.core.results import Finding
from echonode.core.routes import RoutesFile
from echonode.core.settings import NodeSettings
from echonode.core.work import WorkItem
from echonode.flow.conclusion import Conclusion
from echonode.flow.replan import following, replan
from echonode.flow.view import CLASSIFIER, IMAGE_VIEW, reconciled

VIEW_TASK = "view"


def follow(
    archive: Archive,
    connection: Connection,
    item: WorkItem,
    conclusion: Conclusion,
    *,
    routes: RoutesFile,
    settings: NodeSettings,
    installed: Callable[[], Collection[str]],
    shadows: Callable[[], Mapping[str, str]],
) -> None:
    """Plan what the end of a run asks for, in the transaction that ends it."""
    reading, package = conclusion.reading, conclusion.package
    if reading is None or package is None:
        return
    facts = known_facts(connection, item.sop_instance_uid)
    if facts is None:
        return
    if reading.task == VIEW_TASK and (finding := _view_of(reading)) is not None:
        replan(
            archive,
            connection,
            reconciled(facts, finding, details=reading.details, by=f"{package.name} {package.version}"),
            routes=routes,
            settings=settings,
            installed=installed(),
            source=CLASSIFIER,
            who=f"{package.name} {package.version}",
            correlation_id=item.correlation_id,
            besides=item.id,
            shadows=shadows(),
        )
    if conclusion.label_map:
        wanted = following(
            facts,
            task=reading.task,
            label_map=conclusion.label_map,
            routes=routes,
            settings=settings,
            installed=installed(),
            correlation_id=item.correlation_id,
            shadows=shadows(),
        )
        archive.work.enqueue(connection, wanted)


def _view_of(reading: KeptReading) -> Finding | None:
    return next(
        (each for each in reading.results if isinstance(each, Finding) and each.concept.value == IMAGE_VIEW), None
    )
