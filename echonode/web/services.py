"""What every handler of the web edge works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.archive.vitals import VitalsWriter
from echonode.core.configuration import Configuration
from echonode.core.settings import LimitsSection, WebSection
from echonode.core.tally import Tally
from echonode.flow.ingest import Ingest
from echonode.registry.catalogue import Catalogue


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Services:
    """The node's parts, opened once a process and handed to each module's `routes`."""

    configuration: Configuration
    archive: Archive
    blobs: LocalBlobs
    ingest: Ingest
    catalogue: Catalogue
    clock: Callable[[], float]
    tally: Tally = field(default_factory=Tally)
    vitals: VitalsWriter | None = None
    """Writes `tally` for the other processes."""

    @property
    def web(self) -> WebSection:
        """The [web] settings."""
        return self.configuration.node.web

    @property
    def limits(self) -> LimitsSection:
        """The [limits] settings."""
        return self.configuration.node.limits
