"""A test that is killed: what is done twice, or taken from other weights, would cost hours or give a wrong card."""

from __future__ import annotations

from pathlib import Path

from echonode.tasks.segmentation.evaluate.cases import Cases, Ejection, Overlap, Steadiness, Volumes
from echonode.tasks.segmentation.evaluate.kept import Kept

CASES = Cases(
    overlaps=(Overlap(patient="a", view="A4C", phase="ED", structure="LV cavity", dice=0.9, hausdorff_mm=3.0),),
    volumes=(
        Volumes(patient="a", method="biplane", found=Ejection.of(100, 40), truth=Ejection.of(98, 41),
                observer=Ejection.of(99, 40)),
    ),
    steadiness=(
        Steadiness(patient="a", view="A4C", ed_ms=(3.0,), es_ms=(), roughness=0.01, reference_roughness=0.02),
    ),
    refused=("b: nothing moves",),
)  # fmt: skip


def test_what_was_kept_comes_back_for_the_same_weights_alone(tmp_path: Path) -> None:
    Kept(tmp_path / "tested", mark="one").write("a", [CASES])
    assert Kept(tmp_path / "tested", mark="one").read("a") == [CASES]
    assert Kept(tmp_path / "tested", mark="two").read("a") is None
    assert Kept(tmp_path / "tested", mark="one").read("b") is None


def test_a_damaged_file_is_done_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path, mark="one")
    kept.write("a", [CASES])
    next(tmp_path.glob("*.json")).write_text("[{")
    assert kept.read("a") is None
