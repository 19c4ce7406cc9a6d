"""Text from elsewhere, made fit for one line of a log or a terminal; time spans in words."""

from __future__ import annotations


def one_line(text: str) -> str:
    """`text` without line breaks, escape sequences and other control or direction characters: they are written out.

    A name like "DOE\\x1b[31m" from a hostile header can then neither forge a line nor colour a terminal.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def span(seconds: float) -> str:
    """A time span for people: 85 ms, 4.2 s, 3 min 20 s."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
