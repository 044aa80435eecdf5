"""Figures of data and of ideas. Titles state what is shown; each figure has a text alternative."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from loralab.messages import message, number, percent, scientific
from loralab.show.plotting import BELOW, BLUE, GREY, LINES, MARKED, ORANGE, Picture, log_ticks, new_axes, styled

PALE = "#E8E8E8"
Place = tuple[float, float, float, float]
STRENGTHS = (0, 0.5, 1, 1.5, 2, 2.5, 4.01)
EDGES = {"mild": 0, "strong": -1}
PADDING = {"longest": "pad_longest", "batch": "pad_batch", "similar": "pad_similar"}
RULES = {"fixed": "rule_fixed", "proportional": "rule_proportional", "root": "rule_root"}


@styled
def accuracy_by_strength(strength: ArrayLike, right: Mapping[str, ArrayLike]) -> Picture:
    """Lines: share of right answers against |mean rating|, one a judge (a name and a value from 0 to 1 a text)."""
    labels = [f"{number(a, 1)}–{number(b, 1)}" for a, b in zip(STRENGTHS, (*STRENGTHS[1:-1], 4), strict=False)]
    bins = pd.cut(np.abs(np.asarray(strength)), STRENGTHS, right=False, labels=labels)
    judged = pd.DataFrame({name: np.asarray(values, dtype=float) for name, values in right.items()})
    by_bin = judged.groupby(bins, observed=True)
    shares, ticks = by_bin.mean(), [f"{label}\nn={size}" for label, size in by_bin.size().items()]
    ends = {
        edge: "; ".join(f"{name}: {percent(share, 0)}" for name, share in shares.iloc[place].items())
        for edge, place in EDGES.items()
    }
    title = message("strength_title", edge=number(STRENGTHS[1], 1), top=number(STRENGTHS[-2], 1), **ends)
    figure, axes = new_axes(title, message("strength_axis"), message("right_axis"), height=4.2)
    texts = []
    for (judge, own), (marker, line, colour) in zip(shares.items(), LINES, strict=False):
        axes.plot(range(len(own)), 100 * own, marker=marker, linestyle=line, color=colour, label=judge)
        listed = (f"{label} {percent(share, 0)}" for label, share in own.items())
        texts.append(f"{judge}: {', '.join(listed)}")
    axes.axhline(50, color=GREY, linestyle="-", linewidth=1, zorder=0)
    axes.set_xticks(range(len(ticks)), ticks, fontsize=9.6)
    axes.set_ylim(min(40, 100 * float(shares.min().min()) - 5), 102)
    if len(right) > 1:
        figure.legend(**BELOW)
    return Picture(figure, f"{title}. {'; '.join(texts)}.")


@styled
def length_histogram(lengths: Sequence[int], max_length: int) -> Picture:
    """Histogram of text lengths (tokens), uncut, with the line at which `max_length` cuts."""
    median, cut = float(np.median(lengths)), sum(length > max_length for length in lengths)
    counts = {"median": number(median, 0), "cut": number(cut, 0), "n": number(len(lengths), 0)}
    title = message("lengths_title", limit=max_length, **counts)
    figure, axes = new_axes(title, message("tokens_axis"), message("texts_axis"))
    step = -(-(max(lengths) - min(lengths) + 1) // 40)  # whole tokens: other bins would show gaps that are not there
    axes.hist(
        lengths, bins=np.arange(min(lengths) - 0.5, max(lengths) + step, step).tolist(), color=BLUE, edgecolor="white"
    )
    axes.axvline(max_length, color="black", linestyle="--", label=message("cut_here", limit=max_length))
    axes.axvline(median, **MARKED, label=message("median"))
    figure.legend(**BELOW)
    return Picture(figure, f"{title}.")


@styled
def padding_bars(waste: Mapping[str, float]) -> Picture:
    """Bars of the share of padding (0 to 1) by strategy: "longest", "batch", "similar", or a length in tokens."""
    names = [message("pad_fixed", length=name) if name.isdigit() else message(PADDING[name]) for name in waste]
    shares = list(waste.values())
    flat = [name.replace("\n", " ") for name in names]
    worst, best = (flat[shares.index(extreme)] for extreme in (max(shares), min(shares)))
    factor = number((1 - min(shares)) / (1 - max(shares)), 1)
    title = message("padding_title", worst=worst, best=best, factor=factor)
    figure, axes = new_axes(title, message("padding_axis"))
    bars = axes.barh(range(len(names)), [100 * share for share in shares], color=BLUE, tick_label=names)
    axes.bar_label(bars, labels=[percent(share) for share in shares], padding=3)
    axes.invert_yaxis()
    axes.set_xlim(0, 122)
    axes.set_xticks(range(0, 101, 25))
    text = "; ".join(f"{name}: {percent(share)}" for name, share in zip(flat, shares, strict=True))
    return Picture(figure, f"{title}. {text}.")


def _box(axes: Axes, place: Place, text: str, colour: str) -> None:
    """A box (left, bottom, width, height) with a text in it, dark on light and light on dark."""
    left, bottom, width, height = place
    axes.add_patch(Rectangle((left, bottom), width, height, facecolor=colour, edgecolor="none"))
    ink = "white" if colour == BLUE else "black"
    axes.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", color=ink, fontsize=10)


def _arrows(axes: Axes, *paths: Sequence[tuple[float, float]]) -> None:
    """Lines through the points, each with its head at the last one."""
    for points in paths:
        axes.plot(*zip(*points[:-1], strict=True), color="black", linewidth=1.5)
        axes.annotate("", points[-1], points[-2], arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 1.5})


def _drawing(key: str, height: float, colours: Mapping[str, str]) -> tuple[Figure, Axes]:
    figure, axes = new_axes(message(key), height=height)
    axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.set_axis_off()
    patches = [Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    figure.legend(patches, [message(name) for name in colours], **BELOW | {"ncols": len(colours)})
    return figure, axes


@styled
def lora_diagram() -> Picture:
    """The way of x through a layer with LoRA: W x, and B A x times alpha / r, which join at a plus sign."""
    figure, axes = _drawing("lora_drawn", 3.2, {"drawn_frozen": PALE, "drawn_trained": BLUE})
    _box(axes, (22, 62, 46, 30), f"W\n$d_{{out}} × d_{{in}}$, {message('drawn_frozen')}", PALE)
    _box(axes, (16, 14, 18, 26), "A\n$r × d_{in}$", BLUE)
    _box(axes, (42, 8, 18, 38), "B\n$d_{out} × r$", BLUE)
    upper, lower = 77, 27
    _arrows(axes, [(2, upper), (22, upper)], [(10, upper), (10, lower), (16, lower)], [(34, lower), (42, lower)])
    _arrows(axes, [(60, lower), (67, lower)], [(80, lower), (86, lower), (86, upper - 8)], [(68, upper), (81, upper)])
    _arrows(axes, [(91, upper), (98, upper)])
    for x, y, text in ((73.5, lower, "× α/r"), (86, upper, "+"), (2, upper + 9, "x"), (97, upper + 9, "y")):
        axes.text(x, y, text, ha="center", va="center", fontsize=18 if text == "+" else 13, fontweight="bold")
    return Picture(figure, message("lora_drawn_alt"))


@styled
def encoder_diagram(blocks: int, width: int) -> Picture:
    """A BERT's modules by their names, from tokens to logits: frozen, with LoRA, or fresh and trained."""
    figure, axes = _drawing("encoder_drawn", 5.2, {"drawn_frozen": PALE, "drawn_lora": BLUE, "drawn_fresh": ORANGE})
    _box(axes, (20, 88, 60, 7), f"embeddings · {width}", PALE)
    axes.add_patch(Rectangle((6, 34), 88, 48, fill=False, linewidth=1.5))
    axes.text(92, 79.5, f"layer × {blocks}", ha="right", va="top", fontsize=10, fontweight="bold")
    for left, name, colour in ((10, "query", BLUE), (38, "key", PALE), (66, "value", BLUE)):
        _box(axes, (left, 64, 24, 8), name, colour)
    _box(axes, (20, 51, 60, 8), message("drawn_attention"), PALE)
    _box(axes, (10, 38, 38, 8), "intermediate.dense", PALE)
    _box(axes, (52, 38, 38, 8), "output.dense", PALE)
    _box(axes, (20, 21, 60, 8), "pooler", ORANGE)
    _box(axes, (20, 8, 60, 8), "classifier", ORANGE)
    for x in (22, 50, 78):
        _arrows(axes, [(50, 88), (50, 76), (x, 76), (x, 72)], [(x, 64), (x, 59)])
    _arrows(axes, [(50, 100), (50, 95)], [(29, 51), (29, 46)], [(48, 42), (52, 42)])
    _arrows(axes, [(71, 38), (71, 32), (50, 32), (50, 29)], [(50, 21), (50, 16)], [(50, 8), (50, 1)])
    for y, text in ((98, "tokens"), (3.5, "logits")):
        axes.text(53, y, text, va="center", fontsize=10)
    return Picture(figure, message("encoder_drawn_alt", blocks=blocks, width=width))


