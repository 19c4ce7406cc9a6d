"""A model that a command has loaded into its own process, and loops that it may look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echonode.cli.called import is_dicom
from echonode.cli.guard import refusal_for
from echonode.cli.options import configuration_if_any, existing, model_paths
from echonode.cli.screen import console
from echonode.core.errors import BadInput, NotFound, UnreadableObject

if TYPE_CHECKING:
    from echonode.core.clip import Clip
    from echonode.core.package import Package
    from echonode.core.results import Ineligible
    from echonode.core.settings import NodeSettings
    from echonode.core.task import Progress, Runner, TaskSpec
    from echonode.core.views import ViewsFile
    from echonode.registry.manifest import Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A verified package with its runner, ready to run."""

    package: Package
    manifest: Manifest
    spec: TaskSpec
    runner: Runner
    settings: NodeSettings
    beside: tuple[Package, ...] = ()
    """Further packages whose networks the runner asks."""
    views: ViewsFile | None = None
    """views.toml, where there is a configuration."""

    @property
    def packages(self) -> tuple[Package, ...]:
        """Every package that has a say in what comes out."""
        return (self.package, *self.beside)

    def tool(self, name: str) -> Any:
        """What the task offers under that name.

        Raises:
            NotFound: it offers no such thing.
        """
        from echonode.core.task import resolve

        if name not in self.spec.tools:
            raise NotFound(f"task {self.spec.name} has no tool {name!r}")
        return resolve(self.spec.tools[name])


def open_model(model: str, *, task: str, device: str, config: Path | None) -> Loaded:
    """The model of that name, or in that folder, loaded on `device`; this is where torch is imported.

    Raises:
        EchonodeError: there is no such model or device, it is for another task, or it is not sound.
    """
    from echonode.core.settings import ExecutionSection, NodeSettings
    from echonode.core.task import installed_tasks
    from echonode.execution.batch import load_runner
    from echonode.execution.slots import count_cuda_devices, slots_of
    from echonode.registry.catalogue import Catalogue
    from echonode.registry.verify import MANIFEST_FILE

    configuration = configuration_if_any(config)
    folder = Path(model)
    if folder.parent != Path() and (folder / MANIFEST_FILE).is_file():
        catalogue, model = Catalogue([folder.resolve().parent]), folder.resolve().name
    else:
        catalogue = Catalogue(model_paths(configuration))
    package = catalogue.get(model)
    if package.task != task:
        raise BadInput(f"model {model!r} is for {package.task}, not for {task}")
    slot = slots_of(ExecutionSection(devices=(device,)))[0]
    if slot.device.startswith("cuda:") and int(slot.device[5:]) >= (count := count_cuda_devices()):
        raise BadInput(f"--device {device}: torch finds {count} GPUs here")
    spec = installed_tasks()[task]
    return Loaded(
        package=package,
        manifest=catalogue.manifest(model),
        spec=spec,
        runner=load_runner(spec.runner, package, device=slot.device, threads=slot.threads),
        settings=configuration.node if configuration else NodeSettings(),
        views=configuration.views if configuration else None,
    )


def loops_of(paths: list[Path]) -> list[Path]:
    """Files, and folders of pictures, that each make one loop; a folder stands for its DICOM files, else its videos.

    Raises:
        BadInput: a path that is not there, or a folder with nothing to read.
    """
    from echonode.dicom.video import PICTURE_SUFFIXES, VIDEO_SUFFIXES

    found: list[Path] = []
    for path in paths:
        if not existing(path).is_dir():
            found.append(path)
            continue
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        inside = [file for file in files if is_dicom(file)]
        inside = inside or [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
        if inside:
            found += inside
        elif any(file.suffix.lower() in PICTURE_SUFFIXES for file in path.iterdir()):
            found.append(path)
        else:
            raise BadInput(f"{path}: neither DICOM files nor videos nor pictures in this folder")
    return found


def read_loop(loaded: Loaded, source: Path, *, fps: float | None, view: str | None) -> Clip | Ineligible:
    """A loop that the model may see and its manifest takes, decoded under limits, or why not.

    `fps` is the rate of a video or of pictures; of a DICOM file only where its header tells no time. `view` is what the
    user says it shows, where the header does not.

    Raises:
        EchonodeError: it cannot be read.
    """
    import numpy as np

    from echonode.dicom.pixels import read_clip
    from echonode.dicom.video import PICTURE_SUFFIXES, read_pictures, read_video

    limits = loaded.settings.limits
    if (guarded := refusal_for(loaded.packages, loaded.settings, source)) is not None:
        return guarded
    if source.is_dir():
        return read_pictures(source, fps=fps or 30.0, limits=limits)
    if source.suffix.lower() in PICTURE_SUFFIXES:
        raise BadInput(f"{source}: one picture is no loop; name the folder of all of them")
    if is_dicom(source):
        refusal = _refusal(loaded, source, view)
        if refusal is not None:
            return refusal
        clip = read_clip(source, limits=limits)
        told = clip.timed
    else:
        try:
            clip = read_video(source, limits=limits)
        except UnreadableObject as error:
            raise UnreadableObject(f"{source}: neither a DICOM file nor a video that can be read") from error
        told = False
    if fps is not None and not told:
        clip = replace(clip, times_ms=np.arange(len(clip.frames)) * (1000.0 / fps), timed=True)
    return clip


def _refusal(loaded: Loaded, source: Path, view: str | None) -> Ineligible | None:
    """What the header alone tells against it, as the node would say."""
    from echonode.cli.routes import facts_of_file
    from echonode.core.results import Ineligible
    from echonode.flow.contract import refusal_of

    facts = facts_of_file(source, views=loaded.views)
    if facts.derived:
        return Ineligible(reason="echonode made this object itself; results are never run again", code="derived")
    refusal = refusal_of(loaded.manifest.input, replace(facts, view=view) if view else facts)
    if refusal is not None and refusal.code == "view" and facts.view is None and view is None:
        return Ineligible(reason=f"{refusal.reason}; --view says what it shows", code="view")
    return refusal


@contextmanager
def progress_bar(name: str) -> Iterator[Progress]:
    """A bar on a terminal, silence elsewhere."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield _silent
        return
    from rich.progress import Progress as Bar

    with Bar(console=screen, transient=True) as bar:
        task = bar.add_task(name, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell


def _silent(done: int, total: int) -> None:
    """Nobody looks."""
