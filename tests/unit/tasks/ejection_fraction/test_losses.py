"""Rank-N-Contrast must never be infinite: a training would end in no numbers."""

from __future__ import annotations

import math

import pytest
import torch

from echonode.tasks.ejection_fraction.losses import rank_n_contrast


def _by_definition(z: torch.Tensor, y: torch.Tensor, temperature: float) -> torch.Tensor:
    count = len(z)
    terms = []
    for i in range(count):
        for j in range(count):
            if j == i:
                continue
            against = [k for k in range(count) if k != i and abs(y[i] - y[k]) >= abs(y[i] - y[j])]
            s = torch.stack([-(z[i] - z[k]).norm() / temperature for k in against])
            terms.append(torch.logsumexp(s, 0) + (z[i] - z[j]).norm() / temperature)
    return torch.stack(terms).mean()


@pytest.mark.parametrize("labels", [[1.0, 2.0, 4.0, 8.0], [3.0, 3.0, 5.0, 3.0], [7.0, 7.0, 7.0, 7.0]])
def test_it_is_the_definition_with_ties(labels: list[float]) -> None:
    features = torch.from_numpy(torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(3)).double().numpy())
    features.requires_grad_()
    z, y = features.transpose(0, 1).reshape(8, 5), torch.tensor(labels).repeat(2)
    expected = _by_definition(z, y, 0.7)
    found = rank_n_contrast(features, torch.tensor(labels), temperature=0.7)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(torch.autograd.grad(found, features)[0], torch.autograd.grad(expected, features)[0])


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e3, 1e6, 1e30])
def test_loss_and_gradient_are_finite_whatever_the_distances(scale: float) -> None:
    """The authors' own form underflows from distances of about 103 temperatures on."""
    features = (torch.randn(6, 2, 4, generator=torch.Generator().manual_seed(1)) * scale).requires_grad_()
    loss = rank_n_contrast(features, torch.arange(6.0), temperature=1.0)
    (gradient,) = torch.autograd.grad(loss, features)
    assert math.isfinite(loss.item())
    assert bool(gradient.isfinite().all())


def test_one_embedding_has_nothing_to_be_contrasted_with() -> None:
    with pytest.raises(ValueError, match="two embeddings"):
        rank_n_contrast(torch.ones(1, 1, 4), torch.ones(1), temperature=1.0)
    with pytest.raises(ValueError, match="one label"):
        rank_n_contrast(torch.ones(2, 2, 4), torch.ones(4), temperature=1.0)
