"""`echonode train slow-motion`: the refinement of classical flow, or with --recipe published the authors' Super SloMo."""

from __future__ import annotations

from echonode.training.arguments import TrainingArguments, TrainingResult


def main(arguments: TrainingArguments) -> TrainingResult:
    """Train what the recipe's edition says."""
    if arguments.recipe == "published":
        from echonode.tasks.slow_motion.train.superslomo import main as published

        return published(arguments)
    from echonode.tasks.slow_motion.train.refine import main as sound

    return sound(arguments)
