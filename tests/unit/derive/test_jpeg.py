"""Marking an acquired frame must not cost it its speckle."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from echonode.core.errors import Undecodable
from echonode.derive.jpeg import JpegStyle, PlaneDecoder, encode, style_for, style_of
from echonode.dicom.codestream import jpeg_header


def speckle(rows: int = 96, columns: int = 128, *, grey: bool = False) -> np.ndarray:
    values = np.random.default_rng(3).gamma(2.0, 30.0, (rows // 2, columns // 2)).clip(0, 255).astype(np.uint8)
    picture = values.repeat(2, axis=0).repeat(2, axis=1)
    return picture if grey else np.stack([picture, picture, picture], axis=-1)


def jpeg(picture: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def opened(stream: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(stream)).convert("RGB")).astype(float)


def decibels(first: np.ndarray, second: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(float(((first - second) ** 2).mean()), 1e-9)))


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [75, 92])
@pytest.mark.parametrize("size", [(96, 128), (94, 130)])
def test_the_source_s_style_is_taken_over(sampling: str, quality: int, size: tuple[int, int]) -> None:
    source = jpeg(speckle(*size), quality=quality, subsampling=sampling)
    style = style_of(source, photometric="YBR_FULL_422")
    assert style is not None
    again = encode(PlaneDecoder().decode(source), style, ybr=True)
    first, second = jpeg_header(source), jpeg_header(again)
    assert second.sampling == first.sampling == sampling
    assert [second.tables[c.table] for c in second.components] == [first.tables[c.table] for c in first.components]
    assert decibels(opened(source), opened(again)) > 50


def test_colour_survives_too() -> None:
    rng = np.random.default_rng(5)
    picture = rng.integers(40, 216, (12, 16, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    source = jpeg(picture, quality=85, subsampling="4:2:2")
    style = style_of(source, photometric="YBR_FULL_422")
    assert style is not None
    assert decibels(opened(source), opened(encode(PlaneDecoder().decode(source), style, ybr=True))) > 50


def test_grey_stays_grey() -> None:
    source = jpeg(speckle(grey=True), quality=85)
    style = style_of(source, photometric="MONOCHROME2")
    assert style is not None
    assert style.grey
    planes = PlaneDecoder().decode(source)
    assert planes.ndim == 2
    assert jpeg_header(encode(planes, style, ybr=True)).sampling == "grey"


def test_luma_alone_becomes_a_colour_stream_of_the_source_s_kind() -> None:
    style = style_of(jpeg(speckle(), quality=85, subsampling="4:2:0"), photometric="YBR_FULL_422")
    assert style is not None
    stream = encode(speckle(grey=True)[..., None], style)
    assert jpeg_header(stream).sampling == "4:2:0"
    shown = opened(stream)
    assert np.abs(shown[..., 0] - shown[..., 2]).max() <= 2


def test_rgb_inside_jpeg_has_no_style_to_take_over() -> None:
    assert style_of(jpeg(speckle(), keep_rgb=True, subsampling=0), photometric="RGB") is None


@pytest.mark.parametrize("grey", [False, True])
def test_a_source_without_loss_gets_a_quality_that_keeps_speckle(grey: bool) -> None:
    picture = np.random.default_rng(4).gamma(2.0, 30.0, (96, 128)).clip(0, 255).astype(np.uint8)
    frame = picture[..., None] if grey else np.repeat(picture[..., None], 3, axis=2)
    style = style_for(frame, faithful_db=50)
    assert style.quality > 92
    assert style.sampling == ("grey" if grey else "4:2:2")
    assert style_for(np.full_like(frame, 90), faithful_db=50) == JpegStyle(sampling=style.sampling, quality=92)


def test_a_cut_off_stream_is_no_picture() -> None:
    with pytest.raises(Undecodable):
        style_of(jpeg(speckle())[:100], photometric="YBR_FULL_422")
    with pytest.raises(Undecodable):
        PlaneDecoder().decode(b"\xff\xd8 not a jpeg")
