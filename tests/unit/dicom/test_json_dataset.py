"""What metadata and bulk say becomes the same data set again; what cannot be a data set is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from echonode.core.errors import BudgetExceeded, UnreadableObject
from echonode.core.settings import LimitsSection
from echonode.dicom.file_meta import read_file_meta
from echonode.dicom.header import SYNTAXES_DEFLATED, read_header
from echonode.dicom.json_dataset import Bulk, encoded_pieces
from echonode.dicom.json_model import model_of
from echonode.dicom.native_xml import native_xml
from echonode.dicom.storage import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from echonode.dicom.xml_dataset import model_of_xml
from tests.support.dimse import small_object

Model = dict[str, Any]


def no_bulk(uri: str) -> list[Bulk]:
    raise UnreadableObject(uri)


def encoded(model: Model, **options: Any) -> bytes:
    return b"".join(encoded_pieces(model, no_bulk, **options))


def without_bulk(model: Any) -> Any:
    if isinstance(model, dict):
        kept = {key: without_bulk(value) for key, value in model.items()}
        return {key: value for key, value in kept.items() if not (isinstance(value, dict) and "BulkDataURI" in value)}
    return [without_bulk(item) for item in model] if isinstance(model, list) else model


def plain(model: Any) -> Any:
    """Without what XML cannot tell apart: carriage returns, empty values and empty name parts at the end."""
    if isinstance(model, dict):
        return {key: plain(value) for key, value in model.items()}
    if isinstance(model, list):
        values = [plain(value) for value in model]
        while values and values[-1] is None:
            values.pop()
        return values
    return model.replace("\r\n", "\n").replace("\r", "\n").rstrip("^ \n") if isinstance(model, str) else model


def models(folder: Path) -> Iterator[tuple[str, Model]]:
    """The metadata of every real and broken file that can be read."""
    for path in sorted([*(folder / "ultrasound").rglob("*.dcm"), *(folder / "nasty").glob("*.dcm")]):
        meta = read_file_meta(path.read_bytes()[:70000], complete=True)
        assert meta is not None
        if meta.transfer_syntax_uid in SYNTAXES_DEFLATED:
            continue
        try:
            header = read_header(
                path, offset=meta.end, transfer_syntax_uid=meta.transfer_syntax_uid, limits=LimitsSection()
            )
        except UnreadableObject:
            continue
        yield path.name, without_bulk(orjson.loads(orjson.dumps(model_of(header))))


def test_the_metadata_of_every_real_file_comes_back_as_it_was(shared_data: Path, tmp_path: Path) -> None:
    """A client that fetches metadata, changes a name and stores it again must lose nothing else."""
    count = 0
    for name, model in models(shared_data):
        path = tmp_path / "object"
        path.write_bytes(encoded(model))
        header = read_header(path, offset=0, transfer_syntax_uid=EXPLICIT_LE, limits=LimitsSection(), whole=True)
        back = orjson.loads(orjson.dumps(model_of(header)))
        model["00080005"] = back["00080005"]
        changed = {tag for tag in model.keys() | back.keys() if model.get(tag) != back.get(tag)}
        assert not changed, (name, [(tag, model.get(tag), back.get(tag)) for tag in sorted(changed)][:3])
        count += 1
    assert count > 40


def test_xml_says_the_same_as_json(shared_data: Path) -> None:
    for name, model in models(shared_data):
        try:
            document = native_xml(model)
            back = model_of_xml(document, most_elements=1_000_000, nesting=64)
            assert encoded(plain(back)) == encoded(plain(model)), name
        except UnreadableObject as error:
            pytest.fail(f"{name}: {error}")


def element(vr: str, *values: Any) -> Model:
    return {"00181000": {"vr": vr, "Value": list(values)}}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"0010001": {"vr": "LO"}}, "no tag"),
        ({"PatientName": {"vr": "PN"}}, "no tag"),
        ({"00100010": {"Value": ["x"]}}, "no vr"),
        ({"00100010": "x"}, "no vr"),
        ({"00100010": {"vr": "XX", "Value": ["x"]}}, "unknown vr"),
        ({"00000002": {"vr": "UI"}}, "cannot have"),
        ({"FFFEE000": {"vr": "UN"}}, "cannot have"),
        ({"0010001a": {"vr": "LO"}, "0010001A": {"vr": "LO"}}, "twice"),
        (element("US", 70000), "does not fit"),
        (element("US", "x"), "does not fit"),
        (element("LO", {"a": 1}), "does not fit"),
        (element("LO", [1]), "does not fit"),
        (element("PN", 5), "does not fit"),
        (element("FD", "x"), "does not fit"),
        (element("AT", "0010"), None),
        (element("AT", "zz"), "does not fit"),
        (element("LO", "x" * 70000), "longer than its VR"),
        ({"00181000": {"vr": "LO", "Value": "x"}}, "no array"),
        ({"00181000": {"vr": "OB", "InlineBinary": "?"}}, "no base64"),
        ({"00181000": {"vr": "OB", "BulkDataURI": 5}}, "cannot be used"),
        ({"00181000": {"vr": "SQ", "Value": ["x"]}}, "JSON object"),
    ],
)
def test_what_is_no_data_set_is_refused_with_its_tag(model: Model, said: str | None) -> None:
    if said is None:
        encoded(model)
        return
    with pytest.raises(UnreadableObject, match=said):
        encoded(model)


def test_nesting_has_an_end() -> None:
    model: Model = {}
    for _ in range(100):
        model = {"00081140": {"vr": "SQ", "Value": [model]}}
    with pytest.raises(BudgetExceeded, match=r"limits\.nesting"):
        encoded(model, nesting=64)
    assert encoded(model, nesting=101)


def test_numbers_are_as_exact_as_a_decimal_string_can_be() -> None:
    data = encoded(element("DS", 0.1, 1 / 3, 123456789012345678901, 1e-300, 5, "7.50", None))
    text = data[data.index(b"DS") + 4 :].decode().rstrip()
    parts = text.split("\\")
    assert all(len(part) <= 16 for part in parts)
    assert [float(part) for part in parts[:1]] == [0.1]
    assert parts[4:] == ["5", "7.50", ""]
    assert abs(float(parts[1]) - 1 / 3) < 1e-13


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE])
def test_a_bare_data_set_tells_what_it_is_in(syntax: str) -> None:
    data = {
        EXPLICIT_LE: b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100\x08\x00",
        IMPLICIT_LE: b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100\x08\x00",
        EXPLICIT_BE: b"\x00\x08\x00\x05CS\x00\x0aISO_IR 100\x00\x08",
    }[syntax] + bytes(200)
    meta = read_file_meta(data, complete=False)
    assert meta is not None
    assert (meta.transfer_syntax_uid, meta.end) == (syntax, 0)


def test_a_head_is_waited_for_and_never_for_ever() -> None:
    _, data = small_object(1)
    content = bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0" + data
    for length in range(len(content) - len(data) + 15):
        assert read_file_meta(content[:length], complete=False) is None
        with pytest.raises(UnreadableObject):
            read_file_meta(content[:length], complete=True)
    meta = read_file_meta(content, complete=False)
    assert meta is not None
    assert content[meta.end :] == data
    for endless in (b"\x02\x00\x01\x00OB\x00\x00\xff\xff\xff\x7f", b"\x02\x00\x02\x00UI\x00\x00" * 20000):
        with pytest.raises(UnreadableObject):
            read_file_meta(bytes(128) + b"DICM" + endless + bytes(70000), complete=False)
