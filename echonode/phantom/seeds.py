"""One number for every draw of a cohort, so that no two studies of any two cohorts ever share one."""

from __future__ import annotations

import numpy as np

from echonode.core.errors import BadInput

SEED_BITS, INDEX_BITS, PART_BITS = 31, 24, 8
PATIENT, SCANNER, STRESS = 0, 1, 2
FIRST_OBJECT = 16
"""Parts below are the study's own; objects are counted from here."""
_COHORT_STREAM = 303


def seed_of(cohort_seed: int, index: int, part: int) -> int:
    """The seed of one part of one study: below 2**63, and different for every (cohort seed, index, part).

    Raises:
        BadInput: one of them does not fit into its bits.
    """
    for name, value, bits in (
        ("seed of a cohort", cohort_seed, SEED_BITS),
        ("index of a study", index, INDEX_BITS),
        ("part of a study", part, PART_BITS),
    ):
        if not 0 <= value < 1 << bits:
            raise BadInput(f"{name} {value}: a number from 0 to {(1 << bits) - 1} was expected")
    return (cohort_seed << INDEX_BITS | index) << PART_BITS | part


def generator_of(seed: int) -> np.random.Generator:
    """The random generator of a seed: the same numbers on every machine, none of those that the seed gives elsewhere."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _COHORT_STREAM])))