@styled
def parameters_against_rank(counted: Mapping[int, int], d_in: int, d_out: int) -> Picture:
    """Points: parameters of one layer's adapter as counted, by rank; line: r(d_in + d_out); dashed: the layer's own."""
    crossing = d_in * d_out / (d_in + d_out)
    values = {"crossing": number(crossing, 0), "d_in": d_in, "d_out": d_out}
    figure, axes = new_axes(message("rank_title", **values), message("rank_axis"), message("parameters_axis"))
    ranks = np.linspace(0, max(counted), 100)
    axes.plot(ranks, ranks * (d_in + d_out) / 1000, color=BLUE, label="r(d_in + d_out)")
    axes.plot(list(counted), [count / 1000 for count in counted.values()], "o", color=ORANGE, label=message("counted"))
    axes.axhline(d_in * d_out / 1000, color="black", linestyle="--", label=f"W: {number(d_in * d_out, 0)}")
    axes.legend(frameon=False)
    text = "; ".join(f"r={rank}: {number(count, 0)}" for rank, count in counted.items())
    return Picture(figure, f"{message('rank_title', **values)}. {text}. W: {number(d_in * d_out, 0)}.")


@styled
def scale_rules(ranks: Sequence[int], falls: Mapping[str, Sequence[float]]) -> Picture:
    """Fall of the loss after one step against rank, one line a rule for alpha: "fixed", "proportional", "root"."""
    growth = "; ".join(f"{number(fall[-1] / fall[0], 1)} ({message(RULES[rule])})" for rule, fall in falls.items())
    title = message("rules_title", low=ranks[0], high=ranks[-1], growth=growth)
    figure, axes = new_axes(title, message("rank_axis_log"), message("fall_axis"), height=4.2)
    texts = []
    for (rule, fall), (marker, line, colour) in zip(falls.items(), LINES, strict=False):
        axes.plot(ranks, fall, linestyle=line, marker=marker, color=colour, label=message(RULES[rule]))
        listed = (f"r={r} {scientific(float(f'{y:.2g}'))}" for r, y in zip(ranks, fall, strict=True))
        texts.append(f"{message(RULES[rule])}: {', '.join(listed)}")
    log_ticks(axes, ranks)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda y, _: scientific(float(f"{y:.1g}")))
    return Picture.with_legend(figure, title, texts, columns=3)


