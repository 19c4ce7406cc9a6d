"""`echonode run report`: the report of whole studies and everything else that a node would make of them, without a node."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.options import ConfigOption, DeviceOption
from echonode.cli.screen import complain, quiet_logs, say
from echonode.core.errors import BadInput, EchonodeError, RunFailed

if TYPE_CHECKING:
    from echonode.cli.offline_node import OfflineNode
    from echonode.core.configuration import Configuration
    from echonode.core.ports import Executor
    from echonode.core.report import StudyReport

REPORT_NAME = "report"
STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is made beside what the routes ask for."""

    slow_motion: bool
    document: bool
    measurements: bool


@dataclass(kw_only=True, slots=True)
class Study:
    """The files of one study, in the order in which they were found, and what came of them.

    `files` has the first of each SOP Instance UID, `arrivals` all of them: what comes twice is for the door to judge.
    """

    study_uid: str
    arrivals: list[Path] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    refused: list[dict[str, str]] = field(default_factory=list)
    report: StudyReport | None = None
    failed: str = ""
    objects: list[dict[str, str]] = field(default_factory=list)

    @property
    def numbers(self) -> dict[str, int]:
        """What the report calls each object."""
        loops = self.report.loops if self.report is not None else ()
        return {loop.source.sop_instance_uid: loop.number for loop in loops}


def report_command(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="DICOM files, or folders whose DICOM files are all read.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results; a folder in it for each study.")],
    slow_motion: Annotated[bool, typer.Option("--slow-motion/--no-slow-motion", help="Make slow motion too.")] = True,
    document: Annotated[bool, typer.Option("--pdf", help="Also a PDF of the report.")] = False,
    measurements: Annotated[
        bool, typer.Option("--measurements", help="Also the selected values as TID 5200, for reporting systems.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all values with units and codes there; - prints them."),
    ] = None,
    device: DeviceOption = "auto",
    config: ConfigOption = None,
) -> None:
    """The report of each study, with everything that a node would make of it by its routes.toml; without a configuration
    by the shipped one. A file that cannot be read is named with the reason, and the exit code is then 2."""
    from echonode.cli.called import dicom_files
    from echonode.cli.guard import OPTION, asked_for_patients
    from echonode.cli.written import folder_for, write_whole

    quiet_logs()
    site = _site(config)
    folder_for(out)
    wanted = Wanted(slow_motion=slow_motion, document=document, measurements=measurements)
    studies, unread = _sorted(dicom_files(paths))
    for row in unread:
        complain(row["reason"])
    if not studies and not unread:
        raise BadInput("echonode made all of these objects itself; results are never run again")
    executor = _executor(site, device)
    printed = json_file == STANDARD_OUTPUT
    try:
        for number, study in enumerate(studies):
            title = f"study {number + 1} of {len(studies)}" if len(studies) > 1 else "study"
            _make(study, site, executor, out, wanted, title=title, on_patients=asked_for_patients())
            if not printed:
                _print(study, out / study.study_uid, again=number > 0)
                if not asked_for_patients() and _kept_from_patients(study):
                    say(f"Models that learned from simulated data alone stayed away: {OPTION} shows what they say")
    finally:
        executor.shutdown()
    if json_file is not None:
        found = {"studies": [_as_json(study, out) for study in studies], "refused": unread}
        text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
        if printed:
            say(text.rstrip())
        else:
            write_whole(json_file, lambda part: part.write_text(text, encoding="utf-8"))
    if unread or any(study.refused or study.failed for study in studies):
        raise typer.Exit(2)


def _site(config: Path | None) -> Configuration:
    """The configuration, or the shipped one."""
    from echonode.cli.demo import rules_folder
    from echonode.cli.options import configuration_if_any
    from echonode.core.configuration import load_configuration

    return configuration_if_any(config) or load_configuration(rules_folder())


def _executor(site: Configuration, device: str) -> Executor:
    from echonode.core.task import announced_tasks
    from echonode.execution.inline import InlineExecutor
    from echonode.execution.slots import count_cuda_devices, slots_of

    section = site.node.execution  # with its threads: they decide the last digits
    slot = slots_of(section if device == "auto" else section.model_copy(update={"devices": (device,)}))[0]
    if slot.device.startswith("cuda:") and int(slot.device[5:]) >= (count := count_cuda_devices()):
        raise BadInput(f"--device {device}: torch finds {count} GPUs here")
    known = announced_tasks()
    return InlineExecutor(
        tasks=known.tasks, refused=known.refused, limits=site.node.limits, device=slot.device, threads=slot.threads
    )


def _sorted(files: list[Path]) -> tuple[list[Study], list[dict[str, str]]]:
    """The studies, in the order of their first files, and files that cannot be read; what echonode made is left out."""
    from echonode.cli.routes import facts_of_file
    from echonode.core.identity import is_uid

    studies: dict[str, Study] = {}
    unread = []
    for file in files:
        try:
            facts = facts_of_file(file)
            if not is_uid(facts.study_uid):
                raise BadInput(f"{file}: belongs to no study: it has no Study Instance UID")
        except EchonodeError as error:
            unread.append({"file": str(file), "reason": str(error)})
            continue
        if not facts.derived:
            study = studies.setdefault(facts.study_uid, Study(study_uid=facts.study_uid))
            study.arrivals.append(file)
            study.files.setdefault(facts.sop_instance_uid or str(file), file)
    return list(studies.values()), unread


