"""Every figure of the lessons and the report. Titles state what the data shows; each has a text alternative."""

import base64
import html
import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from loralab.experiment import Result
from loralab.messages import language, message, number, percent
from loralab.stats import half_width

# Okabe and Ito's palette, safe for colour blindness; the order also differs in lightness, for print in grey.
BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#999999"
BELOW: dict[str, Any] = {"loc": "outside lower center", "ncols": 4, "frameon": False, "fontsize": 9}


class Picture:
    """A figure that carries its text alternative wherever it is shown."""

    def __init__(self, figure: Figure, alt: str) -> None:
        self.figure, self.alt = figure, alt

    def png(self) -> bytes:
        """The figure as PNG bytes."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png()).decode()
        return f'<img style="max-width:100%" alt="{html.escape(self.alt)}" src="data:image/png;base64,{data}">'


class TickLabels(ScalarFormatter):
    """Numbers along an axis, with the language's decimal mark."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        text = super().__call__(x, pos)
        return text.replace(".", ",") if language() == "es" else text


def _figure(title: str, height: float) -> Figure:
    figure = Figure(figsize=(7, height), layout="constrained")
    figure.suptitle(textwrap.fill(title, 76), x=0.01, ha="left", fontsize=12)
    return figure


def _axes(title: str, xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = _figure(title, height=3.8)
    axes = figure.subplots()
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    _dress(axes)
    return figure, axes


def _dress(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_formatter(TickLabels())
    axes.yaxis.set_major_formatter(TickLabels())


def exam_luck(scores: Sequence[float], truth: float, examples: int) -> Picture:
    """Histogram of the scores (shares) of one model on many tests of so many examples."""
    low, high = np.quantile(scores, [0.025, 0.975])
    values = {"low": percent(low), "high": percent(high), "n": len(scores), "examples": number(examples, 0)}
    figure, axes = _axes(message("exam_title", **values), message("accuracy_axis"), message("exams_axis"))
    axes.hist(100 * np.asarray(scores), bins=30, color=BLUE, edgecolor="white")
    for edge in (low, high):
        axes.axvline(100 * edge, color="black", linestyle="--", label=message("middle") if edge == low else None)
    axes.axvline(100 * truth, color=ORANGE, linewidth=3, label=message("true_accuracy"))
    figure.legend(**BELOW)
    return Picture(figure, message("exam_alt", truth=percent(truth), **values))


def padding_bars(waste: Mapping[str, float]) -> Picture:
    """Bars of the share of padding (0 to 1) by strategy: "longest", "batch", "similar", or a length in tokens."""
    waste = {
        message("pad_fixed", length=name) if name.isdigit() else message(f"pad_{name}"): share
        for name, share in waste.items()
    }
    names, shares = list(waste), list(waste.values())
    worst, best = max(waste, key=waste.__getitem__), min(waste, key=waste.__getitem__)
    factor = number((1 - waste[best]) / (1 - waste[worst]), 1)
    figure, axes = _axes(message("padding_title", worst=worst, best=best, factor=factor), message("padding_axis"), "")
    bars = axes.barh(range(len(names)), [100 * share for share in shares], color=BLUE)
    axes.set_yticks(range(len(names)), names)
    axes.bar_label(bars, labels=[percent(share) for share in shares], padding=3)
    axes.invert_yaxis()
    axes.set_xlim(0, 112)
    return Picture(figure, "; ".join(f"{name}: {percent(share)}" for name, share in waste.items()))


def parameters_against_rank(counted: Mapping[int, int], d_in: int, d_out: int) -> Picture:
    """Points: parameters of one layer's adapter as counted, by rank; line: r(d_in + d_out); dashed: the layer's own."""
    crossing = d_in * d_out / (d_in + d_out)
    values = {"crossing": number(crossing, 0), "d_in": d_in, "d_out": d_out}
    figure, axes = _axes(message("rank_title", **values), message("rank_axis"), message("parameters_axis"))
    ranks = np.linspace(0, max(counted), 100)
    axes.plot(ranks, ranks * (d_in + d_out), color=BLUE, label="r(d_in + d_out)")
    axes.plot(list(counted), list(counted.values()), "o", color=ORANGE, label=message("counted"))
    axes.axhline(d_in * d_out, color="black", linestyle="--", label=f"W: {number(d_in * d_out, 0)}")
    axes.legend(frameon=False)
    text = "; ".join(f"r={rank}: {number(count, 0)}" for rank, count in counted.items())
    return Picture(figure, f"{message('rank_title', **values)}. {text}. W: {number(d_in * d_out, 0)}.")


def loss_curve(result: Result) -> Picture:
    """Training loss by step, smoothed over a tenth of an epoch, and validation loss after each epoch."""
    loss = np.asarray(result.loss_by_step)
    per_epoch = len(loss) / len(result.epochs)
    window = max(1, round(per_epoch / 10))
    smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
    validation = [epoch["loss"] for epoch in result.epochs]
    best = int(np.argmin(validation)) + 1
    name = message(f"method_{result.experiment.method}")
    values = {"name": name, "best": best, "epochs": len(validation), "loss": number(min(validation), 3)}
    figure, axes = _axes(message("loss_title", **values), message("step_axis"), message("loss_axis"))
    axes.plot(np.arange(1, len(loss) + 1), loss, color=GREY, alpha=0.4, linewidth=0.7, label=message("training_step"))
    axes.plot(np.arange(window, len(loss) + 1), smooth, color=BLUE, label=message("training_loss"))
    steps = per_epoch * np.arange(1, len(validation) + 1)
    axes.plot(steps, validation, "o-", color=ORANGE, label=message("validation_loss"))
    axes.axhline(np.log(2), color="black", linestyle=":", label="ln 2")
    axes.set_ylim(0, max(1.0, float(smooth.max())))
    figure.legend(**BELOW)
    text = "; ".join(number(value, 3) for value in validation)
    return Picture(figure, f"{message('loss_title', **values)}. {message('validation_loss')}: {text}.")


def accuracy_against_rank(results: Sequence[Result], verdict: str) -> Picture:
    """A dot a run: test accuracy by rank, with the interval of exam luck; the title is the verdict."""
    figure, axes = _axes(
        verdict, message("rank_axis_log"), message("test_accuracy_axis", n=number(len(results[0].labels), 0))
    )
    texts = []
    for result in results:
        accuracy, rank = result.test["accuracy"], result.experiment.rank
        half = half_width(accuracy, len(result.labels))
        axes.errorbar(rank, 100 * accuracy, 100 * half, fmt="o", color=BLUE, capsize=4)
        texts.append(f"r={rank}, seed={result.experiment.seed}: {percent(accuracy)} ± {number(100 * half, 1)}")
    axes.set_xscale("log", base=2)
    ranks = sorted({result.experiment.rank for result in results})
    axes.set_xticks(ranks, [str(rank) for rank in ranks])
    axes.minorticks_off()
    return Picture(figure, f"{verdict}. {'; '.join(texts)}.")


def comparison_panel(full: Result, lora: Result, title: str) -> Picture:
    """Four pairs of bars: accuracy, trainable parameters, training seconds and peak memory of full and LoRA."""
    figure = _figure(title, height=5)
    panels = [
        (
            message("test_accuracy_axis", n=number(len(full.labels), 0)),
            [100 * r.test["accuracy"] for r in (full, lora)],
            1,
        ),
        (message("trainable_axis"), [r.parameters["trainable"] / 1e6 for r in (full, lora)], 3),
        (message("seconds_axis"), [r.seconds["training"] for r in (full, lora)], 0),
        (message("memory_axis"), [r.memory["peak_bytes"] / 2**20 for r in (full, lora)], 0),
    ]
    names = [message("method_full"), message("method_lora")]
    texts = []
    for axes, (label, values, digits) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        bars = axes.bar([0, 1], values, color=[ORANGE, BLUE])
        axes.bar_label(bars, labels=[number(value, digits) for value in values], padding=2)
        axes.set_title(label, fontsize=10, loc="left")
        axes.set_ylim(0, 1.2 * max(values))
        _dress(axes)
        axes.set_xticks([0, 1], names)
        texts.append(f"{label}: {number(values[0], digits)} / {number(values[1], digits)}")
    return Picture(figure, f"{title} {names[0]} / {names[1]}: {'; '.join(texts)}.")
