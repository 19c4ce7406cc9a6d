"""A command that README.md or a page of docs/ shows can be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from echonode.cli.main import execute

PAGES = [
    "README.md",
    "docs/operator-guide.md",
    "docs/phantom.md",
    "docs/published-models.md",
    "docs/security.md",
    "docs/mmode.md",
    "docs/models.md",
    "docs/own-task.md",
    "docs/slow-motion.md",
    "docs/training.md",
    "docs/architecture.md",
    "deploy/README.md",
]


def commands_of(text: str) -> set[tuple[str, ...]]:
    """Every `echonode ...` in code spans and code blocks, up to its first argument."""
    found = set()
    code = re.findall(r"`(?:sudo -u echonode )?(?:\S*/)?(echonode [^`]+)`", text)
    for block in re.findall(r"```\n(.*?)```", text, flags=re.DOTALL):
        whole = re.sub(r"\\\n\s*", " ", block)  # a command that goes on in the next line
        code += re.findall(r"^\s*(?:\S*/)?(echonode .+)$", whole, flags=re.MULTILINE)
    for line in code:
        words = shlex.split(line, comments=True)[1:]
        names = []
        for word in words:
            if not re.fullmatch(r"[a-z][a-z-]*", word) or len(names) == 2:
                break
            names.append(word)
        options = tuple(word for word in words if word.startswith("--"))
        found.add((*names, *options))
    return found


GROUPS = {
    "data", "work", "study", "models", "peers", "quarantine", "results", "routes", "run", "reference", "token", "view", "viewer",
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_exists(checkout: Path, page: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in sorted(commands_of((checkout / page).read_text())):
        options = [word for word in command if word.startswith("--")]
        names = [word for word in command if not word.startswith("--")]
        names = names[:2] if (names and names[0] in GROUPS) or names[:2] == ["conflicts", "resolve"] else names[:1]
        assert execute([*names, "--help"]) == 0, f"{page}: echonode {' '.join(names)}"
        shown = capsys.readouterr().out
        for option in options:
            assert option in shown, f"{page}: echonode {' '.join(names)} has no {option}"


def test_readme_lists_every_command(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    execute(["--help"])
    shown = capsys.readouterr().out
    names = re.findall(r"^│ ([a-z]+) ", shown, flags=re.MULTILINE)
    assert {"serve", "demo", "send", "query", "retrieve", "run", "work", "peers", "refused"} <= set(names)
    text = (checkout / "README.md").read_text()
    for name in names:
        assert f"`echonode {name}" in text, f"README.md does not mention echonode {name}"


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        *[
            f"docs/{name}.md"
            for name in ("architecture", "operator-guide", "own-task", "phantom", "security", "training")
        ],
    ],
)
def test_every_link_leads_somewhere(checkout: Path, page: str) -> None:
    folder = (checkout / page).parent
    for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", (checkout / page).read_text()):
        assert (folder / target).exists(), f"{page}: {target}"
