"""Which representation of a stored object or frame a client gets: the stored bytes wherever it accepts them.

Media types of frames are those of PS3.18 8.7.3.3. The choice is made from the Accept ranges and the stored transfer
syntax alone; whether the pixels can really be decoded shows when they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from echonode.dicom.decode import DECODABLE, JPEG_BASELINE, NATIVE, VIDEO
from echonode.dicom.encode import JPEG_LS
from echonode.dicom.storage import EXPLICIT_LE, IMPLICIT_LE
from echonode.web.accept import ANYTHING, MediaRange

DICOM = "application/dicom"
OCTETS = "application/octet-stream"
TARGETS = (EXPLICIT_LE, JPEG_LS, JPEG_BASELINE)
"""Transfer syntaxes that are made for clients; PS3.18 8.7.3.5 leaves Implicit VR and Big Endian out."""
_JPEG = "1.2.840.10008.1.2.4."
FRAME_TYPES: dict[str, str] = {
    **dict.fromkeys((f"{_JPEG}{number}" for number in (50, 51, 57, 70)), "image/jpeg"),
    **dict.fromkeys((f"{_JPEG}{number}" for number in (80, 81)), "image/jls"),
    **dict.fromkeys((f"{_JPEG}{number}" for number in (90, 91)), "image/jp2"),
    **dict.fromkeys((f"{_JPEG}{number}" for number in (92, 93)), "image/jpx"),
    **dict.fromkeys((f"{_JPEG}{number}" for number in (201, 202, 203)), "image/jphc"),
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
"""Media type of a frame in its compressed transfer syntax."""
_MADE = {"image/jpeg": JPEG_BASELINE, "image/jls": JPEG_LS, OCTETS: EXPLICIT_LE}
_ANY_SYNTAX = "*"


def video_type(transfer_syntax_uid: str) -> str:
    """Media type of a bit stream of all frames."""
    return "video/mpeg" if transfer_syntax_uid.startswith((f"{_JPEG}100", f"{_JPEG}101")) else "video/mp4"


@dataclass(frozen=True, kw_only=True, slots=True)
class Representation:
    """What is sent: the transfer syntax, whether that needs transcoding, and in parts or by itself.

    With `or_stored` the client named no transfer syntax: what cannot be decoded goes out as it is stored.
    """

    media_type: str
    transfer_syntax_uid: str
    stored: bool
    multipart: bool
    or_stored: bool = False

    @property
    def part_type(self) -> str:
        """The Content-Type of one part, or of the body without parts."""
        return f"{self.media_type}; transfer-syntax={self.transfer_syntax_uid}"


@lru_cache(maxsize=4096)
def of_object(ranges: tuple[MediaRange, ...], stored: str, has_pixels: bool, *, parts: bool) -> Representation | None:
    """How an object in the transfer syntax `stored` goes out; None when the client takes no form that can be had.

    Without a transfer-syntax parameter application/dicom means Explicit VR Little Endian (PS3.18 8.7.3.5.2). With
    `parts` only multipart answers do. An object without pixels is left uncompressed whatever the client asks for:
    no compressed transfer syntax says anything about it.
    """
    fitting = [each for each in ranges if each.covers(DICOM) and (each.takes_parts or not parts)]
    for _, level in groupby(fitting, key=lambda each: each.q):
        wanted = list(level)
        for each in wanted:
            if each.transfer_syntax in (_ANY_SYNTAX, stored) or (each.media_type != DICOM and not each.transfer_syntax):
                return _object(each, stored, stored=True)
        for each in wanted:
            syntax = each.transfer_syntax or EXPLICIT_LE
            if syntax in TARGETS and not has_pixels:
                syntax = EXPLICIT_LE
            if syntax == stored:
                return _object(each, stored, stored=True)
            decodable = stored in DECODABLE or not has_pixels
            if each.transfer_syntax is None:
                return _object(each, syntax if decodable else stored, stored=not decodable, or_stored=True)
            if syntax in TARGETS and decodable:
                return _object(each, syntax, stored=False)
    return None


@lru_cache(maxsize=4096)
def of_frames(ranges: tuple[MediaRange, ...], stored: str, *, single: bool) -> Representation | None:
    """How frames of an object in the transfer syntax `stored` go out; None when no accepted form can be had.

    A body without parts is possible for a `single` frame only.
    """
    own = FRAME_TYPES.get(stored)
    plain = stored in (EXPLICIT_LE, IMPLICIT_LE)
    fitting = [each for each in ranges if each.takes_parts or single]
    for _, level in groupby(fitting, key=lambda each: each.q):
        wanted = list(level)
        for each in wanted:
            if own is not None and _takes_stored(each, own, stored):
                return _frames(each, OCTETS if each.media_type == OCTETS else own, stored, stored=True)
            if plain and each.covers(OCTETS) and each.transfer_syntax in (None, _ANY_SYNTAX, EXPLICIT_LE, stored):
                return _frames(each, OCTETS, EXPLICIT_LE, stored=True)
        for each in wanted:
            made = _made(each) if stored in DECODABLE else None
            if made is not None:
                return _frames(each, *made, stored=False)
    return None


def what_there_is(stored: str, *, frames: bool) -> str:
    """What a client could have asked for, in words for a 406."""
    media = FRAME_TYPES.get(stored, OCTETS) if frames else DICOM
    syntaxes = dict.fromkeys((stored, *(TARGETS if stored in DECODABLE else ())))
    forms = [f'multipart/related; type="{media}"; transfer-syntax=*'] if not frames or stored not in VIDEO else []
    for syntax in syntaxes:
        if frames and syntax in VIDEO:
            continue
        kind = (OCTETS if syntax in NATIVE else FRAME_TYPES.get(syntax, OCTETS)) if frames else DICOM
        forms.append(f'multipart/related; type="{kind}"; transfer-syntax={syntax}')
    return ", ".join(forms)


def _takes_stored(each: MediaRange, own: str, stored: str) -> bool:
    if each.media_type == OCTETS:  # compressed frames as octets only where the client says that it takes them
        return each.transfer_syntax in (_ANY_SYNTAX, stored)
    return each.covers(own) and each.transfer_syntax in (None, _ANY_SYNTAX, stored)


def _made(each: MediaRange) -> tuple[str, str] | None:
    """Media type and transfer syntax that can be made for a range."""
    for media, syntax in _MADE.items() if each.media_type != ANYTHING else [(OCTETS, EXPLICIT_LE)]:
        if each.covers(media) and each.transfer_syntax in (None, _ANY_SYNTAX, syntax):
            return media, syntax
    if each.covers(OCTETS) and each.transfer_syntax in TARGETS:
        return OCTETS, each.transfer_syntax
    return None


def _object(each: MediaRange, syntax: str, *, stored: bool, or_stored: bool = False) -> Representation:
    return Representation(
        media_type=DICOM,
        transfer_syntax_uid=syntax,
        stored=stored,
        multipart=each.takes_parts,
        or_stored=or_stored,
    )


def _frames(each: MediaRange, media: str, syntax: str, *, stored: bool) -> Representation:
    return Representation(media_type=media, transfer_syntax_uid=syntax, stored=stored, multipart=each.takes_parts)