def _make(
    study: Study, site: Configuration, executor: Executor, out: Path, wanted: Wanted, *, title: str, on_patients: bool
) -> None:  # fmt: skip
    """Everything of one study; what goes wrong is its own, and the next one begins."""
    from echonode.cli.loaded import progress_bar
    from echonode.cli.offline_node import offline, opened

    try:
        with tempfile.TemporaryDirectory(prefix=".report-", dir=out) as scratch, progress_bar(title) as tell:
            own = offline(
                site,
                Path(scratch).resolve(),
                slow_motion=wanted.slow_motion,
                document=wanted.document,
                measurements=wanted.measurements,
                on_patients=on_patients,
            )
            with opened(own, executor) as node:
                total = len(study.arrivals)
                for number, file in enumerate(study.arrivals):
                    _take(node, study, file)
                    tell(number + 1, 2 * total)
                if len(study.refused) == total:
                    raise RunFailed("no file of the study could be read", transient=False)
                node.run(study.study_uid, lambda done, runs: tell(total + done, total + runs))
                study.report = node.report(study.study_uid)
                _export(node, study, out / study.study_uid)
    except Exception as error:  # noqa: BLE001  the edge of a study: said and written down
        study.failed = str(error) if isinstance(error, EchonodeError) else f"{type(error).__name__}: {error}"
        complain(f"study {study.study_uid}: {study.failed}")


def _take(node: OfflineNode, study: Study, file: Path) -> None:
    try:
        node.take(file)
    except EchonodeError as error:
        reason = str(error) if str(file) in str(error) else f"{file}: {error}"
        study.refused.append({"file": str(file), "reason": reason})
        complain(reason)


def _export(node: OfflineNode, study: Study, folder: Path) -> None:
    """Copies of everything that was made, under names that tell of what."""
    from echonode.cli.written import copy_whole, folder_for, free, name_of, stems_of, write_whole
    from echonode.flow.report_text import lines_of

    folder_for(folder)
    taken: set[str] = set()
    stems = stems_of(list(study.files.values()))
    for reading in node.readings(study.study_uid):
        file = study.files.get(reading.sop_instance_uid)
        stem = stems[file] if file is not None else reading.sop_instance_uid
        for made in reading.objects:
            name = free(f"{stem}-{name_of(made.kind, task=reading.task)}", taken)
            target = copy_whole(Path(node.stored(made.sop_instance_uid).path), folder / f"{name}.dcm")
            study.objects.append(
                {
                    "kind": made.kind,
                    "sop_instance_uid": made.sop_instance_uid,
                    "file": str(target),
                    "source": reading.sop_instance_uid,
                    "task": reading.task,
                    "model": reading.model,
                }
            )
    for kind, uid in node.of_report(study.study_uid):
        name = free(REPORT_NAME if kind == REPORT_NAME else f"{REPORT_NAME}-{kind}", taken)
        target = copy_whole(Path(node.stored(uid).path), folder / f"{name}.dcm")
        study.objects.append({"kind": kind, "sop_instance_uid": uid, "file": str(target)})
        if kind == "document":
            write_whole(folder / f"{REPORT_NAME}.pdf", lambda part, target=target: part.write_bytes(_pdf(target)))  # type: ignore[misc]
    for kind, reason in node.missing(study.study_uid).items():
        complain(f"study {study.study_uid}: no {kind}: {reason}")
    if study.report is not None:
        text = "\n".join(lines_of(study.report)) + "\n"
        write_whole(folder / f"{REPORT_NAME}.txt", lambda part: part.write_text(text, encoding="utf-8"))


def _pdf(file: Path) -> bytes:
    """The page itself, as programs that know no DICOM read it."""
    import pydicom

    header = pydicom.dcmread(file)
    data: bytes = header.EncapsulatedDocument
    return data[: int(header.get("EncapsulatedDocumentLength", len(data)))]


def _print(study: Study, folder: Path, *, again: bool) -> None:
    from echonode.flow.report_text import lines_of

    if again:
        say("")
    if study.failed:
        return
    if study.report is None:
        say(f"No report of study {study.study_uid}: no route asks a model about any object of it")
        return
    for line in lines_of(study.report):
        say(line)
    say("")
    say(f"Files in {folder}")
    made: dict[str, list[str]] = {}
    for each in study.objects:
        made.setdefault(each.get("source", ""), []).append(Path(each["file"]).name)
    numbers = study.numbers
    for uid, file in sorted(study.files.items(), key=lambda pair: numbers.get(pair[0], 0)):
        if uid in numbers:
            say(f"  loop {numbers[uid]}, {file}: {', '.join(made.get(uid, ())) or 'nothing was drawn'}")
    say(f"  of the study: {', '.join([*made.get('', ()), *_beside(folder)])}")


def _kept_from_patients(study: Study) -> bool:
    loops = study.report.loops if study.report is not None else ()
    return any(refusal.code == "simulated" for loop in loops for refusal in loop.refusals)


def _beside(folder: Path) -> list[str]:
    names = (f"{REPORT_NAME}.txt", f"{REPORT_NAME}.pdf")
    return [name for name in names if (folder / name).is_file()]


def _as_json(study: Study, out: Path) -> Mapping[str, Any]:
    from echonode.core.report_json import to_json

    numbers = study.numbers
    return {
        "study_uid": study.study_uid,
        "folder": str(out / study.study_uid),
        "report": None if study.report is None else to_json(study.report),
        "files": [
            {"file": str(file), "sop_instance_uid": uid, "loop": numbers.get(uid)} for uid, file in study.files.items()
        ],
        "objects": study.objects,
        "refused": study.refused,
        "failed": study.failed or None,
    }
