"""multipart/related as PS3.18 8.6.1 writes it: what stands before each part and at the end.

The boundary is made from the digests of what is sent. Nobody can put it into an object, since that would change the
digest, and the same answer comes out the same to the byte, so that it can have a strong ETag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_SALT = b"echonode multipart boundary\n"


def boundary_of(*digests: str) -> bytes:
    """A boundary for parts made of objects with these digests (SHA-256 in hex)."""
    if len(digests) == 1:
        return digests[0][:40].encode()
    return hashlib.sha256(_SALT + "\n".join(digests).encode()).hexdigest()[:40].encode()


def content_type(part_type: str, boundary: bytes) -> bytes:
    """The Content-Type of the whole, whose parts are of the media type `part_type` (without parameters)."""
    return b'multipart/related; type="%s"; boundary=%s' % (part_type.encode("ascii"), boundary)


def opening(boundary: bytes, part_type: str, *, first: bool) -> bytes:
    """What stands before a part's bytes; `part_type` may have parameters."""
    return b"%s--%s\r\nContent-Type: %s\r\n\r\n" % (
        b"" if first else b"\r\n",
        boundary,
        part_type.encode("ascii"),
    )


def closing(boundary: bytes) -> bytes:
    """What stands after the last part."""
    return b"\r\n--%s--\r\n" % boundary


def digest(values: Iterable[str]) -> str:
    """One digest of many."""
    return hashlib.sha256("\n".join(values).encode()).hexdigest()
