"""What processes say of themselves is readable by the others, and survives them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from echonode.archive import vitals
from echonode.archive.vitals import VitalsWriter, fold_vitals, read_vitals
from echonode.core.tally import Tally

OTHER = """
import sys
from pathlib import Path
from echonode.archive.vitals import VitalsWriter
from echonode.core.tally import Tally
tally = Tally()
tally.count("objects", "dimse", "stored", by=7)
tally.count("associations_open", by=2)
VitalsWriter(Path(sys.argv[1]), role="acceptor", tally=tally).write()
"""


def another_process(root: Path) -> None:
    subprocess.run([sys.executable, "-c", OTHER, str(root)], check=True, timeout=60)


def totals(root: Path) -> dict[str, float]:
    return {row[0]: row[2] for row in read_vitals(root).counts}


def test_a_process_is_seen_while_it_lives(tmp_path: Path) -> None:
    tally = Tally()
    with VitalsWriter(tmp_path, role="worker", tally=tally, report=lambda: {"executor": {"slots": []}}).keeping():
        tally.pulse()
    (process,) = read_vitals(tmp_path).of("worker")
    assert process.pulsed_at > 0
    assert process.reports == {"executor": {"slots": []}}
    assert read_vitals(tmp_path).of("acceptor") == []


def test_a_killed_process_is_gone_but_what_it_counted_stays(tmp_path: Path) -> None:
    another_process(tmp_path)
    assert read_vitals(tmp_path).of("acceptor") == []
    assert totals(tmp_path) == {"objects": 7}, "what it had open is open no more"


def test_folding_changes_no_sum_however_often_and_leaves_no_files(tmp_path: Path) -> None:
    for round_number in (1, 2, 3):
        another_process(tmp_path)
        assert fold_vitals(tmp_path) == 1
        assert totals(tmp_path) == {"objects": 7 * round_number}
    assert fold_vitals(tmp_path) == 0
    assert [path.name for path in (tmp_path / vitals.FOLDER).iterdir()] == [vitals.PAST]


def test_a_fold_that_was_cut_short_counts_nobody_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    another_process(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda *_args, **_kwargs: (_ for _ in ()).throw(OSError("killed here")))
        with pytest.raises(OSError, match="killed"):
            fold_vitals(tmp_path)
    assert totals(tmp_path) == {"objects": 7}
    assert fold_vitals(tmp_path) == 1
    assert totals(tmp_path) == {"objects": 7}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"role": 1}'])
def test_a_damaged_file_hides_nobody_else(tmp_path: Path, content: str) -> None:
    VitalsWriter(tmp_path, role="web", tally=Tally()).write()
    (tmp_path / vitals.FOLDER / "process-1-1.json").write_text(content)
    (tmp_path / vitals.FOLDER / vitals.PAST).write_text(content)
    assert len(read_vitals(tmp_path).of("web")) == 1


def test_a_disk_that_takes_no_writes_does_not_stop_the_process(tmp_path: Path) -> None:
    (tmp_path / vitals.FOLDER).write_text("a file where the folder should be")
    with VitalsWriter(tmp_path, role="web", tally=Tally()).keeping():
        pass
    assert read_vitals(tmp_path).processes == ()
    assert json.dumps(read_vitals(tmp_path).counts) == "[]"
