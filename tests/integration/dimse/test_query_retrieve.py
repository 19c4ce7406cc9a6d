"""Query and retrieve against DCMTK: matches found, and objects back byte for byte."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from echonode.core.peers import Peer, PeersFile, Right
from echonode.core.query import Level
from echonode.core.settings import LimitsSection
from echonode.dimse import user
from echonode.dimse.sending import ObjectSender
from tests.integration.dimse.conftest import EVERYBODY, Node, StartNode
from tests.support.dimse import EXPLICIT_LE, US, small_object
from tests.support.waiting import wait_until

Program = Callable[[str], str]


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def data_set(path: Path) -> bytes:
    return path.read_bytes()[user.stored_file(path).dataset_offset :]


def send_small(node: Node, count: int, *, study: str = "1.2.3.9") -> dict[str, bytes]:
    objects = {}
    with node.peer() as peer:
        peer.associate([(US, [EXPLICIT_LE])])
        for number in range(1, count + 1):
            sop, data = small_object(number, study=study)
            assert peer.store(1, US, sop, data) == 0
            objects[sop] = data
    return objects


def send_file(node: Node, path: Path) -> None:
    """The file's data set as it is: DCMTK's senders write it anew."""
    item = user.stored_file(path)
    with node.peer() as peer:
        peer.associate([(item.sop_class_uid, [item.transfer_syntax_uid])])
        assert peer.store(1, item.sop_class_uid, item.sop_instance_uid, data_set(path)) == 0


@contextmanager
def storescp(program: Program, port: int, folder: Path, *options: str) -> Iterator[Path]:
    """A DCMTK receiver that writes data sets as they come."""
    folder.mkdir()
    process = subprocess.Popen(
        [program("storescp"), *(options or ("+xa", "+B")), "-aet", "STORE", "-od", str(folder), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: "Success" in run(program("echoscu"), "-v", "127.0.0.1", str(port)), "storescp listens")
        yield folder
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def clip() -> Path:
    """A real cine, JPEG baseline, which pydicom ships."""
    path = get_testdata_file("examples_ybr_color.dcm")
    assert path is not None
    return Path(str(path))


@pytest.fixture
def destination(free_port: Callable[[], int]) -> tuple[int, PeersFile]:
    port = free_port()
    peer = Peer(name="store", ae_title="STORE", host="127.0.0.1", port=port, rights=EVERYBODY)
    return port, PeersFile(allow_unknown=True, unknown_rights=EVERYBODY, peer=(peer,))


@pytest.mark.parametrize(
    ("root", "level", "key"),
    [
        ("-S", "STUDY", "StudyInstanceUID"),
        ("-S", "SERIES", "SeriesInstanceUID"),
        ("-S", "IMAGE", "SOPInstanceUID"),
        ("-P", "PATIENT", "PatientID"),
    ],
)
def test_findscu_finds_at_every_level(node: Node, program: Program, root: str, level: str, key: str) -> None:
    send_small(node, 3)
    keys = {"STUDY": [], "PATIENT": [], "SERIES": ["StudyInstanceUID=1.2.3.9"]}.get(
        level, ["StudyInstanceUID=1.2.3.9", "SeriesInstanceUID=1.2.3.9.1"]
    )
    arguments = [part for text in (f"QueryRetrieveLevel={level}", *keys, key) for part in ("-k", text)]
    out = run(program("findscu"), "-v", root, "-aec", "ECHONODE", "127.0.0.1", str(node.port), *arguments)
    assert out.count("(Pending)") == (3 if level == "IMAGE" else 1), out
    assert "Received Final Find Response (Success)" in out


def test_a_query_that_does_not_fit_its_level_is_a900_and_the_association_lives(node: Node) -> None:
    with pytest.raises(Exception, match="A900H"):
        list(user.find(with_self(node), "self", level=Level.PATIENT, keys={"PatientID": "*"}, root="study"))
    assert user.echo(with_self(node), "self") > 0


def with_self(node: Node):
    """The node's configuration with the node itself as a peer."""

    me = Peer(name="self", ae_title="ECHONODE", host="127.0.0.1", port=node.port)
    return replace(node.configuration, peers=PeersFile(peer=(me,)))


