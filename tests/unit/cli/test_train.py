"""`echonode train` and `echonode evaluate` as typed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from echonode.cli.main import execute


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_help_and_a_wrong_name_load_no_torch_and_no_task(command: str) -> None:
    """Help must come at once; and a broken task must not hide the others."""
    program = (
        "import sys\nfrom echonode.cli.main import execute\n"
        f"assert execute(['{command}', '--help']) == 0\nassert execute(['{command}', 'nothing']) == 2\n"
        "heavy = [name for name in sys.modules if name in ('torch', 'cv2', 'scipy', 'matplotlib')\n"
        "         or (name.startswith('echonode.tasks.') and name.count('.') > 2)]\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--data" in done.stdout
    assert "there are: " in done.stderr


def test_every_recipe_has_an_evaluation() -> None:
    """What can be trained can be measured."""
    from echonode.core.task import installed_tasks

    for spec in installed_tasks().values():
        assert spec.recipes.keys() <= spec.evaluations.keys()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--set", "rate"], "not of the form KEY=VALUE"),
        (["--name", "No Name"], "is no model name"),
        (["--precision", "fp8"], "fp32, bf16, fp16"),
        ([], "--data is missing"),
        (["--init", "nowhere.pt"], "no such file"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from echonode.core import task

    spec = task.TaskSpec(name="t", title="T", runner="json:loads", recipes={"t": "json:loads"})
    monkeypatch.setattr(task, "installed_tasks", lambda: {"t": spec})
    given = [] if complaint.startswith("--data") else ["--data", "phantom:2@1"]
    assert execute(["train", "t", *given, *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert complaint in lines[0]
