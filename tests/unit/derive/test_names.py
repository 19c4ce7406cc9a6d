"""Names that a retry does not keep make a second object of every result in the study; names that collide lose one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from echonode.core.package import Package
from echonode.derive.names import result_names


def package(**changes: Any) -> Package:
    values: dict[str, Any] = {
        "name": "optical-flow", "version": "1.0", "task": "slow_motion", "title": "t", "folder": Path(), "digest": "aa",
    }  # fmt: skip
    return Package(**(values | changes))


def test_a_uid_names_one_content() -> None:
    base: dict[str, Any] = {
        "study_uid": "1.2", "source_uid": "1.2.3", "pixel_digest": "d", "package": package(),
        "parameters": {"factor": 4},
    }  # fmt: skip
    first = result_names("slow-motion", **base)
    assert first == result_names("slow-motion", **base)
    assert len(first.sop_instance_uid) <= 64
    others = [
        result_names("slow-motion", **(base | change))
        for change in (
            {"study_uid": "1.3"},
            {"source_uid": "1.2.4"},
            {"pixel_digest": "e"},
            {"package": package(digest="bb")},
            {"package": package(version="1.1")},
            {"parameters": {"factor": 2}},
            {"index": 1},
            {"revision": 1},
        )
    ]
    assert len({names.sop_instance_uid for names in (first, *others)}) == len(others) + 1
    assert result_names("slow-motion", **(base | {"package": package(digest="bb")})).series_uid == first.series_uid
