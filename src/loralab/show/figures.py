"""Figures of results. Titles state what the results say; each figure has a text alternative."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np

from loralab.experiment import Result
from loralab.messages import message, number, percent, scientific
from loralab.show.plotting import BLUE, GREEN, GREY, LINES, ORANGE, Picture, log_ticks, looks, new_axes, panels, styled
from loralab.show.scores import SCORES, Score, score_of, short_name
from loralab.show.stats import Difference, half_width
from loralab.show.tables import grouped, training_seconds


@styled
def loss_curves(results: Sequence[Result]) -> Picture:
    """Training loss by step (smoothed over a tenth of an epoch), validation loss by epoch, and the learning rate.

    One colour a result; all have to be of one length and of one task.
    """
    last = "; ".join(f"{_short(result)}: {number(result.epochs[-1]['loss'], 3)}" for result in results)
    title = message("loss_title", last=last)
    figure, (above, below) = panels(title, 5.6, 2, 1, sharex=True, height_ratios=[3, 1])
    above.set_ylabel(message("loss_axis"))
    below.set(xlabel=message("step_axis"), ylabel=message("rate_axis"))
    texts, ticks, highest = [], [], 0.9
    chosen = looks([result.experiment.method for result in results])
    for position, (result, (marker, line, colour)) in enumerate(zip(results, chosen, strict=True)):
        loss = np.asarray(result.loss_by_step)
        per_epoch = len(loss) / len(result.epochs)
        window = max(1, round(per_epoch / 10))
        smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
        highest = max(highest, float(smooth.max()))
        validation = [epoch["loss"] for epoch in result.epochs]
        name = _short(result)
        above.plot(np.arange(window, len(loss) + 1), smooth, linestyle=line, color=colour, linewidth=1.2, label=name)
        beside = 0.02 * len(loss) * (position - (len(results) - 1) / 2)  # so that one marker does not hide another
        ends = per_epoch * np.arange(1, len(validation) + 1) + beside
        label = f"{name}: {message('validation_loss')}"
        above.plot(ends, validation, marker, color=colour, markeredgecolor="black", markersize=9, label=label)
        rate = np.asarray(result.learning_rate_by_step)
        below.plot(np.arange(1, len(rate) + 1)[rate > 0], rate[rate > 0], linestyle=line, color=colour)
        ticks.append(float(rate.max()))
        losses = ", ".join(number(value, 3) for value in validation)
        texts.append(f"{label}: {losses}; {message('rate_axis')}: {scientific(rate.max())}")
    if results[0].experiment.task == "classification":
        classes = len(results[0].provenance.get("labels", "01"))  # the first results have none, and two classes
        above.axhline(np.log(classes), color="black", linestyle=":", linewidth=1, label=f"ln {classes}")
        above.set_ylim(0, 1.05 * highest)
    below.set_yscale("log")
    below.set_yticks(ticks, [scientific(tick) for tick in ticks])
    below.minorticks_off()
    return Picture.with_legend(figure, title, texts)


@styled
def accuracy_against_rate(results: Sequence[Result]) -> Picture:
    """Validation accuracy after the last epoch against the learning rate, one line a method, one dot a run."""
    groups: dict[str, dict[float, float]] = {}
    for result in sorted(results, key=lambda r: r.experiment.learning_rate):
        rates = groups.setdefault(result.experiment.method, {})
        rates[result.experiment.learning_rate] = result.epochs[-1]["accuracy"]
    names = {method: short_name(method) for method in groups}
    best = {method: max(rates, key=rates.__getitem__) for method, rates in groups.items()}
    key = "rates_differ" if len(set(best.values())) > 1 else "rates_agree"
    title = message(key, best="; ".join(f"{names[method]}, {scientific(rate)}" for method, rate in best.items()))
    figure, axes = new_axes(title, message("rate_axis_log"), message("validation_axis"))
    texts = []
    for (method, rates), (marker, line, colour) in zip(groups.items(), looks(list(groups)), strict=True):
        shares = [100 * share for share in rates.values()]
        axes.plot(list(rates), shares, linestyle=line, linewidth=1, marker=marker, color=colour, label=names[method])
        listed = ", ".join(f"{scientific(rate)} {percent(share)}" for rate, share in rates.items())
        texts.append(f"{names[method]}: {listed}")
    log_ticks(axes, sorted({rate for rates in groups.values() for rate in rates}), scientific)
    axes.margins(x=0.1)
    return Picture.with_legend(figure, title, texts)


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
    texts = [f"{name}: {percent(share)}" for name, share in parts.items()]
    left, fills = 0.0, ((BLUE, ""), (ORANGE, "//"), (GREEN, "\\\\"), (GREY, ""))
    for text, share, (colour, hatch) in zip(texts, parts.values(), fills, strict=True):
        axes.barh(0, 100 * share, left=left, color=colour, hatch=hatch, edgecolor="white", label=text)
        left += 100 * share
    axes.set(yticks=[], ylim=(-0.45, 0.45))
    return Picture.with_legend(figure, title, texts, columns=1)


@styled
def score_against_rank(results: Sequence[Result], verdict: str) -> Picture:
    """A dot a run, joined within a seed: test accuracy (or loss on the answers) by rank; the title is the verdict."""
    score = score_of(results)
    figure, axes = new_axes(verdict, message("rank_axis_log"), test_axis(results), height=4.4)
    texts = []
    for seed, (marker, line, colour) in zip(sorted({r.experiment.seed for r in results}), cycle(LINES), strict=False):
        own = {r.experiment.rank: score.of(r) for r in results if r.experiment.seed == seed}
        name = f"{message('seed')} {seed}"
        axes.plot(list(own), list(own.values()), linestyle=line, marker=marker, color=colour, linewidth=1, label=name)
        texts.append(f"{name}: " + ", ".join(f"r={rank} {number(value, score.digits)}" for rank, value in own.items()))
    ranks = sorted({r.experiment.rank for r in results})
    means = [np.mean([score.of(r) for r in results if r.experiment.rank == k]) for k in ranks]
    axes.plot(ranks, means, "_", color="black", markersize=22, markeredgewidth=3, label=message("average"))
    if score.name == "accuracy":
        exam = 100 * half_width(float(np.mean(means)) / 100, len(results[0].labels))
        middle = np.mean(axes.get_ylim())
        axes.errorbar(ranks[-1] * 1.5, middle, exam, color=GREY, capsize=4, label=message("exam_luck_bar"))
    log_ticks(axes, ranks)
    return Picture.with_legend(figure, verdict, texts)


@styled
def comparison_panel(
    full: Sequence[Result], lora: Sequence[Result], title: str, in_turns: Mapping[str, Sequence[float]] | None = None
) -> Picture:
    """Four pairs of bars: score, trainable parameters, training time, peak memory; a dot for each seed.

    The time is the runs' own, in seconds; with `in_turns`, seconds of steps by method, the median of those.
    """
    (figure, grid), score = panels(title, 6.2, 2, 2), score_of(full)

    def taken(result: Result) -> float:
        if in_turns is None:
            return training_seconds(result)
        return 1000 * float(np.median(in_turns[result.experiment.method]))

    shown = [
        (test_axis(full), score.of, score.digits),
        (message("trainable_axis"), lambda r: r.parameters["trainable"] / 1e6, 3),
        (message("seconds_axis" if in_turns is None else "step_time_axis"), taken, 0),
        (message("memory_axis"), lambda r: r.memory["peak_bytes"] / 2**20, 0),
    ]
    names, texts = [_short(full[0]), _short(lora[0])], []
    for axes, (label, measure, digits) in zip(grid, shown, strict=True):
        each = [[measure(r) for r in group] for group in (full, lora)]
        values = [float(np.mean(dots)) for dots in each]
        axes.bar([0, 1], values, color=[ORANGE, BLUE], hatch=["//", ""], edgecolor="white", tick_label=names)
        for place, (value, dots) in enumerate(zip(values, each, strict=True)):
            axes.plot([place] * len(dots), dots, "k.", markersize=5)
            axes.annotate(number(value, digits), (place, max(dots)), (0, 6), textcoords="offset points", ha="center")
        axes.set_title(label, fontsize=11, loc="left")
        axes.set_ylim(0, 1.25 * max(map(max, each)))
        texts.append(f"{label}: {number(values[0], digits)} / {number(values[1], digits)}")
    return Picture(figure, f"{title} {names[0]} / {names[1]}: {'; '.join(texts)}.")


@styled
def ruler(difference: Difference, margin: float, verdict: str, score: Score = SCORES["classification"]) -> Picture:
    """The difference of two methods' scores on a ruler: dots a seed, thick bar 90 %, thin 95 %, margin shaded."""
    factor, digits, unit = score.factor, score.digits + 1, message(score.unit)
    figure, axes = new_axes(verdict, message("ruler_axis", unit=unit), height=3.2)
    mean, thick, thin = (factor * x for x in (difference.mean, difference.half(0.9), difference.half(0.95)))
    edge, seeds = factor * margin, [factor * d for d in difference.by_seed]
    axes.axvspan(-edge, edge, color=GREY, alpha=0.5, label=message("margin", m=score.with_unit(margin)))
    axes.axvline(0, color="black", linewidth=1)
    outer, inner = (message("interval", level=percent(level, 0)) for level in (0.95, 0.9))
    axes.errorbar(mean, 0, xerr=thin, color=BLUE, linewidth=2, capsize=5, label=outer)
    axes.errorbar(mean, 0, xerr=thick, color=BLUE, linewidth=8, label=inner)
    axes.plot(mean, 0, "o", color="white", markeredgecolor="black", markersize=9, zorder=5)
    axes.plot(seeds, [0.5] * len(seeds), "D", color=ORANGE, markeredgecolor="black", label=message("each_seed"))
    reach = 1.15 * max(abs(mean) + min(thin, 20 * edge), 2 * edge, *(abs(s) for s in seeds))
    axes.set(xlim=(-reach, reach), ylim=(-0.6, 1), yticks=[])
    text = f"{number(mean, digits)} ± {number(thin, digits)} ({percent(0.95, 0)}), "
    text += f"± {number(thick, digits)} ({percent(0.9, 0)})"
    points = ", ".join(number(s, digits) for s in seeds)
    return Picture.with_legend(figure, verdict, [text, f"{message('each_seed')}: {points}"])


