"""From the authors' files to pictures and areas: `models import`, `run synthesis`, `run segmentation`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from echonode.cli.main import execute
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.tasks.common.parity import by_rule, filled
from echonode.tasks.common.sector_rule import label_map
from echonode.tasks.segmentation import net as segmentation_net
from echonode.tasks.segmentation.prepare import Normalisation, published_labels, published_picture
from echonode.tasks.synthesis.blocks import Labels
from echonode.tasks.synthesis.diffusion import Denoiser, Diffusion
from echonode.tasks.synthesis.net import build
from echonode.tasks.synthesis.noise import SeededNoise, image_seed
from echonode.tasks.synthesis.prepare import as_levels, one_hot, resized_labels
from echonode.tasks.synthesis.samplers import walk
from echonode.tasks.synthesis.schedule import noise_schedule

TINY = {"image_size": 64, "model_channels": 32, "num_head_channels": 32}
SAID = ("-o", "num_head_channels=32", "-o", "view=4CH_ED")
REAL = "ultrasound/adult_xario/I_000031.dcm"

Run = Callable[..., tuple[int, str, str]]
State = dict[str, Any]


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        torch.set_num_threads(1)
        code = execute([str(argument) for argument in arguments])
        streams = capsys.readouterr()
        return code, streams.out, streams.err

    return call


@pytest.fixture(scope="module")
def denoiser_state() -> State:
    return by_rule(build("sdm-unet", **TINY))


@pytest.fixture(scope="module")
def unet_state() -> State:
    return {f"_orig_mod.{key}": value for key, value in by_rule(segmentation_net.build("camus-unet")).items()}


@pytest.mark.slow
def test_a_diffusion_file_makes_the_vectors_own_picture(run: Run, denoiser_state: State, tmp_path: Path) -> None:
    """The EMA file's picture through the command line is what the parity path's own parts make, step by step."""
    file, models = tmp_path / "ema_0.9999_050000.pt", tmp_path / "models"
    # As training writes it: slices of one storage that want gradients.
    master = torch.cat([value.reshape(-1) for value in denoiser_state.values()]).requires_grad_()
    sizes = [value.numel() for value in denoiser_state.values()]
    slices = zip(denoiser_state.items(), master.split(sizes), strict=True)
    torch.save({key: part.view(value.shape) for (key, value), part in slices}, file)
    code, _, errors = run(
        "models", "import", "sdm", file, "--name", "tiny", "--into", models, *SAID, "-o", "licence=MIT"
    )
    assert code == 0, errors
    labels = label_map(150, 120, 7).astype(np.uint8)
    path = tmp_path / "patient0007_4CH_ED_training.png"
    Image.fromarray(labels).save(path)
    code, out, errors = run(
        "run", "synthesis", path, "--model", models / "tiny", "--steps", 3, "--seed", 5, "--device", "cpu", "--json",
        "--out", tmp_path / "seen",
    )  # fmt: skip
    assert code == 0, errors
    document = json.loads(out)
    assert document["seed"] == image_seed(5, name=path.name)
    one = one_hot(resized_labels(labels, 64), 5)
    diffusion = Diffusion(noise_schedule("cosine", 1000, respacing="3"))
    with torch.inference_mode():
        denoiser = Denoiser(filled(build("sdm-unet", **TINY)), diffusion, Labels(one))
        noise = SeededNoise([document["seed"]], (3, 64, 64), torch.device("cpu"))
        expected = as_levels(list(walk(denoiser, noise, sampler="ancestral"))[-1])[0]
    assert document["mean_level"] == pytest.approx(float(expected.mean()), abs=0.01)
    assert np.asarray(Image.open(document["picture"])).shape == (256, 256, 3)
    code, _, errors = run("run", "synthesis", path, "--model", models / "tiny", "--guidance", 2)
    assert code == 2
    assert "without dropped labels" in errors
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert digest in (models / "tiny" / "manifest.toml").read_text()


@pytest.mark.slow
def test_a_segmentation_file_gives_the_networks_own_areas(
    run: Run, unet_state: State, shared_data: Path, tmp_path: Path
) -> None:
    file, models = tmp_path / "model.pth", tmp_path / "models"
    torch.save(unet_state, file)
    code, _, errors = run("models", "import", "camus-unet", file, "--name", "seg", "--into", models)
    assert code == 0, errors
    source = shared_data / REAL
    code, out, errors = run(
        "run", "segmentation", source, "--model", models / "seg", "--view", "A4C", "--frames", "0,3", "--device", "cpu",
        "--labels", tmp_path / "labels", "--json",
    )  # fmt: skip
    assert code == 0, errors
    (reading,) = json.loads(out)["readings"]
    clip = read_clip(source, limits=LimitsSection())
    network = filled(segmentation_net.build("camus-unet"))
    picture = published_picture(clip.frames[3])
    with torch.inference_mode():
        codes = network(Normalisation().tensor(picture[None])).argmax(1)[0].to(torch.uint8).numpy()
    expected = published_labels(codes, clip.frames.shape[1:3])
    areas = reading["details"]["areas"]
    assert areas["lv_cavity"]["px"][1] == pytest.approx(int((expected == 1).sum()), abs=3)
    assert areas["left_atrium"]["cm2"][1] > 0
    written = [np.asarray(Image.open(path)) for path in reading["details"]["label_maps"]]
    assert len(written) == 2
    assert (written[1] != expected).mean() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "fault", "says"),
    [
        ("sdm", "bomb", "never unpickled"),
        ("sdm", "cut", "damaged or cut off"),
        ("sdm", "other", "no semantic diffusion network"),
        ("sdm", "missing", "lacks out.2.bias"),
        ("sdm", "surplus", "has surplus extra"),
        ("sdm", "nan", "no finite number"),
        ("camus-unet", "bomb", "never unpickled"),
        ("camus-unet", "cut", "damaged or cut off"),
        ("camus-unet", "other", "lacks"),
        ("camus-unet", "missing", "lacks model.2.conv.bias"),
        ("camus-unet", "surplus", "has surplus extra"),
        ("camus-unet", "nan", "no finite number"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line_and_leaves_nothing(
    kind: str, fault: str, says: str, run: Run, denoiser_state: State, unet_state: State, tmp_path: Path
) -> None:
    state = dict(denoiser_state if kind == "sdm" else unet_state)
    last = next(reversed(state))
    content: object = state
    if fault == "bomb":
        content = state | {"bomb": Bomb(tmp_path / "exploded")}
    elif fault == "other":
        content = unet_state if kind == "sdm" else denoiser_state
    elif fault == "missing":
        del state[last]
    elif fault == "surplus":
        state[f"{last.rpartition('model.2')[0] if kind != 'sdm' else ''}extra"] = torch.ones(1)
    elif fault == "nan":
        state[last] = torch.full_like(state[last], float("nan"))
    file, models = tmp_path / "file.pt", tmp_path / "models"
    torch.save(content, file)
    if fault == "cut":
        file.write_bytes(file.read_bytes()[:-2000])
    options = SAID if kind == "sdm" else ()
    code, _, errors = run("models", "import", kind, file, "--name", "m", "--into", models, *options)
    assert code != 0
    assert says in errors
    assert len(errors.strip().splitlines()) == 1
    assert not (tmp_path / "exploded").exists()
    assert not models.exists()
