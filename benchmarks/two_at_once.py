"""Two processes that calculate on the same cores, with the library's own patience of idle threads and with echonode's.

Each process runs small convolutions with as many threads as there are cores, as a runner does. Prints the time of one alone
and of two at once under both, and their ratios; asserts nothing.

    python benchmarks/two_at_once.py [--rounds 3] [--layers 400]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

from echonode.core.cores import TURNS, threads_of, wait_briefly

WORK = """
import sys, torch
layer, picture = torch.nn.Conv2d(64, 64, 3, padding=1), torch.randn(1, 64, 28, 28)
print("ready", flush=True)
sys.stdin.readline()
with torch.inference_mode():
    for _ in range(int(sys.argv[1])):
        picture = torch.nn.functional.silu(layer(picture))
print("done", flush=True)
"""


def seconds(processes: int, layers: int, environment: dict[str, str]) -> float:
    """From the word to begin until the last process is done."""
    started = [
        subprocess.Popen(
            (sys.executable, "-c", WORK, str(layers)), env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]  # fmt: skip
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    began = time.perf_counter()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    told = time.perf_counter() - began
    for process in started:
        process.communicate()
    return told


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=400)
    asked = parser.parse_args()
    plain = {name: text for name, text in os.environ.items() if name != TURNS[0]} | threads_of(os.cpu_count() or 1)
    brief = dict(plain)
    wait_briefly(brief)
    told: dict[tuple[str, int], list[float]] = {}
    for _ in range(asked.rounds):
        for name, environment in (("the library's own", plain), (f"{TURNS[0]}={TURNS[1]}", brief)):
            for processes in (1, 2):
                told.setdefault((name, processes), []).append(seconds(processes, asked.layers, environment))
    for (name, processes), times in told.items():
        print(f"{name:22s} {processes} at once {statistics.median(times):7.2f} s")
    names = list(dict.fromkeys(name for name, _ in told))
    for processes in (1, 2):
        ratio = statistics.median(b / a for a, b in zip(*(told[name, processes] for name in names), strict=True))
        print(f"{processes} at once: {ratio:.2f} of the library's own time")


if __name__ == "__main__":
    main()
