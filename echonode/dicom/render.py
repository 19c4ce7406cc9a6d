"""The pictures of a stored object as people see them: frames, thumbnails, loops at their speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from pydicom.dataset import Dataset

from echonode.core.errors import BadInput, BudgetExceeded, Undecodable
from echonode.core.frame_table import FrameTable
from echonode.core.settings import LimitsSection
from echonode.dicom import animation, elements, still
from echonode.dicom.decode import JPEG, VIDEO, FrameDecoder
from echonode.dicom.fragments import Span, read_spans
from echonode.dicom.header import SYNTAXES_DEFLATED, read_header
from echonode.dicom.layout import PixelLayout, check_budget, layout_of
from echonode.dicom.look import AS_STORED, Look
from echonode.dicom.pixels import PixelSource, open_pixels
from echonode.dicom.storage import EXPLICIT_BE
from echonode.dicom.timing import FrameTimes, frame_times_ms

STILLS = ("image/jpeg", "image/png", "image/gif")
MOVING = ("image/gif", "video/mp4")
_SAMPLES = 8
_INTEGERS = 0x7FE00010
_LARGEST_ENLARGED, _LONGEST_ENLARGED = 1 << 22, 1 << 28
"""Pixels of a frame, and of all frames, up to which a loop is shown larger than it is stored."""
_KEPT_BYTES = 1 << 28
"""Frames of a video that are held until it is their turn, at most."""


class Pictures(AbstractContextManager["Pictures"]):
    """The frames of one object, decoded one at a time. Use `open_pictures`."""

    def __init__(
        self,
        *,
        header: Dataset,
        layout: PixelLayout,
        transfer_syntax_uid: str,
        stack: ExitStack,
        read: Callable[[int], bytes] | None,
        decoder: Callable[[], FrameDecoder],
        video: Callable[[], Iterator[np.ndarray]],
    ) -> None:
        self.header, self.layout, self.transfer_syntax_uid = header, layout, transfer_syntax_uid
        self._stack, self._read, self._new_decoder, self._video = stack, read, decoder, video
        self._decoder: FrameDecoder | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def count(self) -> int:
        """Number of frames."""
        return self.layout.frames

    @property
    def representative(self) -> int:
        """The frame that stands for all, counted from 0: Representative Frame Number (0028,6010), or the middle."""
        number = elements.unsigned(self.header, "RepresentativeFrameNumber")
        return number - 1 if number and number <= self.count else self.count // 2

    def times(self) -> FrameTimes:
        """When each frame was taken."""
        return frame_times_ms(self.header, frames=self.count)

    def stored_jpeg(self, index: int) -> bytes | None:
        """The stored bytes of frame `index`, where they are a JPEG that browsers show in its right colours."""
        if self._read is None or self.transfer_syntax_uid not in JPEG:
            return None
        stream, layout = self._read(self._known(index)), self.layout
        shown = still.shown_by_browsers(
            stream, photometric=layout.photometric, rows=layout.rows, columns=layout.columns
        )
        return stream if shown else None

    def frame(self, index: int, look: Look = AS_STORED) -> np.ndarray:
        """Frame `index`, counted from 0, uint8 H x W x (1 | 3).

        Raises:
            BadInput: there is no such frame, or the look does not fit it.
            Undecodable: it is cut off or corrupt.
        """
        return next(self.frames([index], look))

    def frames(self, indices: Sequence[int], look: Look = AS_STORED) -> Iterator[np.ndarray]:
        """The frames with those indices, in that order; raises as `frame`. One is held at a time."""
        for index in indices:
            self._known(index)
        if self._read is None:
            yield from self._of_video(indices, look)
            return
        for index in indices:
            yield look.fitted(self._shown(self._read(index), look))

    def _known(self, index: int) -> int:
        if not 0 <= index < self.count:
            raise BadInput(f"there is no frame {index + 1}: the object has {self.count}")
        return index

    def _of_video(self, indices: Sequence[int], look: Look) -> Iterator[np.ndarray]:
        wanted, kept = Counter(indices), dict[int, np.ndarray]()
        order = iter(indices)
        next_one = next(order, None)
        for index, frame in enumerate(self._video()):
            if wanted[index]:
                kept[index] = frame
                if len(kept) > 1 and len(kept) * frame.nbytes > _KEPT_BYTES:
                    raise BudgetExceeded("too many frames of a video are asked for out of their order")
            while next_one in kept:
                yield look.fitted(kept[next_one])
                wanted[next_one] -= 1
                if not wanted[next_one]:
                    del kept[next_one]
                next_one = next(order, None)
            if next_one is None:
                return

    def _shown(self, stored: bytes, look: Look) -> np.ndarray:
        if self._decoder is None:
            self._decoder = self._new_decoder()
        decoder = self._decoder
        if look.window is None or self.layout.channels == 3:
            if decoder.needs_range:
                assert self._read is not None
                decoder.window = decoder.value_range(map(self._read, range(self.count)))
            return decoder.decode(stored)
        values, photometric = decoder.values(stored)
        slope = elements.decimal(self.header, "RescaleSlope") or 1.0
        shown = look.window.shown(values * slope + (elements.decimal(self.header, "RescaleIntercept") or 0.0))
        return (255 - shown if photometric == "MONOCHROME1" else shown)[..., None]


def open_pictures(
    path: Path,
    *,
    limits: LimitsSection,
    dataset_offset: int = 0,
    transfer_syntax_uid: str = "",
    table: FrameTable | None = None,
) -> Pictures:
    """The pictures of a Part 10 file. Nothing is decoded yet.

    With its offset, syntax and frame table known the pixels are not searched for again: that is several times as fast.

    Raises:
        UnreadableObject: no DICOM file, or its header cannot be parsed.
        BudgetExceeded: decoding it would need more than `limits` allow.
        Undecodable: it has no pictures, or they are cut off.
    """
    searched = SYNTAXES_DEFLATED | VIDEO | {EXPLICIT_BE}
    with ExitStack() as stack:
        if table is not None and table.count and dataset_offset and transfer_syntax_uid not in searched:
            head = read_header(
                path, offset=dataset_offset, transfer_syntax_uid=transfer_syntax_uid, limits=limits, whole=False
            )
            layout = layout_of(head.dataset)
            check_budget(layout, limits)
            if head.pixels is not None and head.pixels.tag == _INTEGERS and table.count >= layout.frames:
                return _by_table(path, head.dataset, layout, transfer_syntax_uid, table, stack.pop_all())
        source = stack.enter_context(open_pixels(path, limits=limits))
        return _by_source(source, stack.pop_all())


def rendered(pictures: Pictures, media_type: str, look: Look, indices: Sequence[int]) -> bytes:
    """The frames with those indices as one file of `media_type`; a still is of the first of them.

    A loop of several frames is a GIF or an MP4 that plays at the speed of the frame times.

    Raises:
        BadInput, Undecodable: as `Pictures.frames`, or a media type that is not in `STILLS` or `MOVING`.
    """
    if media_type in MOVING and (len(indices) > 1 or media_type not in STILLS):
        return _moving(pictures, media_type, look, indices)
    if media_type == "image/jpeg":
        if look == AS_STORED and (stream := pictures.stored_jpeg(indices[0])) is not None:
            return stream
        return still.jpeg(pictures.frame(indices[0], look), quality=look.quality)
    if media_type not in STILLS:
        raise Undecodable(f"pictures are not rendered as {media_type}")
    frame = pictures.frame(indices[0], look)
    return still.png(frame) if media_type == "image/png" else still.gif(frame)


def _moving(pictures: Pictures, media_type: str, look: Look, indices: Sequence[int]) -> bytes:
    _check_loop(pictures.layout, look, len(indices))
    edges = edges_ms(pictures.times(), indices)
    if media_type == "video/mp4":
        return animation.mp4(pictures.frames(indices, look), edges)
    schedule = animation.gif_schedule(edges)
    shown = [indices[each.index] for each in schedule]
    places = np.unique(np.linspace(0, len(shown) - 1, _SAMPLES).astype(int))
    samples = list(pictures.frames([shown[place] for place in places], look))
    return animation.gif(pictures.frames(shown, look), [each.ticks for each in schedule], samples=samples)


def _check_loop(layout: PixelLayout, look: Look, count: int) -> None:
    """A loop of thumbnails blown up would take the memory and the hours of one that nobody could have stored."""
    if look.viewport is None:
        return
    rows, columns = look.viewport.size_of(layout.rows, layout.columns)
    stored, shown = layout.rows * layout.columns, rows * columns
    if shown > stored and (shown > _LARGEST_ENLARGED or shown * count > _LONGEST_ENLARGED):
        raise BudgetExceeded(f"a loop of {count} frames is not enlarged to {columns} x {rows}")


def edges_ms(times: FrameTimes, indices: Sequence[int]) -> list[float]:
    """When each of the frames begins and the last one ends, from the first one on.

    A chosen frame is shown until the next chosen one where the two follow each other, and else for its own time: a
    gap that nobody asked to see is none.
    """
    ends = [*times.times_ms[1:], times.times_ms[-1] + times.interval_ms]
    edges = [0.0]
    for index in indices:
        edges.append(edges[-1] + float(ends[index] - times.times_ms[index]))
    return edges


def _by_table(
    path: Path, header: Dataset, layout: PixelLayout, syntax: str, table: FrameTable, stack: ExitStack
) -> Pictures:
    try:
        file = stack.enter_context(path.open("rb"))
    except OSError as error:
        raise Undecodable(f"the stored object cannot be opened: {error.strerror}") from error

    def read(index: int) -> bytes:
        return read_spans(file, [Span(offset, length) for offset, length in table.spans(index)])

    return Pictures(
        header=header,
        layout=layout,
        transfer_syntax_uid=syntax,
        stack=stack,
        read=read,
        decoder=lambda: FrameDecoder(header, layout, syntax),
        video=lambda: iter(()),
    )


def _by_source(source: PixelSource, stack: ExitStack) -> Pictures:
    return Pictures(
        header=source.header,
        layout=source.layout,
        transfer_syntax_uid=source.transfer_syntax_uid,
        stack=stack,
        read=None if source.is_video else source.frame_bytes,
        decoder=source.decoder,
        video=source.iter_frames,
    )
