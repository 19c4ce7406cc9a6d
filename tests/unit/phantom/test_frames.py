"""Frames come back from every transfer syntax as the syntax promises."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.core.errors import BadInput
from echonode.phantom.frames import Syntax, encode_frames


def pictures(*, channels: int, frames: int = 3, rows: int = 64, columns: int = 80) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns]
    grey = np.stack([(x + 2 * y + 5 * index) % 256 for index in range(frames)]).astype(np.uint8)
    return np.repeat(grey[..., None], channels, axis=3)


@pytest.mark.parametrize("syntax", list(Syntax))
@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_frames_are_the_same_bytes(syntax: Syntax, channels: int) -> None:
    frames = pictures(channels=channels)
    one, two = (encode_frames(frames, syntax, frame_time_ms=33.3) for _ in range(2))
    assert one == two
    assert one.encapsulated == (syntax is not Syntax.EXPLICIT)
    assert (one.method is None) == (syntax in (Syntax.EXPLICIT, Syntax.RLE, Syntax.JPEG_LS))
    assert (one.samples == 1) == (channels == 1 and syntax is not Syntax.H264)


def test_odd_sides_do_not_go_into_a_video() -> None:
    with pytest.raises(BadInput, match="81 x 64"):
        encode_frames(pictures(channels=3, columns=81), Syntax.H264)


def test_a_still_is_never_a_video() -> None:
    still = encode_frames(pictures(channels=3, frames=1), Syntax.H264)
    assert still.transfer_syntax_uid == "1.2.840.10008.1.2.4.50"
