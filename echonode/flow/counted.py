"""The ingest door with a tally: every object that an edge hands in is counted by origin and verdict."""

from __future__ import annotations

import time
from typing import Any

from echonode.core.errors import EchonodeError
from echonode.core.received import Receipt, ReceivedObject
from echonode.core.tally import Tally
from echonode.flow.ingest import Ingest


class CountedIngest(Ingest):
    """As Ingest; what `accept` answers is counted, and how long it took. The node's own simulated objects are not."""

    def __init__(self, *, tally: Tally, **parts: Any) -> None:
        super().__init__(**parts)
        self._tally = tally

    def accept(self, received: ReceivedObject) -> Receipt:
        """As Ingest.accept."""
        origin, began, verdict = str(received.origin), time.perf_counter(), "fault"
        receipt = None
        try:
            receipt = super().accept(received)
            verdict = str(receipt.verdict)
        except EchonodeError:
            verdict = "unavailable"
            raise
        finally:
            if receipt is None or not receipt.self_check:
                self._tally.count("objects", origin, verdict)
        if receipt.self_check:
            return receipt
        self._tally.count("object_bytes", origin, by=received.size)
        self._tally.now("last_object_timestamp_seconds", origin)
        self._tally.observe("object_seconds", origin, seconds=time.perf_counter() - began)
        return receipt
