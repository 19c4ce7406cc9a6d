"""The words that a synthetic picture carries when people may look at it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WORDS: Final = ("RESEARCH USE ONLY", "SYNTHETIC - NOT A PATIENT IMAGE")
FONT_PIXELS: Final = 11
MARGIN: Final = 3
SMALLEST_WIDTH: Final = 256  # below it the words cannot be read: smaller pictures are enlarged by repetition

Bytes = NDArray[np.uint8]


def marked(picture: Bytes) -> Bytes:
    """A copy of an RGB picture (H, W, 3) with the words burnt in at top and bottom, enlarged where it is too small."""
    height, width = picture.shape[:2]
    times = -(-SMALLEST_WIDTH // min(height, width))
    image = Image.fromarray(picture.repeat(times, axis=0).repeat(times, axis=1))
    font = ImageFont.load_default(FONT_PIXELS * max(1, min(image.size) // SMALLEST_WIDTH))
    draw = ImageDraw.Draw(image)
    for place, words in enumerate(WORDS):
        left, top, right, bottom = draw.textbbox((0, 0), words, font=font)
        high = int(bottom - top) + 2 * MARGIN
        corner = 0 if place == 0 else image.height - high
        x = int(image.width - (right - left)) // 2
        draw.rectangle((x - MARGIN, corner, x + int(right - left) + MARGIN, corner + high), fill=(0, 0, 0))
        draw.text((x - left, corner + MARGIN - top), words, fill=(255, 205, 60), font=font)
    return np.asarray(image)
