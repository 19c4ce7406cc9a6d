"""`python -m echonode` is the `echonode` command."""

from __future__ import annotations

from echonode.cli.main import run

if __name__ == "__main__":
    run()