@styled
def gained_and_forgotten(base: Result, tuned: Sequence[Result]) -> Picture:
    """Loss on the persona's answers against loss on editorials: a line from the base to each run."""
    groups = grouped(tuned, lambda result: result.experiment.method)
    title = message("forgetting_title", points="; ".join(_change(base, group) for group in groups.values()))
    across, up = message("answer_loss_axis"), message("other_loss_axis")
    figure, axes = new_axes(title, across, up, height=4.4)
    start = (base.test["loss"], base.test["other_loss"])
    axes.plot(*start, "k*", markersize=14, label=_short(base))
    texts = [f"{across}, {up}: {_short(base)}: {number(start[0], 3)}, {number(start[1], 3)}"]
    for group, (marker, line, colour) in zip(groups.values(), looks(list(groups)), strict=True):
        name = _short(group[0])
        for result in group:
            end = (result.test["loss"], result.test["other_loss"])
            axes.plot([start[0], end[0]], [start[1], end[1]], linestyle=line, color=colour, linewidth=1.2)
            label = name if result is group[0] else None
            axes.plot(*end, marker, color=colour, markeredgecolor="black", markersize=9, label=label)
            texts.append(f"{name}: {number(end[0], 3)}, {number(end[1], 3)}")
    axes.margins(0.12)
    return Picture.with_legend(figure, title, texts)


def _change(base: Result, group: Sequence[Result]) -> str:
    changes = [float(np.mean([r.test[s] for r in group])) - base.test[s] for s in ("loss", "other_loss")]
    signed = [("+" if change > 0 else "") + SCORES["generation"].amount(change) for change in changes]
    return message("forgetting_point", name=_short(group[0]), gain=signed[0], loss=signed[1])


def test_axis(results: Sequence[Result]) -> str:
    """The name of an axis of scores on the test, with the test's size."""
    return message(score_of(results).axis, n=number(len(results[0].labels), 0))


def _short(result: Result) -> str:
    return short_name(result.experiment.method)
