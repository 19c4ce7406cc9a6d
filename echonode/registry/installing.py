"""Model packages that come from elsewhere: copied into the node's own folder, whole or not at all; and taken away.

A package is verified where it lies and once more where it was copied to: what is tested is what will run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.registry.durable import make_durable
from echonode.registry.verify import verify


@contextmanager
def staged(source: Path, *, into: Path) -> Iterator[Package]:
    """A verified copy of the package in `source` in a hidden folder under `into`, gone at the end unless `settle`d.

    Raises:
        PackageInvalid: a file of it is wrong.
        BadInput: `into` has a package of that name, or cannot be written.
    """
    named = verify(source)
    target = into / named.name
    if os.path.lexists(target):
        raise BadInput(f"{target}: there is already a model of that name; remove it first, or give yours another name")
    try:
        into.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".register-", dir=into))
    except OSError as error:
        raise BadInput(f"{into}: cannot be written: {error.strerror}") from error
    try:
        folder = part / named.name
        folder.mkdir()
        try:
            for path in sorted(source.iterdir()):
                shutil.copyfile(path, folder / path.name, follow_symlinks=False)
        except OSError as error:
            raise BadInput(f"{source}: cannot be copied to {into}: {error.strerror}") from error
        make_durable(folder)
        yield verify(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def settle(package: Package, *, into: Path) -> Package:
    """Put a staged package into its place with one rename.

    Raises:
        BadInput: somebody was faster.
    """
    target = into / package.name
    if os.path.lexists(target):
        raise BadInput(f"{target}: there is already a model of that name")
    package.folder.rename(target)
    make_durable(into)
    return verify(target)


@contextmanager
def put_aside(folder: Path) -> Iterator[None]:
    """Take the folder away when the block ends, and put it back where that raises; one that is gone already may be.

    Raises:
        BadInput: it cannot be taken away.
    """
    aside = folder.with_name(f".removed-{folder.name}-{os.getpid()}")
    there = folder.is_dir()
    if there:
        try:
            folder.rename(aside)
        except OSError as error:
            raise BadInput(f"{folder}: cannot be removed: {error.strerror}") from error
    try:
        yield
    except BaseException:
        if there:
            aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