@styled
def winners_luck(leads: Sequence[float], ranks: int) -> Picture:
    """Histogram of how far the best of several equal ranks lies above their true accuracy (points)."""
    average = float(np.mean(leads))
    title = message("luck_title", ranks=ranks, lead=number(average, 2))
    figure, axes = new_axes(title, message("lead_axis"), message("studies_axis"))
    axes.hist(leads, bins=30, color=BLUE, edgecolor="white")
    axes.axvline(0, color="black", linestyle="--", label=message("true_accuracy"))
    axes.axvline(average, **MARKED, label=message("average"))
    low, high = np.quantile(leads, [0.025, 0.975])
    return Picture.with_legend(figure, title, [f"{message('middle')}: {number(low, 2)} – {number(high, 2)}"])


@styled
def token_boxes(tokens: Sequence[str], trained: Sequence[bool]) -> Picture:
    """A text's tokens in a box each, those trained on in blue and underlined, those only read in grey."""
    title = message("tokens_title", trained=sum(trained), all=len(tokens))
    row, column, places = 0, 0, []
    for position, token in enumerate(tokens):
        if column + len(token) + 1 > 64 or (position and tokens[position - 1].endswith("⏎")):
            row, column = row + 1, 0
        places.append((column, -row))
        column += len(token) + 1
    figure, axes = new_axes(title, height=1.6 + 0.3 * row)
    axes.set_axis_off()
    for token, told, place in zip(tokens, trained, places, strict=True):
        axes.text(
            *place, token, family="monospace", fontsize=9.6, va="center",
            color="white" if told else "black", parse_math=False,
            bbox={"facecolor": BLUE if told else PALE, "edgecolor": "none", "boxstyle": "square,pad=0.15"},
        )  # fmt: skip
    axes.set_xlim(0, 68)
    axes.set_ylim(-row - 0.6, 0.6)
    patches = [Rectangle((0, 0), 1, 1, color=BLUE), Rectangle((0, 0), 1, 1, color=PALE)]
    figure.legend(patches, [message("tokens_trained"), message("tokens_context")], **BELOW)
    text = " ".join(token for token, told in zip(tokens, trained, strict=True) if told)
    return Picture(figure, f"{title}. {message('tokens_alt', text=text)}.")
