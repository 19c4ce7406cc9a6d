"""The node as its own scanner: it records a simulated study under its own key and sends it to itself over DICOM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echonode.core.configuration import Configuration
from echonode.core.errors import DeliveryFailed

if TYPE_CHECKING:
    from echonode.phantom.cohort import Study

PRESET = "quick"
CANDIDATES = 64
GOOD_WINDOW = 0.8
"""The check is of the node: what is hard to see for every observer is left to the models' own tables."""
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  an address to compare with, nothing is bound


class SelfScanner:
    """A flow.self_check.Scanner. `key` signs what it records, so that the node knows it again, whatever its name."""

    def __init__(self, configuration: Configuration, *, key: bytes) -> None:
        self._configuration, self._key = configuration, key

    def record(self, folder: Path, *, day: date, occasion: str, told: Callable[[int, int], None]) -> Mapping[str, Any]:
        """As Scanner.record.

        Raises:
            OSError: the folder cannot be written.
        """
        from echonode.phantom.writing import write_study  # late: a node that checks nothing needs no simulator

        truth = write_study(
            study_of(day),
            folder,
            started=datetime.combine(day, time(8)),
            occasion=occasion,
            key=self._key,
            told=told,
        )
        return truth.plain(folder=".")

    def push(self, files: Sequence[Path]) -> Iterator[tuple[bool, str]]:
        """As Scanner.push: one association from this machine to this node's port, as a scanner opens it."""
        from echonode.archive.blobs import LocalBlobs
        from echonode.dimse.guarded import application_entity
        from echonode.dimse.sending import ObjectSender, associate, proposals
        from echonode.dimse.user import stored_file
        from echonode.flow.decoding import Decoder

        settings = self._configuration.node
        ours, dimse = settings.node, settings.dimse
        objects = [stored_file(path) for path in files]
        decoder = Decoder(limits=settings.limits, blobs=LocalBlobs(self._configuration.root))
        try:
            with associate(
                application_entity(ours.ae_title, timeout_seconds=dimse.idle_seconds),
                host=_WILDCARDS.get(ours.host, ours.host),
                port=ours.port,
                called_ae=ours.ae_title,
                contexts=proposals(objects),
                max_pdu=dimse.max_pdu_bytes,
                stall_seconds=dimse.stall_seconds,
            ) as association:
                sender = ObjectSender(association, decoder=decoder, stall_seconds=dimse.stall_seconds)
                for item in objects:
                    sent = sender.send(item)
                    yield sent.ok, sent.detail
        except DeliveryFailed as failure:
            yield False, str(failure)
        finally:
            decoder.close()


def study_of(day: date) -> Study:
    """The patient of that day: another every day, the same whoever asks, in a good acoustic window."""
    from echonode.phantom.cohort import Cohort

    cohort = Cohort(count=CANDIDATES, seed=int(f"{day:%Y%m%d}"), preset=PRESET)
    best, worst_of_best = cohort[0], 0.0
    for study in cohort:
        worst = min(plan.quality for plan in study.plans)
        if worst > worst_of_best:
            best, worst_of_best = study, worst
        if worst >= GOOD_WINDOW:
            break
    return best
