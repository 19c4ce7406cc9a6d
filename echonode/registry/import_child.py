"""The child process of an import: limits its memory, resolves the task's importer and writes one answer file."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from echonode.core.errors import EchonodeError
from echonode.core.task import resolve


def main() -> int:
    """Read the work from standard input, write {"result": ...} or {"refused": line} to the file argv[1]."""
    work = json.load(sys.stdin)
    limit = int(work["memory_bytes"])
    # RLIMIT_DATA counts what is written to, not the address space that GPU libraries reserve.
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer: dict[str, Any]
    try:
        found = resolve(work["reference"])(Path(work["file"]), Path(work["folder"]), work["options"])
        answer = {"result": {**found, "folder": work["folder"]}}
    except EchonodeError as error:
        answer = {"refused": " ".join(str(error).split())}
    except MemoryError:
        answer = {"refused": f"reading it needs more than {limit} bytes of memory"}
    except Exception as error:  # noqa: BLE001 - the edge of the process: anything that a hostile file provokes is a refusal
        answer = {"refused": f"cannot be read: {type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    Path(sys.argv[1]).write_text(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