def test_c_move_gives_the_stored_bytes_to_a_peer(
    start_node: StartNode, program: Program, destination: tuple[int, PeersFile], tmp_path: Path, clip: Path
) -> None:
    port, peers = destination
    node = start_node(peers=peers)
    objects = send_small(node, 4)
    with storescp(program, port, tmp_path / "out") as folder:
        out = run(
            program("movescu"), "-v", "-S", "-aec", "ECHONODE", "-aem", "STORE", "127.0.0.1", str(node.port),
            "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3.9",
        )  # fmt: skip
        assert "Received Final Move Response (Success)" in out, out
        wait_until(lambda: len(list(folder.iterdir())) == 4, "four files")
        received = {str(dcmread(path).SOPInstanceUID): path for path in folder.iterdir()}
    assert {uid: data_set(path) for uid, path in received.items()} == objects


def test_c_move_to_a_title_that_nobody_has_is_a801_and_noted(node: Node, program: Program) -> None:
    send_small(node, 1)
    out = run(
        program("movescu"), "-v", "-S", "-aec", "ECHONODE", "-aem", "NOBODY", "127.0.0.1", str(node.port),
        "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3.9",
    )  # fmt: skip
    assert "Refused: MoveDestinationUnknown" in out or "a801" in out.lower(), out
    wait_until(lambda: any(row.what == "move" for row in node.archive.refusals.list()), "the refusal is written")


def test_getscu_gets_the_stored_bytes(node: Node, program: Program, tmp_path: Path) -> None:
    objects = send_small(node, 5)
    folder = tmp_path / "got"
    folder.mkdir()
    out = run(
        program("getscu"), "-v", "-S", "+B", "-aec", "ECHONODE", "127.0.0.1", str(node.port), "-od", str(folder),
        "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3.9",
    )  # fmt: skip
    received = {str(dcmread(path).SOPInstanceUID): data_set(path) for path in folder.iterdir()}
    assert received == objects, out


def test_a_compressed_loop_comes_back_untouched_where_it_is_accepted_and_decoded_where_not(
    node: Node, program: Program, tmp_path: Path, clip: Path
) -> None:
    """A workstation that knows JPEG gets the scanner's own bytes; one that does not still sees the loop."""
    send_file(node, clip)
    original = dcmread(clip)
    study = str(original.StudyInstanceUID)
    request = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    both = {}
    for name, options in {"jpeg": ["+xy"], "plain": []}.items():
        folder = tmp_path / name
        folder.mkdir()
        out = run(
            program("getscu"), "-v", "-S", "+B", *options, "-aec", "ECHONODE", "127.0.0.1", str(node.port),
            "-od", str(folder), *request,
        )  # fmt: skip
        files = list(folder.iterdir())
        assert len(files) == 1, out
        both[name] = files[0]
    assert data_set(both["jpeg"]) == data_set(clip)
    plain = dcmread(both["plain"])
    assert plain.file_meta.TransferSyntaxUID == EXPLICIT_LE
    assert plain.PhotometricInterpretation == "RGB"
    difference = abs(plain.pixel_array.astype(int) - original.pixel_array.astype(int))
    assert difference.max() <= 3


