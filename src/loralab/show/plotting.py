"""How every figure looks, and how it is shown: one style, and a text alternative that goes wherever it goes."""

import base64
import html
import io
import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import ScalarFormatter
from PIL import Image

from loralab.messages import language

# Okabe and Ito's palette, safe for colour blindness. These four also differ in lightness, for print in grey; figures
# tell series apart by marker or line as well.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#BBBBBB"
BELOW: dict[str, Any] = {"loc": "outside lower center", "ncols": 2, "frameon": False}
# Narrow with large letters: a phone shows it at about two thirds of this width.
WIDTH, DOTS_PER_INCH, SHOWN_WIDTH = 5.6, 130, 600
styled = rc_context({"font.size": 12, "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 2})
# A line that stands out on bars, in grey too.
HALO = withStroke(linewidth=7, foreground="white")
MARKED: dict[str, Any] = {"color": ORANGE, "linewidth": 3, "path_effects": [HALO]}
LINES: tuple[tuple[str, Any, str], ...] = (
    ("o", "-", BLUE), ("s", "--", ORANGE), ("^", ":", GREEN), ("D", "-.", "black"),
    ("v", (0, (6, 1, 1, 1, 1, 1)), "#CC79A7"), ("P", (0, (1, 3)), "#56B4E9"), ("X", (0, (8, 3)), "#D55E00"),
    ("*", (0, (3, 1, 1, 1)), "#777777"),
)  # fmt: skip
LOOKS = {"full": LINES[1], "lora": LINES[0]}


def looks(methods: Sequence[str]) -> list[tuple[str, Any, str]]:
    """A marker, a line and a colour for each series: full fine-tuning and LoRA have theirs in every figure.

    A second series of the same method, and any other method, takes the next that is free.
    """
    others = cycle(LINES[len(LOOKS) :])
    first = [method not in methods[:place] for place, method in enumerate(methods)]
    return [LOOKS[m] if m in LOOKS and new else next(others) for m, new in zip(methods, first, strict=True)]


class Picture:
    """A figure, drawn as `png` (bytes) at once, that carries its text alternative wherever it is shown."""

    def __init__(self, figure: Figure, alt: str) -> None:
        self.figure, self.alt = figure, alt
        drawn, buffer = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, dpi=DOTS_PER_INCH)
        # A palette is enough for lines and letters, and a third of the bytes.
        Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
        self.png = buffer.getvalue()

    @classmethod
    def with_legend(cls, figure: Figure, title: str, texts: Iterable[str], columns: int = 2) -> "Picture":
        """The figure with its legend below, told by its title and by what each series shows."""
        figure.legend(**BELOW | {"ncols": columns})
        return cls(figure, f"{title}. {'; '.join(texts)}.")

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode()
        style = f"width:{SHOWN_WIDTH}px;max-width:100%"
        return f'<img style="{style}" alt="{html.escape(self.alt)}" src="data:image/png;base64,{data}">'


class TickLabels(ScalarFormatter):
    """Numbers along an axis, with the language's decimal mark."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        text = super().__call__(x, pos)
        return text.replace(".", ",") if language() == "es" else text


def panels(title: str, height: float, *grid: int, **kept: Any) -> tuple[Figure, list[Axes]]:
    """A figure of the course's width with a title, wrapped, and a grid (rows, columns) of axes; height in inches.

    Numbers along the axes are written as the language does. `kept` is as in `Figure.subplots`.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(textwrap.fill(title.removesuffix("."), 50), x=0.01, ha="left", fontsize=12, fontweight="bold")
    every = list(figure.subplots(*grid, squeeze=False, **kept).flat)
    for axis in (axis for axes in every for axis in (axes.xaxis, axes.yaxis)):
        axis.set_major_formatter(TickLabels())
    return figure, every


def new_axes(title: str, xlabel: str = "", ylabel: str = "", height: float = 3.9) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, named with their units."""
    figure, (axes,) = panels(title, height)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def log_ticks(axes: Axes, values: Sequence[float], write: Callable[[Any], str] = str) -> None:
    """A logarithmic x axis with a tick at each of these values, as `write` has it, and at no other."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(values, [write(value) for value in values])
    axes.minorticks_off()
