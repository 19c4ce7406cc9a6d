"""Headers of deflated data sets: inflated elsewhere, and no further than a header can be long."""

from __future__ import annotations

from pathlib import Path

from echonode.core.errors import UnreadableObject
from echonode.core.settings import LimitsSection
from echonode.dicom.header import Header, read_header
from echonode.dicom.storage import EXPLICIT_LE
from echonode.flow.isolated import IsolatedFailed, run_isolated

MOST_INFLATED = 64 << 20


def read_deflated_header(path: Path, *, offset: int, transfer_syntax_uid: str, limits: LimitsSection) -> Header:
    """As `read_header`; where the pixels lie is told in inflated bytes.

    Raises:
        UnreadableObject: the stream is corrupt or the header is longer than MOST_INFLATED bytes.
        BudgetExceeded: as `read_header`.
    """
    target = path.with_name(f"{path.name}.inflated")
    request = {
        "what": "inflate",
        "first": str(path),
        "target": str(target),
        "offset": offset,
        "most": MOST_INFLATED,
    }
    try:
        run_isolated(request, limits=limits)
        return read_header(target, offset=0, transfer_syntax_uid=EXPLICIT_LE, limits=limits, whole=False)
    except IsolatedFailed as error:
        raise UnreadableObject(f"the deflated data set ({transfer_syntax_uid}) cannot be inflated: {error}") from error
    finally:
        target.unlink(missing_ok=True)
