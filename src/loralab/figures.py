"""Every figure of the lessons and the report. Titles state what the data shows; each has a text alternative."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from loralab.experiment import Result
from loralab.messages import message, number, percent, scientific
from loralab.plotting import BELOW, BLUE, GREEN, GREY, ORANGE, Picture, dress, log_ticks, new_axes, new_figure, styled
from loralab.sentences import SCORES, amount, with_unit
from loralab.stats import Difference, half_width

STRENGTHS = (0, 0.5, 1, 1.5, 2, 2.5, 4.01)
EDGES = {"mild": 0, "strong": -1}
# A line that stands out on bars, in grey too.
MARKED: dict[str, Any] = {
    "color": ORANGE,
    "linewidth": 3,
    "path_effects": [withStroke(linewidth=7, foreground="white")],
}
LINES = (("o", "-", BLUE), ("s", "--", ORANGE), ("^", ":", GREEN), ("D", "-.", "black"))


@styled
def exam_luck(scores: Sequence[float], truth: float, examples: int) -> Picture:
    """Histogram of the scores (shares) of one model on many tests of so many examples."""
    low, high = np.quantile(scores, [0.025, 0.975])
    values = {"low": percent(low), "high": percent(high), "n": number(len(scores), 0), "examples": number(examples, 0)}
    figure, axes = new_axes(message("exam_title", **values), message("accuracy_axis"), message("exams_axis"))
    axes.hist(100 * np.asarray(scores), bins=30, color=BLUE, edgecolor="white")
    for edge in (low, high):
        axes.axvline(100 * edge, color="black", linestyle="--", label=message("middle") if edge == low else None)
    axes.axvline(100 * truth, **MARKED, label=message("true_accuracy"))
    figure.legend(**BELOW)
    return Picture(figure, message("exam_alt", truth=percent(truth), **values))


def _by_strength(strength: ArrayLike, values: ArrayLike) -> pd.Series:
    bins = pd.cut(np.abs(np.asarray(strength)), STRENGTHS, right=False, labels=False)
    return pd.Series(np.asarray(values, dtype=float)).groupby(bins).mean().reindex(range(len(STRENGTHS) - 1))


@styled
def accuracy_by_strength(strength: ArrayLike, right: Mapping[str, ArrayLike]) -> Picture:
    """Lines: share of right answers against |mean rating|, one a judge (a name and a value from 0 to 1 a text)."""
    count = _by_strength(strength, np.ones(len(np.asarray(strength)))).notna()
    by_bin = {name: _by_strength(strength, values)[count] for name, values in right.items()}
    ends = {
        edge: "; ".join(f"{name}: {percent(s.iloc[i], 0)}" for name, s in by_bin.items()) for edge, i in EDGES.items()
    }
    title = message("strength_title", edge=number(STRENGTHS[1], 1), top=number(STRENGTHS[-2], 1), **ends)
    figure, axes = new_axes(title, message("strength_axis"), message("right_axis"), height=4.2)
    sizes, _ = np.histogram(np.abs(np.asarray(strength)), STRENGTHS)
    every = [f"{number(a, 1)}–{number(b, 1)}" for a, b in zip(STRENGTHS, (*STRENGTHS[1:-1], 4), strict=False)]
    labels = [label for label, there in zip(every, count, strict=True) if there]
    ticks = [f"{label}\nn={size}" for label, size in zip(every, sizes, strict=True) if size]
    for (judge, shares), (marker, line, colour) in zip(by_bin.items(), LINES, strict=False):
        axes.plot(range(len(shares)), 100 * shares, marker=marker, linestyle=line, color=colour, label=judge)
    axes.axhline(50, color=GREY, linestyle="-", linewidth=1, zorder=0)
    axes.set_xticks(range(len(labels)), ticks, fontsize=9.6)
    axes.set_ylim(min(40, 100 * min(shares.min() for shares in by_bin.values()) - 5), 102)
    if len(by_bin) > 1:
        figure.legend(**BELOW)
    texts = [
        f"{judge}: " + ", ".join(f"{label} {percent(share, 0)}" for label, share in zip(labels, shares, strict=True))
        for judge, shares in by_bin.items()
    ]
    return Picture(figure, f"{title}. {'; '.join(texts)}.")


@styled
def length_histogram(lengths: Sequence[int], max_length: int) -> Picture:
    """Histogram of text lengths (tokens), uncut, with the line at which `max_length` cuts."""
    cut = sum(length > max_length for length in lengths)
    values = {
        "median": number(float(np.median(lengths)), 0),
        "limit": max_length,
        "cut": number(cut, 0),
        "n": number(len(lengths), 0),
    }
    figure, axes = new_axes(message("lengths_title", **values), message("tokens_axis"), message("texts_axis"))
    axes.hist(lengths, bins=40, color=BLUE, edgecolor="white")
    axes.axvline(max_length, color="black", linestyle="--", label=message("cut_here", limit=max_length))
    axes.axvline(float(np.median(lengths)), **MARKED, label=message("median"))
    figure.legend(**BELOW)
    return Picture(figure, message("lengths_title", **values) + ".")


@styled
def padding_bars(waste: Mapping[str, float]) -> Picture:
    """Bars of the share of padding (0 to 1) by strategy: "longest", "batch", "similar", or a length in tokens."""
    waste = {
        message("pad_fixed", length=name) if name.isdigit() else message(f"pad_{name}"): share
        for name, share in waste.items()
    }
    names, shares = list(waste), list(waste.values())
    worst, best = max(waste, key=waste.__getitem__), min(waste, key=waste.__getitem__)
    factor = number((1 - waste[best]) / (1 - waste[worst]), 1)
    flat = [name.replace("\n", " ") for name in (worst, best)]
    title = message("padding_title", worst=flat[0], best=flat[1], factor=factor)
    figure, axes = new_axes(title, message("padding_axis"))
    bars = axes.barh(range(len(names)), [100 * share for share in shares], color=BLUE)
    axes.set_yticks(range(len(names)), names)
    axes.bar_label(bars, labels=[percent(share) for share in shares], padding=3)
    axes.invert_yaxis()
    axes.set_xlim(0, 122)
    axes.set_xticks(range(0, 101, 25))
    text = "; ".join(f"{name}: {percent(share)}" for name, share in waste.items()).replace("\n", " ")
    return Picture(figure, f"{title}. {text}.")


@styled
def matrices(weight: torch.Tensor, b: torch.Tensor, a: torch.Tensor) -> Picture:
    """W (d_out × d_in), B (d_out × r), A (r × d_in) and BA drawn to one scale, each in its own range of colours."""
    d_out, d_in = weight.shape
    rank = len(a)
    values = {"few": number(a.numel() + b.numel(), 0), "many": number(weight.numel(), 0)}
    figure, axes = new_axes(message("matrices_title", **values), height=2.4)
    gap, left, texts = 0.2 * d_in, 0.0, []
    for name, matrix, after in (("W", weight, ""), ("B", b, "·"), ("A", a, "="), ("BA", b @ a, "")):
        rows, columns = matrix.shape
        top, right = (d_out - rows) / 2, left + columns
        image = matrix.detach().numpy()
        axes.imshow(image, extent=(left, right, top + rows, top), cmap="cividis", interpolation="nearest")
        axes.add_patch(Rectangle((left, top), columns, rows, fill=False, linewidth=0.6))
        axes.text((left + right) / 2, 1.05 * d_out, f"{name}\n{rows} × {columns}", ha="center", va="top", fontsize=11)
        axes.text(right + gap / 2, d_out / 2, after, ha="center", va="center", fontsize=16)
        texts.append(f"{name}: {rows} × {columns}")
        left = right + gap
    axes.set_xlim(-gap / 2, left - gap / 2)
    axes.set_ylim(1.35 * d_out, -0.03 * d_out)
    axes.set_axis_off()
    return Picture(figure, f"{message('matrices_title', **values)}. {', '.join(texts)} (r = {rank}).")


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
def loss_curves(results: Sequence[Result]) -> Picture:
    """Training loss by step (smoothed over a tenth of an epoch), validation loss by epoch, and the learning rate.

    One colour a result; all have to be of one length and of one task.
    """
    last = "; ".join(f"{_short(result)}: {number(result.epochs[-1]['loss'], 3)}" for result in results)
    title = message("loss_title", last=last)
    figure = new_figure(title, height=5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    dress(above, ylabel=message("loss_axis"))
    dress(below, message("step_axis"), message("rate_axis"))
    texts, ticks, highest = [], [], 0.9
    for position, (result, (marker, line, colour)) in enumerate(zip(results, LINES, strict=False)):
        loss = np.asarray(result.loss_by_step)
        per_epoch = len(loss) / len(result.epochs)
        window = max(1, round(per_epoch / 10))
        smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
        highest = max(highest, float(smooth.max()))
        validation = [epoch["loss"] for epoch in result.epochs]
        name = _short(result)
        above.plot(np.arange(window, len(loss) + 1), smooth, line, color=colour, linewidth=1.2, label=name)
        beside = 0.02 * len(loss) * (position - (len(results) - 1) / 2)  # so that one marker does not hide another
        ends = per_epoch * np.arange(1, len(validation) + 1) + beside
        label = f"{name}: {message('validation_loss')}"
        above.plot(ends, validation, marker, color=colour, markeredgecolor="black", markersize=9, label=label)
        rate = np.asarray(result.learning_rate_by_step)
        below.plot(np.arange(1, len(rate) + 1)[rate > 0], rate[rate > 0], line, color=colour)
        ticks.append(float(rate.max()))
        texts.append(
            f"{label}: {', '.join(number(value, 3) for value in validation)}; {message('rate_axis')}: "
            f"{scientific(rate.max())}"
        )
    if results[0].experiment.task == "classification":
        above.axhline(np.log(2), color="black", linestyle=":", linewidth=1, label="ln 2")
        above.set_ylim(0, 1.05 * highest)
    below.set_yscale("log")
    below.set_yticks(ticks, [scientific(tick) for tick in ticks])
    below.minorticks_off()
    figure.legend(**BELOW)
    return Picture(figure, f"{title}. {'; '.join(texts)}.")


@styled
def accuracy_against_rate(results: Sequence[Result]) -> Picture:
    """Validation accuracy after the last epoch against the learning rate, one line a method, one dot a run."""
    groups: dict[str, dict[float, float]] = {}
    for result in sorted(results, key=lambda r: r.experiment.learning_rate):
        rates = groups.setdefault(_short(result), {})
        rates[result.experiment.learning_rate] = result.epochs[-1]["accuracy"]
    best = {name: max(rates, key=rates.__getitem__) for name, rates in groups.items()}
    key = "rates_differ" if len(set(best.values())) > 1 else "rates_agree"
    title = message(key, best="; ".join(f"{name}, {scientific(rate)}" for name, rate in best.items()))
    figure, axes = new_axes(title, message("rate_axis_log"), message("validation_axis"))
    for (name, rates), (marker, line, colour) in zip(groups.items(), LINES, strict=False):
        axes.plot(
            list(rates), [100 * x for x in rates.values()], line, linewidth=1, marker=marker, color=colour, label=name
        )
    every = sorted({rate for rates in groups.values() for rate in rates})
    log_ticks(axes, every, [scientific(rate) for rate in every])
    axes.margins(x=0.1)
    figure.legend(**BELOW)
    texts = [
        f"{name}: " + ", ".join(f"{scientific(rate)} {percent(share)}" for rate, share in rates.items())
        for name, rates in groups.items()
    ]
    return Picture(figure, f"{title}. {'; '.join(texts)}.")


@styled
def who_is_right(a: Result, b: Result, names: tuple[str, str]) -> Picture:
    """One bar of the test in four parts: both runs right, only the one, only the other, neither."""
    truth = np.asarray(a.labels)
    right_a, right_b = np.asarray(a.predictions) == truth, np.asarray(b.predictions) == truth
    parts = {
        message("both_right"): (right_a & right_b).mean(),
        message("only_right", name=names[0]): (right_a & ~right_b).mean(),
        message("only_right", name=names[1]): (~right_a & right_b).mean(),
        message("both_wrong"): (~right_a & ~right_b).mean(),
    }
    scores = f"{names[0]}: {percent(right_a.mean())}; {names[1]}: {percent(right_b.mean())}"
    title = message("apart_title", scores=scores, share=percent((right_a != right_b).mean()))
    figure, axes = new_axes(title, message("share_of_test_axis"), height=3.5)
    left = 0.0
    hatches = ("", "//", "\\\\", "")
    for (name, share), colour, hatch in zip(parts.items(), (BLUE, ORANGE, GREEN, GREY), hatches, strict=True):
        label = f"{name}: {percent(share)}"
        axes.barh(0, 100 * share, left=left, color=colour, hatch=hatch, edgecolor="white", label=label)
        left += 100 * share
    axes.set_yticks([])
    axes.set_ylim(-0.45, 0.45)
    figure.legend(**BELOW | {"ncols": 1})
    text = "; ".join(f"{name}: {percent(share)}" for name, share in parts.items())
    return Picture(figure, f"{title}. {text}.")


@styled
def scale_rules(ranks: Sequence[int], falls: Mapping[str, Sequence[float]]) -> Picture:
    """Fall of the loss after one step against rank, one line a rule for alpha: "fixed", "proportional", "root"."""
    growth = "; ".join(f"{number(fall[-1] / fall[0], 1)} ({message(f'rule_{rule}')})" for rule, fall in falls.items())
    title = message("rules_title", low=ranks[0], high=ranks[-1], growth=growth)
    figure, axes = new_axes(title, message("rank_axis_log"), message("fall_axis"), height=4.2)
    for (rule, fall), (marker, line, colour) in zip(falls.items(), LINES, strict=False):
        axes.plot(ranks, fall, line, marker=marker, color=colour, label=message(f"rule_{rule}"))
    log_ticks(axes, list(ranks), [str(rank) for rank in ranks])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda y, _: scientific(float(f"{y:.1g}")))
    figure.legend(**BELOW | {"ncols": 3})
    texts = [
        f"{message(f'rule_{rule}')}: "
        + ", ".join(f"r={r} {scientific(float(f'{y:.2g}'))}" for r, y in zip(ranks, fall, strict=True))
        for rule, fall in falls.items()
    ]
    return Picture(figure, f"{title}. {'; '.join(texts)}.")


@styled
def winners_luck(leads: Sequence[float], ranks: int) -> Picture:
    """Histogram of how far the best of several equal ranks lies above their true accuracy (points)."""
    average = float(np.mean(leads))
    title = message("luck_title", ranks=ranks, lead=number(average, 2))
    figure, axes = new_axes(title, message("lead_axis"), message("studies_axis"))
    axes.hist(leads, bins=30, color=BLUE, edgecolor="white")
    axes.axvline(0, color="black", linestyle="--", label=message("true_accuracy"))
    axes.axvline(average, **MARKED, label=message("average"))
    figure.legend(**BELOW)
    low, high = np.quantile(leads, [0.025, 0.975])
    return Picture(figure, f"{title}. {message('middle')}: {number(low, 2)} – {number(high, 2)}.")


@styled
def score_against_rank(results: Sequence[Result], verdict: str) -> Picture:
    """A dot a run, joined within a seed: test accuracy (or loss on the answers) by rank; the title is the verdict."""
    examples, score = number(len(results[0].labels), 0), SCORES[results[0].experiment.task]
    label = message(f"test_{score.name}_axis", n=examples)
    figure, axes = new_axes(verdict, message("rank_axis_log"), label, height=4.4)
    texts = []
    for seed, (marker, line, colour) in zip(sorted({r.experiment.seed for r in results}), cycle(LINES), strict=False):
        own = {r.experiment.rank: score.factor * r.test[score.name] for r in results if r.experiment.seed == seed}
        name = f"{message('seed')} {seed}"
        axes.plot(list(own), list(own.values()), line, marker=marker, color=colour, linewidth=1, label=name)
        texts.append(f"{name}: " + ", ".join(f"r={rank} {number(value, score.digits)}" for rank, value in own.items()))
    ranks = sorted({r.experiment.rank for r in results})
    means = [score.factor * np.mean([r.test[score.name] for r in results if r.experiment.rank == k]) for k in ranks]
    axes.plot(ranks, means, "_", color="black", markersize=22, markeredgewidth=3, label=message("average"))
    if score.name == "accuracy":
        exam = 100 * half_width(float(np.mean(means)) / 100, len(results[0].labels))
        axes.errorbar(
            ranks[-1] * 1.5, np.mean(axes.get_ylim()), exam, color=GREY, capsize=4, label=message("exam_luck_bar")
        )
    log_ticks(axes, ranks, [str(rank) for rank in ranks])
    figure.legend(**BELOW)
    return Picture(figure, f"{verdict}. {'; '.join(texts)}.")


@styled
def comparison_panel(full: Sequence[Result], lora: Sequence[Result], title: str) -> Picture:
    """Four pairs of bars: score, trainable parameters, training seconds, peak memory; a dot for each seed."""
    figure = new_figure(title, height=6.2)
    score = SCORES[full[0].experiment.task]
    label = message(f"test_{score.name}_axis", n=number(len(full[0].labels), 0))
    panels = [
        (label, lambda r: score.factor * r.test[score.name], score.digits),
        (message("trainable_axis"), lambda r: r.parameters["trainable"] / 1e6, 3),
        (message("seconds_axis"), lambda r: r.seconds["training"], 0),
        (message("memory_axis"), lambda r: r.memory["peak_bytes"] / 2**20, 0),
    ]
    names = [_short(full[0]), _short(lora[0])]
    texts = []
    for axes, (label, measure, digits) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        values = [float(np.mean([measure(r) for r in group])) for group in (full, lora)]
        bars = axes.bar([0, 1], values, color=[ORANGE, BLUE], hatch=["//", ""], edgecolor="white")
        axes.bar_label(bars, labels=[number(value, digits) for value in values], padding=6)
        for position, group in enumerate((full, lora)):
            axes.plot([position] * len(group), [measure(r) for r in group], "k.", markersize=5)
        axes.set_title(label, fontsize=11, loc="left")
        axes.set_ylim(0, 1.25 * max(values))
        dress(axes)
        axes.set_xticks([0, 1], names)
        texts.append(f"{label}: {number(values[0], digits)} / {number(values[1], digits)}")
    return Picture(figure, f"{title} {names[0]} / {names[1]}: {'; '.join(texts)}.")


@styled
def ruler(difference: Difference, margin: float, verdict: str, task: str = "classification") -> Picture:
    """The difference of two methods' scores on a ruler: dots a seed, thick bar 90 %, thin 95 %, margin shaded."""
    factor, digits, unit = SCORES[task].factor, SCORES[task].digits + 1, message(SCORES[task].unit)
    figure, axes = new_axes(verdict, message("ruler_axis", unit=unit), height=3.2)
    mean, thick, thin = (factor * x for x in (difference.mean, difference.half(0.9), difference.half(0.95)))
    edge, seeds = factor * margin, [factor * d for d in difference.by_seed]
    axes.axvspan(-edge, edge, color=GREY, alpha=0.5, label=message("margin", m=with_unit(margin, task)))
    axes.axvline(0, color="black", linewidth=1)
    axes.errorbar(
        mean, 0, xerr=thin, color=BLUE, linewidth=2, capsize=5, label=message("interval", level=percent(0.95, 0))
    )
    axes.errorbar(mean, 0, xerr=thick, color=BLUE, linewidth=8, label=message("interval", level=percent(0.9, 0)))
    axes.plot(mean, 0, "o", color="white", markeredgecolor="black", markersize=9, zorder=5)
    axes.plot(seeds, [0.5] * len(seeds), "D", color=ORANGE, markeredgecolor="black", label=message("each_seed"))
    reach = 1.15 * max(abs(mean) + min(thin, 20 * edge), 2 * edge, *(abs(s) for s in seeds))
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-0.6, 1)
    axes.set_yticks([])
    figure.legend(**BELOW)
    text = f"{number(mean, digits)} ± {number(thin, digits)} ({percent(0.95, 0)}), "
    text += f"± {number(thick, digits)} ({percent(0.9, 0)})"
    points = ", ".join(number(s, digits) for s in seeds)
    return Picture(figure, f"{verdict}. {text}; {message('each_seed')}: {points}.")


