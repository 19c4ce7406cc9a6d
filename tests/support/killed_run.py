"""A worker that is killed in the instant between what it published and the row that says so.

`python -m tests.support.killed_run FOLDER`: a node in FOLDER runs what waits there and never ends it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.support.bench import Bench

ROUTES: dict[str, Any] = {
    "route": [
        {
            "name": "everything",
            "task": "sample",
            "model": "probe",
            "when": {"modality": ["US"]},
            "parameters": {"do": "everything", "titles": ["one", "two"]},
            "deliver_to": ["pacs"],
        }
    ],
    "destination": [{"name": "pacs", "peer": "pacs"}],
}


def main(folder: Path) -> None:
    """Publish, and be killed before the end is written."""
    bench = Bench(folder, routes=ROUTES)

    def finish(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    bench.archive.work.finish = finish  # type: ignore[method-assign]
    bench.run_all()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
