"""The decoder process: what goes wrong in there is an answer here."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from echonode.archive.blobs import LocalBlobs
from echonode.core.errors import BudgetExceeded, NotFound, Undecodable
from echonode.core.settings import LimitsSection
from echonode.dicom.storage import EXPLICIT_LE
from echonode.flow.decoding import Decoder, _end_process
from tests.support.waiting import process_is_alive, wait_until


@pytest.fixture
def loop() -> Path:
    path = get_testdata_file("examples_ybr_color.dcm")
    assert path is not None
    return Path(str(path))


def test_a_decoder_that_is_killed_is_started_again(loop: Path, tmp_path: Path) -> None:
    decoder = Decoder(limits=LimitsSection(), blobs=LocalBlobs(tmp_path))
    try:
        with decoder.transcoded(loop, EXPLICIT_LE) as decoded:
            assert decoded.stat().st_size > loop.stat().st_size
        assert not decoded.exists()
        assert decoder._process is not None
        first = decoder._process.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not process_is_alive(first), "the decoder is dead")
        with decoder.transcoded(loop, EXPLICIT_LE) as decoded:
            assert decoded.exists()
    finally:
        decoder.close()
    assert decoder._process is None


def test_a_decode_that_takes_too_long_is_given_up_and_leaves_nothing(loop: Path, tmp_path: Path) -> None:
    decoder = Decoder(limits=LimitsSection(), blobs=LocalBlobs(tmp_path), seconds=0.001)
    with pytest.raises(Undecodable, match="too long"), decoder.transcoded(loop, EXPLICIT_LE):
        pass
    assert decoder._process is None
    assert not list(tmp_path.rglob("*.part"))


def test_reasons_come_back(loop: Path, tmp_path: Path) -> None:
    tight = LimitsSection(frame_bytes=1 << 20, decoded_bytes=1 << 20)
    decoder = Decoder(limits=tight, blobs=LocalBlobs(tmp_path))
    junk = tmp_path / "junk"
    junk.write_bytes(b"no dicom at all")
    try:
        with pytest.raises(BudgetExceeded, match="limits"), decoder.transcoded(loop, EXPLICIT_LE):
            pass
        with pytest.raises(Undecodable), decoder.transcoded(junk, EXPLICIT_LE):
            pass
    finally:
        decoder.close()


def test_frames_come_in_the_order_asked_for_and_leave_no_file(loop: Path, tmp_path: Path) -> None:
    decoder = Decoder(limits=LimitsSection(), blobs=LocalBlobs(tmp_path))
    try:
        file, lengths = decoder.frames(loop, EXPLICIT_LE, (3, 0, 3))
        with file:
            frames = [file.read(length) for length in lengths]
            assert not file.read(1)
        assert frames[0] == frames[2] != frames[1]
        with pytest.raises(NotFound, match="30 frames"):
            decoder.frames(loop, EXPLICIT_LE, (30,))
        assert not list(tmp_path.rglob("*.part"))
    finally:
        decoder.close()


def test_the_process_ends_with_its_owner(loop: Path, tmp_path: Path) -> None:
    """An application that is dropped leaves no decoder behind."""
    decoder = Decoder(limits=LimitsSection(), blobs=LocalBlobs(tmp_path))
    decoder.object(loop, EXPLICIT_LE).close()
    assert decoder._process is not None
    process = decoder._process.pid
    del decoder
    gc.collect()
    assert not process_is_alive(process)


def test_words_that_are_no_answer_are_never_taken_for_one(loop: Path, tmp_path: Path) -> None:
    """A codec that prints would otherwise shift every later answer to somebody else's job."""
    decoder = Decoder(limits=LimitsSection(), blobs=LocalBlobs(tmp_path))
    try:
        with decoder.transcoded(loop, EXPLICIT_LE):
            pass
        assert decoder._process is not None
        talkative = subprocess.Popen(
            [sys.executable, "-c", "input(); print('warning', flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        decoder.close()
        decoder._process, decoder._finalizer = talkative, weakref.finalize(decoder, _end_process, talkative)
        with pytest.raises(Undecodable), decoder.transcoded(loop, EXPLICIT_LE):
            pass
        assert not process_is_alive(talkative.pid)
        with decoder.transcoded(loop, EXPLICIT_LE) as decoded:
            assert decoded.stat().st_size > loop.stat().st_size
    finally:
        decoder.close()
