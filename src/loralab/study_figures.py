"""Figures of the study: rates, scale rules, the student's runs over the evidence, and what is inside the updates."""

from collections.abc import Sequence

import numpy as np

from loralab.experiment import Result
from loralab.messages import message, number, percent, scientific
from loralab.plotting import BELOW, BLUE, GREY, LINES, LOOKS, ORANGE, Picture, log_ticks, looks, new_axes, styled
from loralab.sentences import SCORES, difference, margin_verdict, rank_verdict, with_unit
from loralab.study import Evidence, Sweep, scale_groups
from loralab.tables import size_text
from loralab.update import INTRUDER, TOP, Update


@styled
def loss_against_rate(sweeps: Sequence[Sweep]) -> Picture:
    """Validation loss (nats) against the learning rate, one line a method; a ring around each method's best."""
    best = "; ".join(
        f"{_method(sweep)}, {scientific(sweep.best)}{' ' + message('at_edge') if sweep.at_edge else ''}"
        for sweep in sweeps
    )
    title = message("sweep_title", best=best)
    figure, axes = new_axes(title, message("rate_axis_log"), message("validation_loss_axis"), height=4.4)
    texts = []
    for sweep, (marker, line, colour) in zip(sweeps, looks([sweep.method for sweep in sweeps]), strict=True):
        finite = {rate: loss for rate, loss in sweep.losses.items() if np.isfinite(loss)}
        axes.plot(
            list(finite), list(finite.values()), linestyle=line, marker=marker, color=colour, label=_method(sweep)
        )
        axes.plot(sweep.best, finite[sweep.best], "o", markersize=14, fillstyle="none", color="black")
        listed = ", ".join(f"{scientific(rate)} {number(loss, 3)}" for rate, loss in sweep.losses.items())
        texts.append(f"{_method(sweep)}: {listed}")
    axes.set_xscale("log")
    axes.minorticks_off()
    figure.legend(**BELOW)
    return Picture(figure, f"{title}. {'; '.join(texts)}.")


def _method(sweep: Sweep) -> str:
    return message(f"short_{sweep.method}")


@styled
def score_by_scale_rule(evidence: Evidence) -> Picture:
    """Test score against rank by each scale rule: a dot a run, a line through the means."""
    groups, score = scale_groups(evidence), SCORES[evidence.track.task]
    means = {
        rule: {
            rank: score.factor * float(np.mean([r.test[score.name] for r in runs if r.experiment.rank == rank]))
            for rank in sorted({r.experiment.rank for r in runs})
        }
        for rule, runs in groups.items()
    }
    listed = {rule: ", ".join(number(m, score.digits) for m in by_rank.values()) for rule, by_rank in means.items()}
    title = message("scale_title", **listed)
    examples = number(len(evidence.scales[0].labels), 0)
    figure, axes = new_axes(title, message("rank_axis_log"), message(f"test_{score.name}_axis", n=examples), height=4.8)
    for (rule, runs), (marker, line, colour) in zip(groups.items(), LINES, strict=False):
        by_rank = means[rule]
        axes.plot(
            list(by_rank), list(by_rank.values()), linestyle=line, color=colour, marker=marker, label=message(rule)
        )
        for run in runs:
            axes.plot(run.experiment.rank, score.factor * run.test[score.name], marker, color=colour, alpha=0.4)
    ranks = sorted(means["scale_fixed"])
    log_ticks(axes, ranks, [str(rank) for rank in ranks])
    figure.legend(**BELOW)
    text = "; ".join(f"{message(rule)}: {values}" for rule, values in listed.items())
    return Picture(figure, f"{title}. r = {', '.join(map(str, ranks))}: {text}.")


