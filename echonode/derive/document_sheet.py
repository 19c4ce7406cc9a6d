"""A4 sheets that are filled from top to bottom: headings, paragraphs and tables, drawn with matplotlib.

Positions are in millimetres from the upper left corner. matplotlib is imported when the first sheet is made.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 210.0, 297.0
MARGIN: Final = 16.0
FOOT: Final = 18.0
INK: Final = "#1a1a1a"
FAINT: Final = "#6b6b6b"
RULE: Final = "#c9c9c9"
SHADE: Final = "#eef2f5"
_MM: Final = 25.4
_POINT: Final = _MM / 72
_LEADING: Final = 1.32
_ASCENT: Final = 0.93
_GUTTER: Final = 3.5
_LONGEST_WORD: Final = 200
_FAMILY: Final = "DejaVu Sans"


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a table: heading, width in millimetres, and whether it stands to the right."""

    title: str
    width: float
    right: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row of a table; `strong` for what matters most."""

    cells: Sequence[str]
    strong: bool = False


@dataclass(slots=True)
class Sheets:
    """Sheets of one document, and where the next line goes."""

    figures: list[Figure] = field(default_factory=list)
    y: float = 0.0
    _glyphs: frozenset[int] = frozenset()
    _widths: dict[tuple[str, float, bool], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from matplotlib import font_manager

        font = font_manager.get_font(font_manager.findfont(_FAMILY))
        self._glyphs = frozenset(font.get_charmap())
        self.turn()

    def turn(self) -> None:
        """Begin a new sheet."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH / _MM, HEIGHT / _MM), dpi=100)
        FigureCanvasAgg(figure)
        self.figures.append(figure)
        self.y = MARGIN

    def room(self, height: float) -> None:
        """See to it that the next `height` millimetres are on one sheet."""
        if self.y + height > HEIGHT - FOOT:
            self.turn()

    def printable(self, text: str) -> str:
        """`text` with a question mark for every character that the font has no picture of."""
        return "".join(c if ord(c) in self._glyphs or c == "\n" else "?" for c in text)

    def write(
        self,
        text: str,
        x: float,
        y: float,
        *,
        size: float = 9,
        strong: bool = False,
        colour: str = INK,
        right: bool = False,
    ) -> None:
        """One line with its upper edge at `y`, from `x` on, or up to `x`."""
        self.figures[-1].text(
            x / WIDTH,
            1 - (y + size * _POINT * _ASCENT) / HEIGHT,
            self.printable(text),
            fontsize=size,
            fontweight="bold" if strong else "normal",
            family=_FAMILY,
            color=colour,
            ha="right" if right else "left",
            va="baseline",
            parse_math=False,
        )

    def box(self, x: float, y: float, width: float, height: float, *, colour: str) -> None:
        """A filled rectangle."""
        from matplotlib.patches import Rectangle

        self.figures[-1].add_artist(
            Rectangle(
                (x / WIDTH, 1 - (y + height) / HEIGHT), width / WIDTH, height / HEIGHT, facecolor=colour,
                edgecolor="none", transform=self.figures[-1].transFigure, zorder=-1,
            )
        )  # fmt: skip

    def rule(self, y: float, *, colour: str = RULE) -> None:
        """A thin line from margin to margin."""
        self.box(MARGIN, y, WIDTH - 2 * MARGIN, 0.2, colour=colour)

    def width_of(self, text: str, *, size: float, strong: bool = False) -> float:
        """How wide a word or a line is, in millimetres."""
        from matplotlib.font_manager import FontProperties

        known = self._widths.get((text, size, strong))
        if known is not None:
            return known
        figure: Any = self.figures[-1]  # its canvas is the one of Agg, which can measure
        properties = FontProperties(family=_FAMILY, size=size, weight="bold" if strong else "normal")
        width, _, _ = figure.canvas.get_renderer().get_text_width_height_descent(
            self.printable(text), properties, ismath=False
        )
        return self._widths.setdefault((text, size, strong), float(width) / float(figure.dpi) * _MM)

    def wrapped(self, text: str, width: float, *, size: float, strong: bool = False) -> list[str]:
        """`text` in lines of at most `width` millimetres; a word that is wider is broken."""
        space = self.width_of("n n", size=size, strong=strong) - 2 * self.width_of("n", size=size, strong=strong)
        lines: list[str] = []
        for paragraph in text.split("\n"):
            line, filled = "", 0.0
            for word in _words(paragraph):
                wide = self.width_of(word, size=size, strong=strong)
                if line and filled + space + wide <= width:
                    line, filled = f"{line} {word}", filled + space + wide
                    continue
                if line:
                    lines.append(line)
                *whole, line = self._broken(word, width, size=size, strong=strong)
                lines += whole
                filled = self.width_of(line, size=size, strong=strong)
            lines.append(line)
        return lines

    def _broken(self, word: str, width: float, *, size: float, strong: bool) -> list[str]:
        """A word in pieces of at most `width` millimetres."""
        pieces = []
        while len(word) > 1 and self.width_of(word, size=size, strong=strong) > width:
            fitting = range(1, len(word))
            cut = bisect_right(fitting, width, key=lambda end: self.width_of(word[:end], size=size, strong=strong))
            cut = max(cut, 1)
            pieces.append(word[:cut])
            word = word[cut:]
        return [*pieces, word]

    def heading(self, text: str) -> None:
        """The title of a section; never alone at the end of a sheet."""
        self.room(20)
        self.y += 4
        self.write(text, MARGIN, self.y, size=10.5, strong=True)
        self.y += 5.6

    def paragraph(
        self, text: str, *, size: float = 8.5, colour: str = INK, strong: bool = False, indent: float = 0
    ) -> None:
        """Lines from margin to margin."""
        height = size * _POINT * _LEADING
        for line in self.wrapped(text, WIDTH - 2 * MARGIN - indent, size=size, strong=strong):
            self.room(height)
            self.write(line, MARGIN + indent, self.y, size=size, colour=colour, strong=strong)
            self.y += height
        self.y += 0.8

    def bullet(self, text: str) -> None:
        """A paragraph with a point before it."""
        self.room(4)
        self.write("\u2022", MARGIN, self.y, size=8.5)
        self.paragraph(text, indent=3.5)

    def table(self, columns: Sequence[Column], rows: Sequence[Row], *, size: float = 8.2) -> None:
        """A table over as many sheets as it takes, its head repeated on each."""
        height = size * _POINT * _LEADING
        self._head(columns, size)
        for row in rows:
            cells = [
                self.wrapped(cell, column.width - _GUTTER, size=size, strong=row.strong)
                for cell, column in zip(row.cells, columns, strict=True)
            ]
            tall = max(map(len, cells)) * height + 1.6
            if self.y + tall > HEIGHT - FOOT:
                self.turn()
                self._head(columns, size)
            x = MARGIN
            for lines, column in zip(cells, columns, strict=True):
                for number, line in enumerate(lines):
                    at = x + column.width - 1 if column.right else x + 1
                    self.write(
                        line, at, self.y + 0.8 + number * height, size=size, strong=row.strong, right=column.right
                    )
                x += column.width
            self.y += tall
            self.rule(self.y)
        self.y += 1

    def _head(self, columns: Sequence[Column], size: float) -> None:
        self.box(MARGIN, self.y, WIDTH - 2 * MARGIN, 5, colour=SHADE)
        x = MARGIN
        for column in columns:
            at = x + column.width - 1 if column.right else x + 1
            self.write(column.title, at, self.y + 1, size=size - 0.7, strong=True, colour=FAINT, right=column.right)
            x += column.width
        self.y += 5

    def feet(self, left: str, small: str) -> None:
        """The same two lines at the foot of every sheet, with its number."""
        for number, figure in enumerate(list(self.figures), start=1):
            self.figures.append(figure)
            self.rule(HEIGHT - FOOT + 2)
            self.write(left, MARGIN, HEIGHT - FOOT + 4, size=7.5, strong=True)
            self.write(small, MARGIN, HEIGHT - FOOT + 8, size=6, colour=FAINT)
            page = f"{number} / {len(self.figures) - 1}"
            self.write(page, WIDTH - MARGIN, HEIGHT - FOOT + 4, size=7.5, right=True, colour=FAINT)
            self.figures.pop()


def _words(paragraph: str) -> list[str]:
    """Its words, one that no paper is wide enough for in pieces: measuring takes as long as the text is."""
    return [
        word[begin : begin + _LONGEST_WORD]
        for word in paragraph.split()
        for begin in range(0, len(word), _LONGEST_WORD)
    ]
