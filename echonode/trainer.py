"""Training processes of the node: started, watched, paused with all that they started, and ended with the worker."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from echonode.core.cores import threads_of
from echonode.core.errors import BadInput, RunFailed
from echonode.flow.trainings import Ended
from echonode.supervisor import this_python
from echonode.training_process import ORDINARY, YIELDING

LOG = logging.getLogger(__name__)
FOLDER, LOCK, RUN_FILE = "trainings", "lock", "run.json"
TAIL_BYTES = 8192
LONGEST_REASON = 300
_STEP = re.compile(rb"^step (\d+)/(\d+)", re.MULTILINE)


class LocalTrainer:
    """Starts trainings of this machine; each has a log under `root`/trainings.

    `configuration` is the folder whose node the data text "archive:" means. With `yielding` they have the lowest priority:
    on a machine that is always busy they hardly move.
    """

    def __init__(self, root: Path, *, configuration: Path, yielding: bool = True) -> None:
        self._folder, self._configuration = root / FOLDER, configuration
        self._priority = YIELDING if yielding else ORDINARY

    def start(self, work_id: str, arguments: Mapping[str, Any]) -> TrainingProcess:
        """Begin the run that the arguments name, or go on with the one that its folder holds.

        The kernel ends the training with the thread that calls this: it must live as long as the process does.

        Raises:
            BadInput: the arguments are not those of a training.
            RunFailed: the process cannot be started.
        """
        words = command_line(arguments, resume=(Path(str(arguments.get("out", ""))) / RUN_FILE).is_file())
        environment = {name: text for name, text in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
        environment["ECHONODE_CONFIG"] = str(self._configuration)
        if arguments.get("threads"):
            environment |= threads_of(arguments["threads"])
        log, answer = self._folder / f"{work_id}.log", self._folder / f"{work_id}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as errors, answer.open("wb") as output:
                began = errors.tell()
                process = subprocess.Popen(
                    this_python(
                        "echonode.training_process", str(os.getpid()), str(self._folder / LOCK), self._priority, *words
                    ),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=errors,
                    cwd=self._folder,
                    env=environment,
                    process_group=0,  # with the processes that load its data it is paused and ended as one
                )
        except OSError as error:
            raise RunFailed(f"the training cannot be started: {error}") from error
        LOG.info("a training began", extra={"workitem": work_id, "pid": process.pid, "log": log.name})
        return TrainingProcess(process, log=log, began=began, answer=answer)


class TrainingProcess:
    """One process that trains; what it says goes to `log`, from the byte `began` on, and its result to `answer`."""

    def __init__(self, process: subprocess.Popen[bytes], *, log: Path, began: int, answer: Path) -> None:
        self._process, self._log, self._began, self._answer = process, log, began, answer

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ended(self) -> Ended | None:
        """How it ended: with what it printed, or with the last line of its log as reason; None while it lives."""
        code = self._process.poll()
        if code is None:
            return None
        self._signal(signal.SIGKILL)  # what it left behind
        if code == 0:
            return self._answered()
        said = self._last_line()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else said or f"ended with {code}"
        reason = f"{how}; last said: {said}" if code < 0 and said else how
        return Ended(reason=reason[:LONGEST_REASON], lasting=code == BadInput.exit_code)

    def progress(self) -> tuple[int, int] | None:
        """Step and steps, as its log last said."""
        found = _STEP.findall(self._tail())
        return (int(found[-1][0]), int(found[-1][1])) if found else None

    def pause(self) -> None:
        """SIGSTOP to all its processes."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT to all its processes."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM to the training alone: it saves after the step that it is in, with its loaders alive."""
        self._process.send_signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to all its processes."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _answered(self) -> Ended:
        try:
            result = json.loads(self._answer.read_text(encoding="utf-8"))
            stopped = result["stopped_at"] is not None
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Ended(reason=f"the training ended without a result: {error}"[:LONGEST_REASON])
        if stopped:
            return Ended(reason="stopped by a signal")
        return Ended(result={name: result.get(name) for name in ("folder", "package", "metrics")})

    def _last_line(self) -> str:
        lines = self._tail().decode(errors="replace").splitlines()
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return said.removeprefix("echonode: ")[:LONGEST_REASON]

    def _tail(self) -> bytes:
        """The end of what this process said."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(self._began, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                return file.read()
        except OSError:
            return b""


def command_line(arguments: Mapping[str, Any], *, resume: bool) -> list[str]:
    """The words after `echonode` that train with these arguments.

    Raises:
        BadInput: a field is missing or of another type.
    """
    try:
        words = ["train", str(arguments["task"]), "--json", f"--out={arguments['out']}"]
        words += [f"--data={text}" for text in arguments["data"]]
        words += [f"--test-data={text}" for text in arguments.get("test_data") or ()]
        words += [f"--set={key}={text}" for key, text in (arguments.get("options") or {}).items()]
        plain = ("recipe", "init", "seed", "device", "precision", "threads", "epochs", "steps", "minutes", "batch")
        for name in (*plain, "workers", "name", "models"):
            if arguments.get(name) is not None:
                words.append(f"--{name}={arguments[name]}")
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"these are no arguments of a training: {error!r}") from error
    if resume or arguments.get("resume"):
        words.append("--resume")
    return words