@styled
def token_boxes(tokens: Sequence[str], trained: Sequence[bool]) -> Picture:
    """A text's tokens in a box each, those trained on in blue and underlined, those only read in grey."""
    title = message("tokens_title", trained=sum(trained), all=len(tokens))
    lines: list[list[int]] = [[]]
    width = 0
    for position, token in enumerate(tokens):
        if width + len(token) + 1 > 64 or (position and tokens[position - 1].endswith("⏎")):
            lines.append([])
            width = 0
        lines[-1].append(position)
        width += len(token) + 1
    figure, axes = new_axes(title, height=1.3 + 0.3 * len(lines))
    axes.set_axis_off()
    for row, line in enumerate(lines):
        column = 0.0
        for position in line:
            told = trained[position]
            axes.text(
                column, -row, tokens[position], family="monospace", fontsize=9.6, va="center",
                color="white" if told else "black", parse_math=False,
                bbox={"facecolor": BLUE if told else "#E8E8E8", "edgecolor": "none", "boxstyle": "square,pad=0.15"},
            )  # fmt: skip
            column += len(tokens[position]) + 1
    axes.set_xlim(0, 68)
    axes.set_ylim(-len(lines) + 0.4, 0.6)
    patches = [Rectangle((0, 0), 1, 1, color=BLUE), Rectangle((0, 0), 1, 1, color="#E8E8E8")]
    figure.legend(patches, [message("tokens_trained"), message("tokens_context")], **BELOW)
    text = " ".join(token for token, told in zip(tokens, trained, strict=True) if told)
    return Picture(figure, f"{title}. {message('tokens_alt', text=text)}.")


