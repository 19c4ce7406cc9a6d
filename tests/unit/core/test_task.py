"""Tasks of other people's packages: one that is broken harms no other, and none takes the place of a built-in one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from uuid import uuid4

import pytest

from echonode.core.errors import NotFound
from echonode.core.task import ENTRY_POINT_GROUP, Announced, announced_tasks, installed_tasks

Install = Callable[..., None]
SPEC = (
    "from echonode.core.task import TaskSpec\nTASK = TaskSpec(name={name!r}, title='T', runner='nowhere:make'{more})\n"
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def install(site: Path) -> Install:
    """Installs a package of one module and one entry point."""

    def put(package: str, *, code: str, name: str, module: str = "") -> None:
        module = module or f"{package}_{uuid4().hex}"  # a module that another test imported would be found again
        (site / f"{module}.py").write_text(code)
        described = site / f"{package}-1.0.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (described / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{name} = {module}:TASK\n")

    return put


def announced(site: Path) -> Announced:
    """What echonode and the packages in `site` announce."""
    ours = Distribution.from_name("echonode")
    packages: Sequence[Distribution] = [ours, *distributions(path=[str(site)])]
    points: list[EntryPoint] = [
        point for package in packages for point in package.entry_points.select(group=ENTRY_POINT_GROUP)
    ]
    return announced_tasks(points)


BUILT_IN = set(installed_tasks())


def test_a_task_of_another_package_is_found(site: Path, install: Install) -> None:
    install("acme", code=SPEC.format(name="gain", more=""), name="gain")
    found = announced(site)
    assert set(found.tasks) == BUILT_IN | {"gain"}
    assert found.refused == ()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_module_anywhere\n", "cannot be loaded: ModuleNotFoundError: No module named"),
        ("def broken(:\n", "cannot be loaded: SyntaxError"),
        ("raise RuntimeError('two\\nlines')\n", "cannot be loaded: RuntimeError: two lines"),
        ("raise SystemExit(3)\n", "cannot be loaded: SystemExit: 3"),
        ("OTHER = 1\n", "cannot be loaded: AttributeError"),
        ("TASK = 'gain'\n", "is no TaskSpec"),
        (SPEC.format(name="loss", more=""), "its TaskSpec has the name 'loss'"),
    ],
    ids=["import", "syntax", "raise", "exit", "attribute", "type", "name"],
)
def test_a_broken_task_takes_no_other_with_it(site: Path, install: Install, code: str, reason: str) -> None:
    """One package that does not import would otherwise stop the whole node and every command."""
    install("acme", code=code, name="gain")
    install("sound", code=SPEC.format(name="strain", more=""), name="strain")
    found = announced(site)
    assert set(found.tasks) == BUILT_IN | {"strain"}
    (refused,) = found.refused
    assert str(refused).startswith("task 'gain' of package acme 1.0: ")
    assert reason in refused.reason
    assert "\n" not in str(refused)
    assert found.why_not("gain") == str(refused)
    assert found.why_not("other").startswith("no installed task is called 'other'; there are: cmr, ")


def test_nobody_takes_the_name_of_a_built_in_task(site: Path, install: Install) -> None:
    """Whoever installs a package must not find that ejection fractions come from another model."""
    install("acme", code=SPEC.format(name="view", more=""), name="view")
    found = announced(site)
    assert found.tasks["view"].title == "View of the heart"
    (refused,) = found.refused
    assert str(refused) == "task 'view' of package acme 1.0: echonode has a task of that name"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (", recipes={'view': 'nowhere:main'}", "its recipes have the name 'view', which task 'view' has"),
        (", evaluations={'cmr': 'nowhere:main'}", "its evaluations have the name 'cmr', which task 'cmr' has"),
        (", importers={'coreecho': 'nowhere:main'}", "its importers have the name 'coreecho', which task"),
    ],
)
def test_nobody_takes_the_name_of_a_built_in_recipe(site: Path, install: Install, more: str, said: str) -> None:
    install("acme", code=SPEC.format(name="gain", more=more), name="gain")
    found = announced(site)
    assert set(found.tasks) == BUILT_IN
    assert found.refused[0].reason.startswith(said)


def test_of_two_tasks_of_one_name_neither_is_used(site: Path, install: Install) -> None:
    """Which one ran would depend on the order in which packages were installed."""
    for package in ("acme", "zeta"):
        install(package, code=SPEC.format(name="gain", more=""), name="gain")
    found = announced(site)
    assert set(found.tasks) == BUILT_IN
    assert [each.package for each in found.refused] == ["acme 1.0", "zeta 1.0"]
    assert "more than one installed package" in found.why_not("gain")


def test_a_task_that_loads_torch_when_it_is_looked_at_is_refused(site: Path, install: Install) -> None:
    """The node's processes look at every task: hundreds of megabytes each, and a second of every start."""
    install("acme", code="import torch\n" + SPEC.format(name="gain", more=""), name="gain", module="acme_heavy")
    code = (
        "from echonode.core.task import announced_tasks, resolve; found = announced_tasks();"
        "print('gain' in found.tasks, [str(each) for each in found.refused])"
    )
    environment = {"PYTHONPATH": str(site), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == (
        "False [\"task 'gain' of package acme 1.0: importing its TaskSpec loads torch, "
        'which no process of the node may"]\n'
    )


def test_what_a_reference_names_is_looked_for_where_it_runs() -> None:
    from echonode.core.task import resolve

    with pytest.raises(NotFound, match="nowhere:make: No module named 'nowhere'"):
        resolve("nowhere:make")
