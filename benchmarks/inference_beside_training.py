"""Latency of a live run beside a training of the night, as a ratio to the same run alone, interleaved in one session.

A real archive, the node's own `Trainings` and `LocalTrainer` with a real recipe on simulated studies, and a real package
in a warm runner process. A run is a workitem that is enqueued, claimed, computed and finished, as the worker does it;
latency is from enqueueing to the end. Each round measures every way once, in another order each time:

* alone: the training stands still throughout;
* night: what the node does: the training has the lowest priority, and stands still as soon as a sweep sees the run;
* priority alone: the training is not told to stand still;
* unprotected: the same training at ordinary priority, as a person's shell would start it.

Ratios are taken within a round, so that what else the machine does in that minute is on both sides; medians over rounds.

    taskset -c 0,1 python benchmarks/inference_beside_training.py [--rounds 15] [--threads 2] [--device cpu]
        [--recipe segmentation] [--model phantom-ejection-fraction] [--work build/beside]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from echonode.archive.archive import Archive  # noqa: E402
from echonode.core.ports import RunRequest  # noqa: E402
from echonode.core.results import RunOutcome  # noqa: E402
from echonode.core.settings import ExecutionSection, LimitsSection, WorkSection  # noqa: E402
from echonode.core.task import installed_tasks  # noqa: E402
from echonode.core.window import Window  # noqa: E402
from echonode.core.work import WorkKind, WorkRequest  # noqa: E402
from echonode.execution.local import LocalExecutor  # noqa: E402
from echonode.flow.training_orders import TrainingOrder, order_training  # noqa: E402
from echonode.flow.trainings import Trainings  # noqa: E402
from echonode.phantom.cohort import Cohort  # noqa: E402
from echonode.phantom.writing import write_study  # noqa: E402
from echonode.registry.catalogue import Catalogue  # noqa: E402
from echonode.trainer import LocalTrainer, command_line  # noqa: E402

SWEEP_SECONDS = 0.5
"""As in the node's table of sweeps."""
PATIENCE = 900.0
WAYS = ("alone", "night", "priority alone", "unprotected")


