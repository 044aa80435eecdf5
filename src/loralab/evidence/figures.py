"""Figures of the study: rates, and what is inside the updates."""

from collections.abc import Sequence

import numpy as np

from loralab.evidence.protocol import place_name
from loralab.evidence.sweeps import Sweep
from loralab.evidence.update import INTRUDER, TOP, Update
from loralab.messages import message, number, percent, scientific
from loralab.show.plotting import BLUE, GREY, LOOKS, ORANGE, Picture, log_ticks, looks, new_axes, styled
from loralab.show.scores import short_name


@styled
def loss_against_rate(sweeps: Sequence[Sweep]) -> Picture:
    """Validation loss (nats) against the learning rate, one line a method or place; a ring around each one's best."""
    names = [place_name(sweep.place) if sweep.place else short_name(sweep.method) for sweep in sweeps]
    edges = [f" {message('at_edge')}" if sweep.at_edge else "" for sweep in sweeps]
    best = [f"{name}, {scientific(s.best)}{edge}" for name, s, edge in zip(names, sweeps, edges, strict=True)]
    title, texts = message("sweep_title", best="; ".join(best)), []
    height = 4.4 + 0.5 * max(0, len(sweeps) - 3)  # title and legend grow with them
    figure, axes = new_axes(title, message("rate_axis_log"), message("validation_loss_axis"), height=height)
    chosen = looks([sweep.place or sweep.method for sweep in sweeps])
    for name, sweep, (marker, line, colour) in zip(names, sweeps, chosen, strict=True):
        losses = sweep.losses
        axes.plot(list(losses), list(losses.values()), linestyle=line, marker=marker, color=colour, label=name)
        axes.plot(sweep.best, losses[sweep.best], "o", markersize=14, fillstyle="none", color="black")
        listed = ", ".join(f"{scientific(rate)} {number(loss, 3)}" for rate, loss in losses.items())
        texts.append(f"{name}: {listed}")
    axes.set_xscale("log")
    axes.minorticks_off()
    return Picture.with_legend(figure, title, texts)


@styled
def singular_values(updates: Sequence[Update]) -> Picture:
    """Singular values of the updates, means over matrices and seeds, from large to small; both axes logarithmic."""
    full = np.mean([update.full for update in updates], axis=0)
    lora = np.mean([update.lora for update in updates], axis=0)
    of_full, of_lora = ([number(float(value), 3) for value in values[: len(lora)]] for values in (full, lora))
    title = message("singular_title", rank=len(lora), lora=of_lora[0], full=of_full[0], all=len(full))
    figure, axes = new_axes(title, message("singular_axis"), message("singular_value_axis"), height=4.4)
    for name, values in (("full", full), ("lora", lora)):
        marker, line, colour = LOOKS[name]
        order, marks = np.arange(1, len(values) + 1), marker if len(values) < 50 else ""
        axes.plot(order, values, linestyle=line, marker=marks, color=colour, label=short_name(name))
    axes.set(xscale="log", yscale="log")
    texts = [f"{short_name('full')}: {', '.join(of_full)}, …", f"{short_name('lora')}: {', '.join(of_lora)}"]
    return Picture.with_legend(figure, title, texts)


@styled
def captured_by_rank(updates: Sequence[Update]) -> Picture:
    """How much of full fine-tuning's update the best matrix of each rank could have: mean, and from least to most."""
    squares = np.array([update.full for update in updates]) ** 2
    shares = 100 * squares.cumsum(axis=1) / squares.sum(axis=1, keepdims=True)
    ranks, mean = np.arange(1, shares.shape[1] + 1), shares.mean(axis=0)
    own, needed = len(updates[0].lora), int(np.flatnonzero(mean >= 90)[0]) + 1
    title = message("captured_title", rank=own, share=percent(float(mean[own - 1]) / 100, 0), needed=needed)
    figure, axes = new_axes(title, message("rank_axis_log"), message("captured_axis"), height=4.4)
    least, most = shares.min(axis=0), shares.max(axis=0)
    axes.fill_between(ranks, least, most, color=GREY, alpha=0.6, label=message("all_matrices"))
    axes.plot(ranks, mean, color=ORANGE, label=message("average"))
    axes.axvline(own, color=BLUE, linestyle="--", label=f"r = {own}")
    shown = [rank for rank in (1, 4, 8, 16, 32, 64, 128, 384) if rank <= len(ranks)]
    log_ticks(axes, shown)
    axes.set_ylim(0, 101)
    listed = ", ".join(f"r={rank} {percent(float(mean[rank - 1]) / 100)}" for rank in shown)
    return Picture.with_legend(figure, title, [listed], columns=1)


@styled
def intruders(updates: Sequence[Update]) -> Picture:
    """For each of the trained matrices' first singular vectors, how like the base's nearest one it is (cosine)."""
    counts = {m: float(np.mean([update.intruders(m) for update in updates])) for m in LOOKS}
    title = message("intruders_title", top=TOP, full=number(counts["full"], 1), lora=number(counts["lora"], 1))
    figure, axes = new_axes(title, message("vector_axis"), message("cosine_axis"), height=4.4)
    order, texts = np.arange(1, TOP + 1), []
    for method, (marker, line, colour) in LOOKS.items():
        values = np.array([update.similarity[method] for update in updates])
        name = short_name(method)
        axes.fill_between(order, *np.quantile(values, [0.1, 0.9], axis=0), color=colour, alpha=0.25)
        axes.plot(order, values.mean(axis=0), linestyle=line, marker=marker, color=colour, label=name)
        texts.append(f"{name}: {', '.join(number(float(value), 2) for value in values.mean(axis=0))}")
    axes.axhline(INTRUDER, color="black", linestyle=":", linewidth=1.5, label=message("intruder_line"))
    axes.set_ylim(0, 1.05)
    return Picture.with_legend(figure, title, texts)