@styled
def own_over_evidence(own: Sequence[Result], evidence: Evidence) -> Picture:
    """Score against rank: the study's runs in grey with their means, one's own in colour, each labelled.

    The title is the study's verdict. The two were trained on other numbers of examples, so each is shown around its own
    mean at the study's rank (or around that of all its runs, if it has none there).
    """
    score, reference = SCORES[evidence.track.task], evidence.track.rank
    title = message("study_says", verdict=rank_verdict(evidence.ranks, reference))
    label = message(f"around_mean_{score.name}", rank=reference)
    figure, axes = new_axes(title, message("rank_axis_log"), label, height=4.6)
    texts, ranks = [], set()
    for name, runs, marker, colour in (
        (_origin("from_study", evidence.ranks), evidence.ranks, "o", GREY),
        (_origin("from_own", own), own, "D", BLUE),
    ):
        centred = [r for r in runs if r.experiment.rank == reference] or runs
        centre = float(np.mean([r.test[score.name] for r in centred]))
        by_rank = {
            rank: [score.factor * (r.test[score.name] - centre) for r in runs if r.experiment.rank == rank]
            for rank in sorted({r.experiment.rank for r in runs})
        }
        shift = 0.94 if colour == GREY else 1.06
        for rank, values in by_rank.items():
            shown = name if rank == min(by_rank) else None
            places = [rank * shift] * len(values)
            axes.plot(places, values, marker, color=colour, markeredgecolor="black", alpha=0.8, label=shown)
            axes.plot(rank * shift, np.mean(values), "_", color="black", markersize=20, markeredgewidth=3)
        ranks |= set(by_rank)
        means = ", ".join(f"r={rank} {number(float(np.mean(v)), score.digits)}" for rank, v in by_rank.items())
        texts.append(f"{name}: {means}")
    axes.axhline(0, color="black", linewidth=1)
    log_ticks(axes, sorted(ranks), [str(rank) for rank in sorted(ranks)])
    figure.legend(**BELOW | {"ncols": 1})
    return Picture(figure, f"{title}. {'; '.join(texts)}.")


def _origin(key: str, runs: Sequence[Result]) -> str:
    """Whose runs they are, of which model, trained on how many examples, with how many seeds."""
    first = runs[0].experiment
    return message(
        key, model=first.model, train=size_text(first.train_size), seeds=len({r.experiment.seed for r in runs})
    )


@styled
def two_rulers(own: tuple[Sequence[Result], Sequence[Result]], evidence: Evidence) -> Picture:
    """Full fine-tuning minus LoRA on one ruler: the study's interval above, one's own below, the margin shaded.

    The title is the study's verdict.
    """
    task, margin = evidence.track.task, evidence.track.margin
    score = SCORES[task]
    title = message("study_says", verdict=margin_verdict(evidence.of("full"), evidence.of("lora"), margin))
    figure, axes = new_axes(title, message("ruler_axis", unit=message(score.unit)), height=3.9)
    edge, texts, reach = score.factor * margin, [], 2 * score.factor * margin
    axes.axvspan(-edge, edge, color=GREY, alpha=0.5, label=message("margin", m=with_unit(margin, task)))
    axes.axvline(0, color="black", linewidth=1)
    studied = (evidence.of("full"), evidence.of("lora"))
    for height, name, pair, colour in (
        (1.0, _origin("from_study", studied[0]), studied, ORANGE),
        (0.0, _origin("from_own", own[0]), own, BLUE),
    ):
        found = difference(*pair)
        mean, thick, thin = (score.factor * x for x in (found.mean, found.half(0.9), found.half()))
        axes.errorbar(mean, height, xerr=min(thin, 20 * edge), color=colour, linewidth=2, capsize=5)
        axes.errorbar(mean, height, xerr=min(thick, 20 * edge), color=colour, linewidth=8, label=name)
        axes.plot(mean, height, "o", color="white", markeredgecolor="black", markersize=9, zorder=5)
        reach = max(reach, 1.15 * (abs(mean) + min(thin, 6 * edge)))
        texts.append(f"{name}: {number(mean, score.digits + 1)} ± {number(thin, score.digits + 1)}")
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-0.6, 1.6)
    axes.locator_params(axis="x", nbins=5)
    axes.set_yticks([])
    figure.legend(**BELOW | {"ncols": 1})
    return Picture(figure, f"{title}. {'; '.join(texts)}.")