class Beside:
    """One model in its warm runner, and two trainings of which at most one moves."""

    def __init__(self, work: Path, *, model: str, recipe: str, device: str, threads: int) -> None:
        self.work, self._threads = work, threads
        (work / "data").mkdir(parents=True)
        self.archive = Archive.open(f"sqlite:///{work / 'data' / 'echonode.sqlite3'}", migrate=True)
        self.trainer = LocalTrainer(work / "data", configuration=CHECKOUT / "ae_config")
        self.trainings = Trainings(
            archive=self.archive, trainer=self.trainer, settings=WorkSection(), owner="benchmark", clock=time.time
        )
        self.package = Catalogue([CHECKOUT / "models"]).get(model)
        section = ExecutionSection.model_validate({"devices": [device], "threads": threads})
        self.executor = LocalExecutor(tasks=installed_tasks(), settings=section, limits=LimitsSection())
        self.loop = self._loop()
        self._order(recipe, device)
        self._number = 0

    def close(self) -> None:
        """End every process."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.plain.pid, signal.SIGKILL)
        self.trainings.close(seconds=0.5)
        self.executor.shutdown()
        self.archive.close()

    def _loop(self) -> Path:
        """A simulated loop that the model takes."""
        folder = self.work / "study"
        write_study(Cohort.parse("phantom:1@7")[0], folder, labels=False)
        for file in sorted(folder.glob("*.dcm")):
            outcome = self._computed(file)
            if outcome.refusal is None:
                print(f"runs on {file.name}: {len(outcome.results)} results on {outcome.device}", flush=True)
                return file
        raise SystemExit(f"{self.package.name} takes no loop of the simulated study")

    def _order(self, recipe: str, device: str) -> None:
        """Two trainings that do not end by themselves, moving."""
        common = {"task": recipe, "data": ["phantom:4@1"], "steps": 1_000_000, "seed": 0, "device": device}
        both = [{**common, "threads": self._threads, "out": str(self.work / name)} for name in ("night", "plain")]
        with (self.work / "plain.log").open("wb") as log:
            self.plain = subprocess.Popen(
                [sys.executable, "-m", "echonode", *command_line(both[1], resume=False)],
                stdout=subprocess.DEVNULL, stderr=log, process_group=0,
            )  # fmt: skip
        self._until(lambda: (self.work / "plain" / "metrics.jsonl").is_file(), "the plain training to move")
        os.killpg(self.plain.pid, signal.SIGSTOP)
        window = Window(at=f"{datetime.now():%H:%M}", until=f"{datetime.fromtimestamp(time.time() - 60):%H:%M}")
        order_training(self.archive, TrainingOrder(arguments=both[0], window=window, who="benchmark"))
        self.trainings.sweep()
        hand: Any = self.trainings._hand
        assert hand is not None, "the training did not begin"
        self.training = hand.training
        self._until(lambda: (self.work / "night" / "metrics.jsonl").is_file(), "the training to move")

    def _until(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > deadline or self.plain.poll() is not None:
                raise SystemExit(f"waited for {what}: {(self.work / 'plain.log').read_text()[-500:]}")
            time.sleep(0.2)

    def _computed(self, file: Path) -> RunOutcome:
        spool = self.work / "spool"
        spool.mkdir(exist_ok=True)
        request = RunRequest(
            run_id=f"run{time.monotonic_ns()}", task=self.package.task, package=self.package.folder, source=file, spool=spool
        )  # fmt: skip
        return self.executor.submit(request).result(timeout=PATIENCE)

    def live_run(self) -> float:
        """Seconds from enqueueing a run to its end."""
        self._number += 1
        request = WorkRequest(
            kind=WorkKind.RUN, queue=self.package.name, unique_key=f"run {self._number}", study_uid="1.2"
        )
        began = time.perf_counter()
        with self.archive.transaction() as connection:
            self.archive.work.enqueue(connection, [request])
        (item,) = self.archive.work.claim(kind=WorkKind.RUN, owner="benchmark", lease_seconds=PATIENCE)
        self._computed(self.loop)
        self.archive.work.finish(item.id, owner="benchmark", outcome={})
        return time.perf_counter() - began

    def measured(self, way: str) -> float:
        """One latency, that way; afterwards both trainings stand still."""
        with self._moving(way):
            return self.live_run()

    @contextlib.contextmanager
    def _moving(self, way: str) -> Iterator[None]:
        if way == "alone":
            yield
            return
        if way == "unprotected":
            os.killpg(self.plain.pid, signal.SIGCONT)
            self._works(self.plain.pid)
            yield
            os.killpg(self.plain.pid, signal.SIGSTOP)
            return
        self.training.go_on()
        self._works(self.training.pid)
        stop = threading.Event()
        sweeper = threading.Thread(target=self._sweeps, args=(stop,))
        if way == "night":
            hand: Any = self.trainings._hand
            hand.wanted_at = None
            sweeper.start()
            time.sleep(random.uniform(0, SWEEP_SECONDS))  # a run comes at any moment between two sweeps
        yield
        stop.set()
        if way == "night":
            sweeper.join()
        self.training.pause()

    def _sweeps(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.trainings.sweep()
            stop.wait(SWEEP_SECONDS)

    @staticmethod
    def _works(pid: int) -> None:
        """Wait until the process has used the processor again, for 10 s at most: a busy machine may give it nothing."""
        began, deadline = _ticks(pid), time.monotonic() + 10
        while _ticks(pid) - began < 20 and time.monotonic() < deadline:
            time.sleep(0.02)


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def main() -> None:
    """Measure, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2, help="of the runner and of each training")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--recipe", default="segmentation")
    parser.add_argument("--model", default="phantom-ejection-fraction")
    parser.add_argument("--work", type=Path, default=Path("build/beside"), help="made anew, removed at the end")
    asked = parser.parse_args()
    work = asked.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    beside = Beside(work, model=asked.model, recipe=asked.recipe, device=asked.device, threads=asked.threads)
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    try:
        beside.training.pause()
        for _ in range(3):
            beside.live_run()
        for _ in range(asked.rounds):
            for way in random.sample(WAYS, len(WAYS)):
                times[way].append(beside.measured(way))
    finally:
        beside.close()
        shutil.rmtree(work, ignore_errors=True)
    cores = len(os.sched_getaffinity(0))
    print(f"{asked.model} beside a training of {asked.recipe}: {asked.device}, {cores} cores, {asked.threads} threads "
          f"each, {asked.rounds} rounds, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    print(f"{'way':<16}{'median s':>10}{'ratio':>8}{'90 %':>8}")
    for way in WAYS:
        ratios = sorted(one / alone for one, alone in zip(times[way], times["alone"], strict=True))
        high = ratios[min(len(ratios) - 1, int(0.9 * len(ratios)))]
        print(f"{way:<16}{statistics.median(times[way]):>10.3f}{statistics.median(ratios):>8.2f}{high:>8.2f}")


if __name__ == "__main__":
    main()
