"""Networks and what they are minimised by, as one module: a batch in, weighted losses out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import nn

from echonode.tasks.ejection_fraction.compact import STEP, CompactUniFormer, Seen
from echonode.tasks.ejection_fraction.losses import rank_n_contrast


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """What each loss weighs; `temperature` is Rank-N-Contrast's, `detached` keeps L1 from the encoder.

    `steady`: the regressor's batch norms use their running statistics in training too; those of a small batch are so
    noisy that the regressor shrinks its answers.
    """

    error: float
    contrast: float
    temperature: float
    detached: bool
    cells: float = 0.0
    course: float = 0.0
    steady: bool = False


class Learner(nn.Module):
    """`networks` holds encoder and regressor, and beside a compact encoder what reads the cavity: cells and course.

    Stage 1 trains all of them, stage 2 the regressor alone, on an encoder that is evaluated and not changed.
    """

    def __init__(self, networks: nn.ModuleDict, weights: Weights, *, stage: int) -> None:
        super().__init__()
        self.networks, self._weights, self._stage = networks, weights, stage
        for name, part in networks.items():
            part.requires_grad_(stage == 1 or name == "regressor")
        head = getattr(networks["encoder"], "head", None)
        if isinstance(head, nn.Module):
            head.requires_grad_(False)  # the published encoder carries one that nothing here uses

    def train(self, mode: bool = True) -> Learner:
        """As usual, but the frozen parts stay as they are evaluated."""
        super().train(mode)
        if self._stage == 2:
            for name, part in self.networks.items():
                part.train(mode and name == "regressor")
        if self._weights.steady:
            for module in self.networks["regressor"].modules():
                if isinstance(module, nn.BatchNorm1d):
                    module.eval()
        return self

    def forward(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The losses by name; clips are (samples, views, 3, T, H, W), `ef` (samples, views)."""
        weights, encoder = self._weights, self.networks["encoder"]
        clips, truth = batch["clip"].flatten(0, 1), batch["ef"]
        seen: Seen | None = None
        with torch.set_grad_enabled(self._stage == 1 and torch.is_grad_enabled()):
            if isinstance(encoder, CompactUniFormer):
                seen = encoder.seen(clips)
                embedding = seen.embedding
            else:
                embedding = encoder(clips)[1]
        with torch.autocast(clips.device.type, enabled=False):
            embedding = embedding.float()
            read = embedding.detach() if weights.detached else embedding
            losses = {
                "error": weights.error * functional.l1_loss(self.networks["regressor"](read)[:, 0], truth.flatten())
            }
            if self._stage == 2:
                return losses
            if weights.contrast:
                views = embedding.view(*truth.shape, -1)
                losses["contrast"] = weights.contrast * rank_n_contrast(
                    views, truth[:, 0], temperature=weights.temperature
                )
            if seen is not None:
                losses |= self._cavity(seen, batch)
        return losses

    def _cavity(self, seen: Seen, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Where the cavity is, and its area and volume through the beat; of clips that do not know them, nothing."""
        cells, course = batch["cells"].flatten(0, 1), batch["course"].flatten(0, 1)
        known = (cells >= 0).flatten(1).all(dim=1).float()
        share = known / known.sum().clamp(min=1)
        shown = self.networks["cells"](seen.cells.flatten(0, 1).float())[:, 0].view(cells.shape)
        close = functional.binary_cross_entropy_with_logits(shown, cells.clamp(min=0), reduction="none")
        run = self.networks["course"](seen.course)
        run = run.view(*run.shape[:2], 2, STEP).transpose(1, 2).flatten(2)
        area, volume = run[:, 0], run[:, 1] - run[:, 1].mean(dim=1, keepdim=True)
        apart = (area - course[:, 0]).abs().mean(dim=1) + 4 * (volume - course[:, 1]).abs().mean(dim=1)
        return {
            "cells": self._weights.cells * (share * close.flatten(1).mean(dim=1)).sum(),
            "course": self._weights.course * (share * apart).sum(),
        }