@styled
def singular_values(found: Sequence[Update]) -> Picture:
    """Singular values of the updates, means over matrices and seeds, from large to small; both axes logarithmic."""
    full = np.mean([update.full for update in found], axis=0)
    lora = np.mean([update.lora for update in found], axis=0)
    title = message(
        "singular_title", rank=len(lora), lora=number(float(lora[0]), 3), full=number(float(full[0]), 3), all=len(full)
    )
    figure, axes = new_axes(title, message("singular_axis"), message("singular_value_axis"), height=4.4)
    for name, values in (("full", full), ("lora", lora)):
        marker, line, colour = LOOKS[name]
        order = np.arange(1, len(values) + 1)
        marks = marker if len(values) < 50 else ""
        axes.plot(order, values, linestyle=line, marker=marks, color=colour, label=message(f"short_{name}"))
    axes.set_xscale("log")
    axes.set_yscale("log")
    figure.legend(**BELOW)
    text = ", ".join(number(float(value), 3) for value in full[: len(lora)])
    own = ", ".join(number(float(value), 3) for value in lora)
    return Picture(figure, f"{title}. {message('short_full')}: {text}, …; {message('short_lora')}: {own}.")


@styled
def captured_by_rank(found: Sequence[Update]) -> Picture:
    """How much of full fine-tuning's update the best matrix of each rank could have: mean, and from least to most."""
    squares = np.array([update.full for update in found]) ** 2
    shares = 100 * squares.cumsum(axis=1) / squares.sum(axis=1, keepdims=True)
    ranks, mean = np.arange(1, shares.shape[1] + 1), shares.mean(axis=0)
    own, needed = len(found[0].lora), int(np.flatnonzero(mean >= 90)[0]) + 1
    title = message("captured_title", rank=own, share=percent(float(mean[own - 1]) / 100, 0), needed=needed)
    figure, axes = new_axes(title, message("rank_axis_log"), message("captured_axis"), height=4.4)
    axes.fill_between(
        ranks, shares.min(axis=0), shares.max(axis=0), color=GREY, alpha=0.6, label=message("all_matrices")
    )
    axes.plot(ranks, mean, color=ORANGE, label=message("average"))
    axes.axvline(own, color=BLUE, linestyle="--", label=f"r = {own}")
    shown = [rank for rank in (1, 4, 8, 16, 32, 64, 128, 384) if rank <= len(ranks)]
    log_ticks(axes, shown, [str(rank) for rank in shown])
    axes.set_ylim(0, 101)
    figure.legend(**BELOW | {"ncols": 1})
    listed = ", ".join(f"r={rank} {percent(float(mean[rank - 1]) / 100)}" for rank in shown)
    return Picture(figure, f"{title}. {listed}.")


@styled
def intruders(found: Sequence[Update]) -> Picture:
    """For each of the trained matrices' first singular vectors, how like the base's nearest one it is (cosine)."""
    counts = {m: float(np.mean([update.intruders(m) for update in found])) for m in LOOKS}
    title = message("intruders_title", top=TOP, full=number(counts["full"], 1), lora=number(counts["lora"], 1))
    figure, axes = new_axes(title, message("vector_axis"), message("cosine_axis"), height=4.4)
    order, texts = np.arange(1, TOP + 1), []
    for method, (marker, line, colour) in LOOKS.items():
        values = np.array([update.similarity[method] for update in found])
        name = message(f"short_{method}")
        axes.fill_between(order, *np.quantile(values, [0.1, 0.9], axis=0), color=colour, alpha=0.25)
        axes.plot(order, values.mean(axis=0), linestyle=line, marker=marker, color=colour, label=name)
        texts.append(f"{name}: {', '.join(number(float(value), 2) for value in values.mean(axis=0))}")
    axes.axhline(INTRUDER, color="black", linestyle=":", linewidth=1.5, label=message("intruder_line"))
    axes.set_ylim(0, 1.05)
    figure.legend(**BELOW)
    return Picture(figure, f"{title}. {'; '.join(texts)}.")