def test_a_frame_bomb_is_a_failed_sub_operation_and_the_rest_goes_out(
    start_node: StartNode, program: Program, tmp_path: Path, clip: Path
) -> None:
    """What would need 335 GiB to decode must not be decoded; it is still there for a peer that takes it as it is."""
    node = start_node(limits=LimitsSection(frame_bytes=1 << 20, decoded_bytes=1 << 20))
    send_file(node, clip)
    study = str(dcmread(clip).StudyInstanceUID)
    objects = send_small(node, 2, study=study)
    folder = tmp_path / "got"
    outcome = run(
        program("getscu"), "-d", "-S", "+B", "-aec", "ECHONODE", "127.0.0.1", str(node.port), "-od", str(_made(folder)),
        "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}",
    )  # fmt: skip
    received = {str(dcmread(path).SOPInstanceUID): data_set(path) for path in folder.iterdir()}
    assert received == objects, outcome
    assert "b000" in outcome.lower(), outcome


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_our_own_get_and_find_and_move_work_together(
    start_node: StartNode, program: Program, destination: tuple[int, PeersFile], tmp_path: Path
) -> None:
    port, peers = destination
    node = start_node(peers=peers)
    objects = send_small(node, 3)
    client = with_self(node)
    matches = list(user.find(client, "self", level=Level.STUDY, keys={"StudyInstanceUID": "", "PatientID": "P1"}))
    assert [str(match.StudyInstanceUID) for match in matches] == ["1.2.3.9"]
    got = user.get(client, "self", level=Level.STUDY, keys={"StudyInstanceUID": "1.2.3.9"}, into=tmp_path / "got")
    assert got.ok
    assert got.completed == 3
    assert {path.stem: data_set(path) for path in got.files} == objects
    with storescp(program, port, tmp_path / "out") as folder:
        moved = user.move(client, "self", level=Level.STUDY, keys={"StudyInstanceUID": "1.2.3.9"}, destination="STORE")
        assert moved.ok
        assert moved.completed == 3
        wait_until(lambda: len(list(folder.iterdir())) == 3, "three files")
    unreachable = user.move(
        client, "self", level=Level.STUDY, keys={"StudyInstanceUID": "1.2.3.9"}, destination="STORE"
    )
    assert unreachable.status == 0xA702
    assert sorted(unreachable.failed_uids) == sorted(objects)


def test_a_requestor_that_waits_for_a_long_retrieve_is_not_taken_for_idle(
    start_node: StartNode, destination: tuple[int, PeersFile], monkeypatch: pytest.MonkeyPatch, program: Program,
    tmp_path: Path,
) -> None:  # fmt: skip
    """It says nothing while its C-MOVE runs, for longer than an idle association may live."""
    port, peers = destination
    node = start_node(peers=peers, idle_seconds=1.0)
    send_small(node, 6)
    slow = ObjectSender.send

    def send(*arguments: object, **options: object) -> object:
        threading.Event().wait(0.4)
        return slow(*arguments, **options)

    monkeypatch.setattr(ObjectSender, "send", send)
    with storescp(program, port, tmp_path / "out"):
        outcome = user.move(
            with_self(node), "self", level=Level.STUDY, keys={"StudyInstanceUID": "1.2.3.9"}, destination="STORE"
        )
    assert outcome.ok
    assert outcome.completed == 6


def test_stores_and_queries_share_an_association(node: Node) -> None:
    """Some workstations propose everything at once; their stores go the same way as a scanner's."""
    find = ("1.2.840.10008.5.1.4.1.2.2.1", ["1.2.840.10008.1.2"])
    sop, data = small_object(50)
    with node.peer() as peer:
        assert peer.associate([find, (US, [EXPLICIT_LE])]) == 2
        assert peer.store(3, US, None, data) == 0x0117, "no thread dies of a missing UID"
        assert peer.store(3, US, sop, data, step=50) == 0
        assert peer.release() == 6
    stored = node.archive.index.instance(sop)
    assert stored is not None
    assert Path(stored.path).read_bytes()[stored.dataset_offset :] == data
    with node.peer() as peer:
        peer.associate([find, (US, [EXPLICIT_LE])])
        peer.send(b"\x04\0\x40\0\0\0" + bytes(1 << 16))
        assert peer.read()[0] == 7
        assert peer.closed()
    assert node.parts() == []


def test_without_the_right_a_query_is_rejected(start_node: StartNode, program: Program) -> None:
    node = start_node(peers=PeersFile(allow_unknown=True, unknown_rights=(Right.STORE,)))
    out = run(
        program("findscu"),
        "-v",
        "-S",
        "-aec",
        "ECHONODE",
        "127.0.0.1",
        str(node.port),
        "-k",
        "QueryRetrieveLevel=STUDY",
    )
    assert "No Acceptable Presentation Contexts" in out or "No presentation context" in out, out