@styled
def gained_and_forgotten(base: Result, tuned: Sequence[Result]) -> Picture:
    """Loss on the persona's answers against loss on editorials: a line from the base to each run."""
    groups: dict[str, list[Result]] = {}
    for result in tuned:
        groups.setdefault(_short(result), []).append(result)
    title = message("forgetting_title", points="; ".join(_change(base, name, group) for name, group in groups.items()))
    figure, axes = new_axes(title, message("answer_loss_axis"), message("other_loss_axis"), height=4.4)
    start = (base.test["loss"], base.test["other_loss"])
    axes.plot(*start, "k*", markersize=14, label=_short(base))
    texts = [f"{_short(base)}: {number(start[0], 3)}, {number(start[1], 3)}"]
    for (name, group), (marker, line, colour) in zip(groups.items(), LINES, strict=False):
        for result in group:
            end = (result.test["loss"], result.test["other_loss"])
            axes.plot([start[0], end[0]], [start[1], end[1]], line, color=colour, linewidth=1.2)
            label = name if result is group[0] else None
            axes.plot(*end, marker, color=colour, markeredgecolor="black", markersize=9, label=label)
            texts.append(f"{name}: {number(end[0], 3)}, {number(end[1], 3)}")
    axes.margins(0.12)
    figure.legend(**BELOW)
    return Picture(figure, f"{title}. {message('answer_loss_axis')}, {message('other_loss_axis')}: {'; '.join(texts)}.")


def _change(base: Result, name: str, group: Sequence[Result]) -> str:
    changes = [float(np.mean([r.test[s] for r in group])) - base.test[s] for s in ("loss", "other_loss")]
    signed = [("+" if change > 0 else "") + amount(change, "generation") for change in changes]
    return message("forgetting_point", name=name, gain=signed[0], loss=signed[1])


def _short(result: Result) -> str:
    return message(f"short_{result.experiment.method}")
