"""`--out DIR` of `echonode run TASK`: the objects that the node would make of these results, under the same UIDs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.called import is_dicom
from echonode.cli.screen import complain, say
from echonode.cli.written import folder_for, free, name_of, stems_of, write_whole
from echonode.core.errors import BadInput

if TYPE_CHECKING:
    from echonode.cli.loaded import Loaded
    from echonode.core.results import Result

Made = dict[str, str]
PREPARATION = "preparation"
ObjectsOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Folder for DICOM objects as the node makes them; of files that are no DICOM, for pictures.",
    ),
]


class ObjectsOut:
    """The folder that one command writes what it drew into."""

    def __init__(self, folder: Path, loaded: Loaded, sources: Sequence[Path]) -> None:
        self._folder, self._loaded = folder_for(folder), loaded
        self._stems = stems_of(list(sources))
        self._taken: set[str] = set()
        self._made: dict[Path, list[str]] = {}

    def write(
        self,
        source: Path,
        results: Sequence[Result],
        parameters: Mapping[str, Any],
        *,
        kinds: Sequence[str] | None = None,
    ) -> list[Made]:
        """Files made of the results of one source, of objects with `kinds` these alone: `kind`, `file` and, for objects,
        `sop_instance_uid`.

        `parameters` are those of the run; the source is read again for its header. What no object can be made of is said
        on standard error, as the node would refuse it.
        """
        if source.is_file() and is_dicom(source):
            made = self._objects(source, results, self._asked(parameters), kinds)
        else:
            made = self._pictures(source, results)
            if made:
                complain(f"{source}: is no DICOM file, so pictures are written and no DICOM object is made")
        self._made[source] = [Path(each["file"]).name for each in made]
        return made

    def tell(self) -> None:
        """Print what lies where now."""
        told = {source: names for source, names in self._made.items() if names}
        if not told:
            task = self._loaded.spec.name.replace("_", "-")
            say(f"{self._folder}: nothing was drawn: {task} gave no object; `echonode run report` writes values down")
        for source, names in told.items():
            shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
            say(f"{source} -> {self._folder}: {', '.join(shown)}")

    def _asked(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What a route would say: UIDs follow from it, and what a package does anyway no route needs to say."""
        usual = self._loaded.package.preparation
        asked = {name: value for name, value in parameters.items() if (name, value) != (PREPARATION, usual)}
        return asked | ({"beside": [each.name for each in self._loaded.beside]} if self._loaded.beside else {})

    def _objects(
        self, source: Path, results: Sequence[Result], parameters: Mapping[str, Any], kinds: Sequence[str] | None
    ) -> list[Made]:
        from echonode.flow.results import Origin, objects_of

        settings = self._loaded.settings
        origin = Origin(
            source=source,
            package=self._loaded.package,
            parameters=parameters,
            node=settings.node,
            limits=settings.limits,
            now=datetime.now().astimezone(),
        )
        made = []
        for make in objects_of(results, origin):
            try:
                derived = make()
            except BadInput as error:
                complain(f"{source}: no object is made: {error}")
                continue
            if kinds is not None and derived.kind not in kinds:
                continue
            target = self._target(source, name_of(derived.kind, task=self._loaded.spec.name), ".dcm")
            write_whole(target, derived.write)
            made.append({"kind": derived.kind, "sop_instance_uid": derived.sop_instance_uid, "file": str(target)})
        return made

    def _pictures(self, source: Path, results: Sequence[Result]) -> list[Made]:
        from PIL import Image

        from echonode.core.results import LabelMap, Picture

        made: list[Made] = []

        def write(name: str, pixels: Any, kind: str) -> None:
            target = self._target(source, name, ".png")
            write_whole(target, lambda part: Image.fromarray(pixels).save(part, format="png"))
            made.append({"kind": kind, "file": str(target)})

        for result in results:
            match result:
                case LabelMap():
                    for frame, labels in zip(result.frames, result.labels, strict=True):
                        write(f"labels-{frame:04d}", labels, "label-map")
                case Picture():
                    write(self._loaded.spec.name.replace("_", "-"), result.pixels, "picture")
        return made

    def _target(self, source: Path, name: str, suffix: str) -> Path:
        return self._folder / f"{free(f'{self._stems[source]}-{name}', self._taken)}{suffix}"


def objects_out(folder: Path | None, loaded: Loaded, sources: Sequence[Path]) -> ObjectsOut | None:
    """The folder of `--out`, None where it was not given.

    Raises:
        BadInput: it cannot be written to.
    """
    return None if folder is None else ObjectsOut(folder, loaded, sources)
