"""Numbers held against numbers that the authors' own code gave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ParityRow:
    """One quantity of one network: its largest difference from the vectors, and how much is allowed.

    `difference` and `tolerance` share a unit, absolute unless `note` says otherwise; a difference that is no number
    never passes.
    """

    network: str
    quantity: str
    difference: float
    tolerance: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.difference <= self.tolerance
