"""The node's own key: what it signs the simulated studies with that it sends itself. It never leaves the store."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat
from pathlib import Path

from echonode.core.errors import ConfigurationError

LOG = logging.getLogger(__name__)
FILE = "node.key"
KEY_BYTES = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_node_key(root: Path) -> bytes:
    """The key of the store under `root`, drawn at random when it has none yet; processes that start together get one.

    Raises:
        ConfigurationError: the file is there and holds no key.
        OSError: it cannot be written or read.
    """
    path = root / FILE
    if not path.exists():
        root.mkdir(parents=True, exist_ok=True)
        part = root / f".{FILE}.{os.getpid()}.{secrets.token_hex(4)}"
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, secrets.token_bytes(KEY_BYTES))
            os.fsync(handle)
            with contextlib.suppress(FileExistsError):  # another process was quicker: its key is the node's
                os.link(part, path)
        finally:
            os.close(handle)
            part.unlink()
    key = read_node_key(root)
    if key is None:
        raise ConfigurationError(f"{path}: the key of this node cannot be made")
    return key


def read_node_key(root: Path) -> bytes | None:
    """The key of the store under `root`; None where no node has started yet.

    Raises:
        ConfigurationError: the file holds no key.
    """
    path = root / FILE
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_IMODE(mode) & _OTHERS:
            LOG.warning(
                "others could read the node's key: narrowed; replace it if it may be known", extra={"file": FILE}
            )
            with contextlib.suppress(OSError):
                os.fchmod(handle, 0o600)
        key = os.read(handle, KEY_BYTES + 1)
    finally:
        os.close(handle)
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"{path}: {KEY_BYTES} random bytes were expected; remove it, and a new one is made")
    return key
