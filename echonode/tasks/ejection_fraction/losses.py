"""Rank-N-Contrast: embeddings are ordered as their labels are (Zha et al., NeurIPS 2023; CoReEcho's first stage)."""

from __future__ import annotations

import torch


def rank_n_contrast(features: torch.Tensor, labels: torch.Tensor, *, temperature: float) -> torch.Tensor:
    """The loss of `features` (N, V, D), V views of each of N samples, with `labels` (N,) or (N, 1); a scalar.

    For anchor i and positive j the negatives are all k != i whose label is no nearer to i's than j's is, j among them:
    the mean over i and j of log sum exp(s_ik) - s_ij, with s the negative Euclidean distance over the temperature.
    Computed in float64 by cumulative log-sum-exp along sorted label distances: finite for any finite features, O(n^2).

    Raises:
        ValueError: fewer than two embeddings, or another number of labels.
    """
    samples, views, width = features.shape
    if samples * views < 2 or labels.numel() != samples:
        raise ValueError(f"two embeddings or more and one label a sample are expected, not {tuple(features.shape)}")
    z = features.transpose(0, 1).reshape(samples * views, width).double()
    y = labels.reshape(-1).repeat(views)  # in its own precision, in which distances are equal or not
    count = len(z)
    others = ~torch.eye(count, dtype=torch.bool, device=z.device)
    similarity = -torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist") / temperature
    s = similarity[others].view(count, count - 1)
    d = (y[:, None] - y[None, :]).abs()[others].view(count, count - 1)
    d, order = d.sort(dim=1, descending=True, stable=True)
    s = s.gather(1, order)
    totals = torch.logcumsumexp(s, dim=1)
    # Equal distances are negatives of each other: each of them takes the total at the last of them.
    last = torch.searchsorted(-d, -d, side="right") - 1
    return (totals.gather(1, last) - s).mean().to(features.dtype)
