"""The networks: layouts, statistics, dropout, and the fast form against the plain one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from echonode.tasks.common.parity import filled
from echonode.tasks.mmode.folded import FoldedQuickNat
from echonode.tasks.mmode.net import QuickNat, build, use_statistics
from echonode.tasks.mmode.networks import Networks, Sampling


@pytest.fixture(scope="module")
def network() -> QuickNat:
    torch.set_num_threads(1)
    found = filled(build("quicknat"))
    assert isinstance(found, QuickNat)
    return found


def _pictures(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(8).random(shape, dtype=np.float32))


@pytest.mark.parametrize("shape", [(1, 1, 48, 64), (2, 1, 37, 53)])
def test_fast_form_gives_the_plain_numbers(network: QuickNat, shape: tuple[int, ...]) -> None:
    """Odd sizes too: unpooling must restore them."""
    use_statistics(network, "stored")
    pictures = _pictures(*shape)
    with torch.inference_mode():
        torch.testing.assert_close(FoldedQuickNat(network)(pictures), network(pictures), atol=1e-5, rtol=0)


def test_statistics_of_the_window_leave_the_stored_ones_alone(network: QuickNat) -> None:
    """A runner that changed its weights by running would give another number the next time."""
    before = {key: value.clone() for key, value in network.state_dict().items()}
    pictures = _pictures(1, 1, 48, 48)
    with torch.inference_mode():
        stored = network(pictures)
        use_statistics(network, "batch")
        of_window = network(pictures)
        use_statistics(network, "stored")
        again = network(pictures)
    assert torch.equal(stored, again)
    assert not torch.allclose(stored, of_window)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_scale_of_the_input_hardly_matters_with_its_own_statistics(network: QuickNat) -> None:
    """Why the authors did not notice that they feed 0 to 255; with stored statistics the same gives nonsense."""
    pictures = _pictures(1, 1, 48, 48)
    with torch.inference_mode():
        off = (network(pictures) - network(255 * pictures)).abs().max()
        use_statistics(network, "batch")
        off_with_own = (network(pictures) - network(255 * pictures)).abs().max()
        use_statistics(network, "stored")
    assert off > 1
    assert off_with_own < 0.01


def test_samples_differ_and_come_again_from_their_seed(network: QuickNat) -> None:
    """An uncertainty that nobody can reproduce is none."""

    def sampled(seed: int) -> list[np.ndarray]:
        networks = Networks(
            segmenter=network, judges=[], device=torch.device("cpu"), sampling=Sampling(samples=2, seed=seed)
        )
        window = 255 * _pictures(32, 32).double().numpy()
        found = networks.cavity([window], mode="mc", preparation="clinical", told=lambda: None)
        return [answers[0] for answers in found]

    first, again, other = sampled(1), sampled(1), sampled(2)
    assert len(first) == 2
    assert np.abs(first[0] - first[1]).max() > 1e-6
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.array(first) - np.array(other)).max() > 1e-6
    assert network.dropout.generator is None, "nothing is dropped after sampling"


def test_half_precision_moves_no_probability_far(network: QuickNat) -> None:
    """A package may ask for it; the outline must stay where it is."""
    windows = [255 * _pictures(64, 64).double().numpy()]

    def asked(precision: torch.dtype) -> np.ndarray:
        networks = Networks(
            segmenter=network, judges=[], device=torch.device("cpu"), sampling=Sampling(), precision=precision
        )
        (found,) = networks.cavity(windows, mode="reference", preparation="clinical", told=lambda: None)
        return found[0]

    assert np.abs(asked(torch.bfloat16) - asked(torch.float32)).max() < 0.02


def test_ensemble_is_the_mean_of_its_probabilities() -> None:
    torch.set_num_threads(1)
    judges = [build("cardionet"), build("cardionet")]
    for judge, logit in zip(judges, (-2.0, 4.0), strict=True):
        with torch.no_grad():
            judge.linear.weight.zero_()
            judge.linear.bias.fill_(logit)
    networks = Networks(segmenter=None, judges=judges, device=torch.device("cpu"), sampling=Sampling())  # type: ignore[arg-type]
    (found,) = networks.quality([np.zeros((256, 256))], mode="reference", preparation="clinical")
    assert found == pytest.approx((1 / (1 + np.exp(2)) + 1 / (1 + np.exp(-4))) / 2, abs=1e-6)


@pytest.mark.parametrize(("name", "config"), [("unet", {}), ("quicknat", {"filters": 32})])
def test_unknown_architecture_or_argument_is_refused(name: str, config: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"architecture|argument"):
        build(name, **config)
