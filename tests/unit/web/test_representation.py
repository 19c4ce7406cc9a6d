"""Which form of an object a client gets: stored wherever it can be, transcoded where it must be, 406 where neither."""

from __future__ import annotations

import pytest

from echonode.web.accept import media_ranges
from echonode.web.representation import of_frames, of_object, what_there_is

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
JPEG, JPEG_LS, RLE, H264 = (f"1.2.840.10008.1.2.{tail}" for tail in ("4.50", "4.80", "5", "4.102"))
UNKNOWN = "1.2.840.10008.1.2.4.999"
DICOM = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'


@pytest.mark.parametrize(
    ("accept", "stored", "syntax", "as_stored"),
    [
        ("", JPEG, JPEG, True),
        ("*/*", RLE, RLE, True),
        (f"{DICOM}; transfer-syntax=*", JPEG, JPEG, True),
        (f"{DICOM}; transfer-syntax={JPEG}", JPEG, JPEG, True),
        (DICOM, JPEG, EXPLICIT, False),
        (DICOM, IMPLICIT, EXPLICIT, False),
        (DICOM, EXPLICIT, EXPLICIT, True),
        (DICOM, UNKNOWN, UNKNOWN, True),
        (f"{DICOM}; transfer-syntax={JPEG_LS}", JPEG, JPEG_LS, False),
        (f"{DICOM}; transfer-syntax={EXPLICIT}, {DICOM}; transfer-syntax={JPEG}", JPEG, JPEG, True),
        (f"{DICOM}; transfer-syntax={EXPLICIT}, {DICOM}; transfer-syntax={JPEG}; q=0.1", JPEG, EXPLICIT, False),
        (f"{DICOM}; transfer-syntax={RLE}, {DICOM}; transfer-syntax={JPEG_LS}", JPEG, JPEG_LS, False),
    ],
)
def test_an_object(accept: str, stored: str, syntax: str, as_stored: bool) -> None:
    chosen = of_object(media_ranges(accept), stored, True, parts=False)
    assert chosen is not None
    assert (chosen.transfer_syntax_uid, chosen.stored) == (syntax, as_stored)


@pytest.mark.parametrize(
    ("accept", "stored"),
    [
        (f"{DICOM}; transfer-syntax={RLE}", JPEG),
        (f"{DICOM}; transfer-syntax={EXPLICIT}", UNKNOWN),
        ("image/png", JPEG),
        ("application/dicom+json", JPEG),
    ],
)
def test_what_cannot_be_had(accept: str, stored: str) -> None:
    assert of_object(media_ranges(accept), stored, True, parts=False) is None
    assert stored in what_there_is(stored, frames=False)


def test_a_report_is_left_alone_by_a_request_for_compressed_pictures() -> None:
    """A client that wants a study as JPEG gets its reports too."""
    chosen = of_object(media_ranges(f"{DICOM}; transfer-syntax={JPEG}"), EXPLICIT, False, parts=True)
    assert chosen is not None
    assert (chosen.transfer_syntax_uid, chosen.stored) == (EXPLICIT, True)


def test_many_objects_go_out_in_parts_only() -> None:
    assert of_object(media_ranges("application/dicom; transfer-syntax=*"), JPEG, True, parts=True) is None
    single = of_object(media_ranges("application/dicom; transfer-syntax=*"), JPEG, True, parts=False)
    assert single is not None
    assert not single.multipart


@pytest.mark.parametrize(
    ("accept", "stored", "media", "syntax", "as_stored"),
    [
        ("", JPEG, "image/jpeg", JPEG, True),
        ('multipart/related; type="*/*"', JPEG_LS, "image/jls", JPEG_LS, True),
        (OCTETS, EXPLICIT, "application/octet-stream", EXPLICIT, True),
        (OCTETS, IMPLICIT, "application/octet-stream", EXPLICIT, True),
        (OCTETS, BIG, "application/octet-stream", EXPLICIT, False),
        (OCTETS, JPEG, "application/octet-stream", EXPLICIT, False),
        (f"{OCTETS}; transfer-syntax=*", JPEG, "application/octet-stream", JPEG, True),
        ('multipart/related; type="image/jpeg"', JPEG, "image/jpeg", JPEG, True),
        (
            'multipart/related; type="image/jpeg"',
            "1.2.840.10008.1.2.4.70",
            "image/jpeg",
            "1.2.840.10008.1.2.4.70",
            True,
        ),
        (f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG}', RLE, "image/jpeg", JPEG, False),
        ('multipart/related; type="image/jls"', JPEG, "image/jls", JPEG_LS, False),
        ("image/jpeg", JPEG, "image/jpeg", JPEG, True),
        (OCTETS, H264, "application/octet-stream", EXPLICIT, False),
        ("image/*", RLE, "image/dicom-rle", RLE, True),
    ],
)
def test_frames(accept: str, stored: str, media: str, syntax: str, as_stored: bool) -> None:
    chosen = of_frames(media_ranges(accept), stored, single=True)
    assert chosen is not None
    assert (chosen.media_type, chosen.transfer_syntax_uid, chosen.stored) == (media, syntax, as_stored)


def test_several_frames_need_parts_and_unknown_codecs_their_own_name() -> None:
    assert of_frames(media_ranges("image/jpeg"), JPEG, single=False) is None
    assert of_frames(media_ranges(OCTETS), UNKNOWN, single=True) is None
    assert of_frames(media_ranges("image/png"), JPEG, single=True) is None
    assert "image/jpeg" in what_there_is(JPEG, frames=True)
