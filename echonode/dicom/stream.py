"""MPEG-2, H.264 and HEVC bit streams inside DICOM (PS3.5 8.2.5 and on), decoded by FFmpeg."""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import numpy as np

from echonode.core.errors import Undecodable
from echonode.dicom.layout import PixelLayout


def decode_video(stream: bytes, layout: PixelLayout) -> Iterator[np.ndarray]:
    """Each frame of a bit stream, uint8 H x W x 3 RGB, at most `layout.frames` of them.

    Raises:
        Undecodable: no video, another picture size than the header's, corrupt, or fewer frames than declared.
    """
    count = 0
    try:
        with av.open(io.BytesIO(stream), mode="r") as container:
            if not container.streams.video:
                raise Undecodable("the pixel data holds no video stream")
            video = container.streams.video[0]
            size = (video.codec_context.height, video.codec_context.width)
            if size != (layout.rows, layout.columns):
                raise Undecodable(f"a video of {size[1]} x {size[0]} does not go with {layout.columns} x {layout.rows}")
            video.codec_context.thread_count = 1
            for frame in container.decode(video):
                if count == layout.frames:
                    break
                count += 1
                if (frame.height, frame.width) != size:
                    raise Undecodable("the picture size changes inside the video")
                yield frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, ValueError) as error:
        raise Undecodable(f"the video stream is cut off or corrupt: {error}") from error
    if count < layout.frames:
        raise Undecodable(f"{layout.frames} frames are declared, {count} could be decoded")
