"""A process that takes objects through the door as fast as it can until somebody kills it.

`python -m tests.support.killed ROOT FIRST`: objects FIRST, FIRST + 1, ... from several threads; each line on standard
output is the number of an object whose receipt said that the sender may forget it.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from pathlib import Path

from tests.support.door import DoorBench, encoded, picture

THREADS = 4
IN_A_STUDY = 7


def content_of(number: int) -> bytes:
    """The data set of object `number`, the same whenever it is made."""
    study = number // IN_A_STUDY
    return encoded(
        picture(
            f"1.2.3.{study}.9.{number}",
            StudyInstanceUID=f"1.2.3.{study}",
            SeriesInstanceUID=f"1.2.3.{study}.{number % 2 + 1}",
            PatientID=f"P{study}",
            PixelData=number.to_bytes(16, "little"),
        )
    )


def main(root: Path, first: int) -> None:
    """Ingest for ever."""
    door = DoorBench(root)
    numbers, taking = itertools.count(first), threading.Lock()

    def work() -> None:
        while True:
            with taking:
                number = next(numbers)
            receipt = door.send(content_of(number), correlation_id=f"a{os.getpid()}")
            assert receipt.accepted, receipt.detail
            os.write(1, f"{number}\n".encode())

    for _ in range(THREADS - 1):
        threading.Thread(target=work, daemon=True).start()
    work()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
