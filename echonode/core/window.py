"""The hours in which something may run, by the clock on this machine's wall."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from echonode.core.errors import BadInput

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """From `at` to `until` every day, over midnight where `until` is the earlier one: "22:00" to "06:00".

    Without `until` it never closes: what has begun at `at` goes on until it is done.

    Raises:
        BadInput: a text that is no time from 00:00 to 23:59, or two times that are one.
    """

    at: str
    until: str = ""

    def __post_init__(self) -> None:
        for name, text in (("at", self.at), *((("until", self.until),) if self.until else ())):
            if not _TIME.fullmatch(text):
                raise BadInput(f"--{name} {text[:20]!r}: a time from 00:00 to 23:59 is expected")
        if self.at == self.until:
            raise BadInput(f"--at and --until are both {self.at}: that leaves no time between them")

    def closed(self, now: float) -> bool:
        """Whether `now`, in seconds since the epoch, lies outside; never without `until`."""
        if not self.until:
            return False
        time = f"{datetime.fromtimestamp(now):%H:%M}"
        inside = self.at <= time < self.until if self.at < self.until else not self.until <= time < self.at
        return not inside

    def opening(self, now: float) -> float:
        """The first moment from `now` on at which something may begin: now itself while a window with an end is open."""
        if self.until and not self.closed(now):
            return now
        local = datetime.fromtimestamp(now)
        opens = local.replace(hour=int(self.at[:2]), minute=int(self.at[3:]), second=0, microsecond=0)
        if opens < local:
            opens += timedelta(days=1)
        return opens.timestamp()

    def __str__(self) -> str:
        return f"{self.at} to {self.until}" if self.until else f"from {self.at}"


def time_of_day(moment: float) -> str:
    """HH:MM of seconds since the epoch, on this machine."""
    return f"{datetime.fromtimestamp(moment):%H:%M}"
