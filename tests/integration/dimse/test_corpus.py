"""Every odd file that there is, sent as its bytes are: stored or refused with a status, and the node stays well."""

from __future__ import annotations

import hashlib
import struct
import threading
from pathlib import Path

import pytest

from tests.integration.dimse.conftest import Node
from tests.support.dimse import EXPLICIT_LE, IMPLICIT_LE, US, VERIFICATION, small_object

FOLDERS = ("nasty", "ultrasound/single", "derived")
US_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"
REFUSED = {0xC000, 0xA900, 0x0122, 0x0117, 0xA700, 0x0111}


def taken_apart(path: Path) -> tuple[str, str, str, bytes]:
    """(class, instance, transfer syntax, data set) by the plainest reading of the file, guessed where it is broken."""
    content = path.read_bytes()
    found = {0x0002: b"", 0x0003: b"", 0x0010: b""}
    offset = 132 if content[128:132] == b"DICM" else 0
    while content[offset : offset + 2] == b"\x02\0":
        _, tag, vr = struct.unpack_from("<HH2s", content, offset)
        if vr in (b"OB", b"UN"):
            length, start = struct.unpack_from("<I", content, offset + 8)[0], offset + 12
        else:
            length, start = struct.unpack_from("<H", content, offset + 6)[0], offset + 8
        found[tag] = content[start : start + length]
        offset = start + length
    sop_class, instance, syntax = (found[tag].rstrip(b"\0 ").decode("ascii", "replace") for tag in (2, 3, 0x10))
    return sop_class or US_MULTIFRAME, instance or "1.2.3", syntax or IMPLICIT_LE, content[offset:]


def test_every_odd_file_is_stored_or_refused_and_the_node_is_well(node: Node, shared_data: Path) -> None:
    files = sorted(path for folder in FOLDERS for path in (shared_data / folder).rglob("*.dcm"))
    assert len(files) > 30
    threads = threading.active_count()
    stored = 0
    for path in files:
        sop_class, instance, syntax, data = taken_apart(path)
        with node.peer() as peer:
            assert peer.associate([(sop_class, [syntax]), (US, [syntax, EXPLICIT_LE])]) == 2
            context = 1 if peer.results[1][0] == 0 else 3
            status = peer.store(context, sop_class, instance, data)
            assert status == 0 or status in REFUSED, f"{path.name}: {status:04X}"
            if status == 0:
                stored += 1
                kept = node.archive.index.instance(instance)
                assert kept is not None, path.name
                content = Path(kept.path).read_bytes()[kept.dataset_offset :]
                if content != data:  # the same object came before in another file
                    digests = {version.sha256 for version in node.archive.index.versions(instance)}
                    assert hashlib.sha256(data).hexdigest() in digests, path.name
            assert peer.release() == 6, path.name
    assert stored > 10
    assert node.parts() == []
    with node.peer() as peer:
        assert peer.associate([(VERIFICATION, [IMPLICIT_LE]), (US, [EXPLICIT_LE])]) == 2
        assert peer.echo(1) == 0
        sop, good = small_object(99)
        assert peer.store(3, US, sop, good) == 0
    assert threading.active_count() <= threads + 2


@pytest.mark.parametrize("length", [0, 1, 2, 7, 8, 131, 132, 1000])
def test_a_data_set_cut_anywhere_is_refused_with_a_status(node: Node, length: int) -> None:
    sop, data = small_object(1)
    with node.peer() as peer:
        peer.associate([(US, [EXPLICIT_LE])])
        assert peer.store(1, US, sop, data[: min(length, len(data) - 65)]) in REFUSED
    assert node.archive.index.instance(sop) is None
