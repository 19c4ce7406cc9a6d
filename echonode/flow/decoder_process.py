"""The decoder process: reads one job a line from standard input, answers one line each, until its parent is gone."""

from __future__ import annotations

import json
import resource
import sys
import warnings
from pathlib import Path

from echonode.core.errors import BudgetExceeded, EchonodeError
from echonode.core.settings import LimitsSection
from echonode.dicom.transcode import transcode_file, transcode_frames

_OVERHEAD_BYTES = 2 << 30
"""Address space of the interpreter and its libraries, beside what a decode may need."""


def _confine(limits: LimitsSection) -> None:
    """Kernel limits behind our own budget: memory, file size, and no core file with pixels in it."""
    memory = _OVERHEAD_BYTES + limits.decoded_bytes
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * limits.decoded_bytes, 2 * limits.decoded_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(line: str, limits: LimitsSection) -> dict[str, object]:
    job = json.loads(line)
    source, target = Path(job["source"]), Path(job["target"])
    syntax, frames, lengths = job["transfer_syntax_uid"], job.get("frames"), []
    try:
        if frames is None:
            transcode_file(source, target, transfer_syntax_uid=syntax, limits=limits)
        else:
            lengths = transcode_frames(source, target, frames=frames, transfer_syntax_uid=syntax, limits=limits)
    except EchonodeError as error:
        return {"ok": False, "kind": type(error).__name__, "detail": str(error)}
    except MemoryError:
        return {"ok": False, "kind": BudgetExceeded.__name__, "detail": "decoding ran out of memory"}
    except Exception as error:  # noqa: BLE001 - the edge: whatever a decoder throws, the peer gets a failure
        return {"ok": False, "kind": "Undecodable", "detail": f"the decoder failed: {type(error).__name__}"}
    return {"ok": True, "lengths": lengths}


def main() -> None:
    """Serve jobs until standard input ends."""
    limits = LimitsSection.model_validate_json(sys.argv[1])
    _confine(limits)
    warnings.simplefilter("ignore")  # odd values of old scanners; nobody reads them here
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(line, limits)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
