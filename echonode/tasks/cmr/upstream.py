"""Reading the authors' files: a bare state dict under the prefix of their training module, one view and one finding.

The six published files are known by their digests, so that view and finding need not be typed; of any other file the
user says them. There is no released model of T1, T2 or extracellular volume.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save_file

from echonode.core.errors import CheckpointRefused
from echonode.tasks.cmr.net import build
from echonode.tasks.cmr.quantities import OF_MRI, QUANTITIES
from echonode.tasks.common.checkpoint import checked_state, load_published, outline, shapes_of, without_prefix
from echonode.tasks.common.inputs import PREPARATIONS

PREFIXES: Final = ("m.", "model.", "module.", "backbone.")
VIEWS: Final = ("A4C", "A2C", "PLAX")
OPTIONS: Final = ("view", "finding", "threshold", "field_strength")
DYNAMIC: Final = frozenset({"period", "frames", "opt_dict"})
WRAPPER: Final = frozenset({"state_dict", "epoch", "global_step", "pytorch-lightning_version", "hyper_parameters",
                            "optimizer_states", "lr_schedulers", "callbacks", "loops"})  # fmt: skip
TRAINED_ON: Final = "echo and cardiac MRI of 1,453 adults of one hospital, within 30 days of each other"
INTENDED_USE: Final = {
    "wall-motion": "research use only, not for diagnosis; authors' AUC 0.873, all views together",
    "scar": "research use only, not for diagnosis; authors' AUC 0.699, all views together, and their conclusion: "
    "tissue cannot be read reliably from echo",
}
UNRELEASED: Final = "research use only, not for diagnosis; authors: tissue cannot be read reliably from echo"


@dataclass(frozen=True, slots=True)
class Published:
    """One of the released files: its name, as the authors spell it, and what it answers."""

    file: str
    view: str
    finding: str


PUBLISHED: Final[Mapping[str, Published]] = {
    "c7aa4700cef5355affe1090bed56ca8dafca75eb080ab2f98d7ecdeb058b8483": Published(
        "A4C_WallMotoion.pt", "A4C", "wall-motion"
    ),
    "d6d262eb659c7e078dc742bd12714acf3167c77385de33ef915ec67f81363f4e": Published(
        "A2C_WallMotoion.pt", "A2C", "wall-motion"
    ),
    "b93676102e141033aeea881115b4cca14f7607f51d8eb84bdcf7a126cb114258": Published(
        "PLAX_WallMotoion.pt", "PLAX", "wall-motion"
    ),
    "8bb5edff56ce4c78df9d8506c6ac50ae5f6537f752e74479bb44df11de197202": Published("A4C_Scar.pt", "A4C", "scar"),
    "a19b1b62ca79e93cfc38a2d014858b2e9f38032f551bab563cfd1e39de8cb230": Published("A2C_Scar.pt", "A2C", "scar"),
    "4a19975a97ba47eadf6ce6309fc811f938c168f843ad436aec2c67529248ab51": Published("PLAX_Scar.pt", "PLAX", "scar"),
}


def import_cmr(source: Path, folder: Path, options: Mapping[str, str]) -> dict[str, Any]:
    """Write classifier.safetensors into `folder`; the manifest's tables come back.

    Options: `view` (A4C, A2C, PLAX) and `finding` (wall-motion, scar; native-t1 and t2 in ms, ecv in percent, of which
    none was published), which a published file knows itself; `threshold`, a probability from which on a result is called
    positive, none unless the site sets one; `field_strength`, in tesla, of a native T1.

    Raises:
        CheckpointRefused: an option is unknown, missing or contradicts the file, or it is not such a checkpoint.
    """
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise CheckpointRefused(f"cmr-r2plus1d takes no option {', '.join(unknown)}; it takes: {', '.join(OPTIONS)}")
    with source.open("rb") as file:
        known = PUBLISHED.get(hashlib.file_digest(file, "sha256").hexdigest())
    view = _chosen("view", options, known.view if known else None, VIEWS)
    finding = _chosen("finding", options, known.finding if known else None, OF_MRI)
    content = load_published(source)
    state: object = content
    if "state_dict" in content:
        names = {str(key) for key in content}
        if names & DYNAMIC:
            raise CheckpointRefused("is EchoNet-Dynamic's file of ejection fraction: import it as echonet-dynamic")
        if surplus := sorted(names - WRAPPER):
            raise CheckpointRefused(f"has surplus {', '.join(name[:60] for name in surplus[:4])}")
        state = content["state_dict"]
    bare = without_prefix(state, PREFIXES, where="state_dict")
    sound = checked_state(bare, shapes_of(outline(partial(build, "r2plus1d-18"))), where="state_dict")
    path = folder / "classifier.safetensors"
    save_file(sound, path)
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    quantity = QUANTITIES[finding]
    if "threshold" in options and not quantity.probability:
        raise CheckpointRefused(f"threshold: {finding} is no probability")
    if "field_strength" in options and finding != "native-t1":
        raise CheckpointRefused(f"field_strength: {finding} does not depend on it")
    own = {"threshold": _probability(options["threshold"])} if "threshold" in options else {}
    if "field_strength" in options:
        own["field_strength_t"] = _tesla(options["field_strength"])
    words = finding.replace("-", " ")
    return {
        "title": f"CMR {words} from {view}",
        "architecture": {"classifier": "r2plus1d-18"},
        "config": {"finding": finding, "view": view, "frames": 16, "stride": 2, "period_ms": 2000.0 / 30} | own,
        "preparation": "published",
        "preparations": list(PREPARATIONS),
        "evaluated": ["published"] if known else [],
        "input": {
            "modes": ["2d", "unknown"], "views": [view], "frames_min": 12, "frame_gap_ms_max": 50.0, "colour": False,
            "species": ["human"], "age_years_min": 18, "tte_only": True, "frames_per_beat_min": 12,
        },
        "output": [{"name": f"probability of {words} on cardiac MRI" if quantity.probability else quantity.concept.meaning,
                    "unit": quantity.unit.value}],
        "trained_on": TRAINED_ON if known else "not stated; the file is none of the published ones",
        "intended_use": INTENDED_USE.get(finding, UNRELEASED),
    }  # fmt: skip


def _chosen(name: str, options: Mapping[str, str], known: str | None, allowed: tuple[str, ...]) -> str:
    said = options.get(name)
    if said is not None and said not in allowed:
        raise CheckpointRefused(f"{name}: {', '.join(allowed)} is expected, not {said[:40]!r}")
    if known is not None and said not in (None, known):
        raise CheckpointRefused(f"{name}: the file is the published one for {known}, not for {said}")
    found = known or said
    if found is None:
        raise CheckpointRefused(f"is none of the published files: {name} must be said, {name}={'|'.join(allowed)}")
    return found


def _tesla(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 12:
        raise CheckpointRefused(f"field_strength: tesla are expected, as 1.5, not {text[:40]!r}")
    return value


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise CheckpointRefused(f"threshold: a number between 0 and 1 is expected, not {text[:40]!r}")
    return value
