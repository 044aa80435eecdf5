"""Figures of the study: rates, scale rules, the student's runs over the evidence, and what is inside the updates."""

from collections.abc import Sequence

import numpy as np

from loralab.evidence.study import Evidence, Sweep, scale_groups
from loralab.evidence.update import INTRUDER, TOP, Update
from loralab.experiment import Result
from loralab.messages import message, number, percent, scientific
from loralab.show.figures import test_axis
from loralab.show.plotting import BLUE, GREY, LINES, LOOKS, ORANGE, Picture, log_ticks, looks, new_axes, styled
from loralab.show.scores import difference, short_name
from loralab.show.sentences import margin_verdict, rank_verdict
from loralab.show.tables import by_rank, size_text


@styled
def loss_against_rate(sweeps: Sequence[Sweep]) -> Picture:
    """Validation loss (nats) against the learning rate, one line a method; a ring around each method's best."""
    names = [short_name(sweep.method) for sweep in sweeps]
    edges = [f" {message('at_edge')}" if sweep.at_edge else "" for sweep in sweeps]
    best = [f"{name}, {scientific(s.best)}{edge}" for name, s, edge in zip(names, sweeps, edges, strict=True)]
    title, texts = message("sweep_title", best="; ".join(best)), []
    figure, axes = new_axes(title, message("rate_axis_log"), message("validation_loss_axis"), height=4.4)
    chosen = looks([sweep.method for sweep in sweeps])
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
def score_by_scale_rule(evidence: Evidence) -> Picture:
    """Test score against rank by each scale rule: a dot a run, a line through the means."""
    groups, score = scale_groups(evidence), evidence.score
    means = {
        rule: {rank: float(np.mean([score.of(run) for run in of_rank])) for rank, of_rank in by_rank(runs).items()}
        for rule, runs in groups.items()
    }
    listed = {rule: ", ".join(number(m, score.digits) for m in of_rule.values()) for rule, of_rule in means.items()}
    title = message("scale_title", **listed)
    figure, axes = new_axes(title, message("rank_axis_log"), test_axis(evidence.scales), height=4.8)
    for (rule, runs), (marker, line, colour) in zip(groups.items(), LINES, strict=False):
        ranks, middles = list(means[rule]), list(means[rule].values())
        axes.plot(ranks, middles, linestyle=line, color=colour, marker=marker, label=message(rule))
        for run in runs:
            axes.plot(run.experiment.rank, score.of(run), marker, color=colour, alpha=0.4)
    ranks = list(means["scale_fixed"])
    log_ticks(axes, ranks)
    text = "; ".join(f"{message(rule)}: {values}" for rule, values in listed.items())
    return Picture.with_legend(figure, title, [f"r = {', '.join(map(str, ranks))}: {text}"])


@styled
def own_over_evidence(own: Sequence[Result], evidence: Evidence) -> Picture:
    """Score against rank: the study's runs in grey with their means, one's own in colour, each labelled.

    The title is the study's verdict. The two were trained on other numbers of examples, so each is shown around its own
    mean at the study's rank (or around that of all its runs, if it has none there).
    """
    score, reference = evidence.score, evidence.track.rank
    title = message("study_says", verdict=rank_verdict(evidence.ranks, reference))
    label = message(score.around_mean, rank=reference)
    figure, axes = new_axes(title, message("rank_axis_log"), label, height=4.6)
    texts, ranks = [], set()
    series = (("from_study", evidence.ranks, "o", GREY, 0.94), ("from_own", own, "D", BLUE, 1.06))
    for origin, runs, marker, colour, shift in series:
        name, groups = _origin(origin, runs), by_rank(runs)
        centre = float(np.mean([r.test[score.name] for r in groups.get(reference, runs)]))
        around = {k: [score.factor * (r.test[score.name] - centre) for r in group] for k, group in groups.items()}
        for rank, values in around.items():
            shown = name if rank == min(around) else None
            places = [rank * shift] * len(values)
            axes.plot(places, values, marker, color=colour, markeredgecolor="black", alpha=0.8, label=shown)
            axes.plot(rank * shift, np.mean(values), "_", color="black", markersize=20, markeredgewidth=3)
        ranks |= set(around)
        means = ", ".join(f"r={rank} {number(float(np.mean(v)), score.digits)}" for rank, v in around.items())
        texts.append(f"{name}: {means}")
    axes.axhline(0, color="black", linewidth=1)
    log_ticks(axes, sorted(ranks))
    return Picture.with_legend(figure, title, texts, columns=1)


def _origin(key: str, runs: Sequence[Result]) -> str:
    """Whose runs they are, of which model, trained on how many examples, with how many seeds."""
    first, seeds = runs[0].experiment, len({r.experiment.seed for r in runs})
    return message(key, model=first.model, train=size_text(first.train_size), seeds=seeds)


@styled
def two_rulers(own: tuple[Sequence[Result], Sequence[Result]], evidence: Evidence) -> Picture:
    """Full fine-tuning minus LoRA on one ruler: the study's interval above, one's own below, the margin shaded.

    The title is the study's verdict.
    """
    score, margin, studied = evidence.score, evidence.track.margin, (evidence.of("full"), evidence.of("lora"))
    title = message("study_says", verdict=margin_verdict(*studied, margin))
    figure, axes = new_axes(title, message("ruler_axis", unit=message(score.unit)), height=3.9)
    edge, texts, reach = score.factor * margin, [], 2 * score.factor * margin
    axes.axvspan(-edge, edge, color=GREY, alpha=0.5, label=message("margin", m=score.with_unit(margin)))
    axes.axvline(0, color="black", linewidth=1)
    for height, origin, pair, colour in ((1.0, "from_study", studied, ORANGE), (0.0, "from_own", own, BLUE)):
        name, gap = _origin(origin, pair[0]), difference(*pair)
        mean, thick, thin = (score.factor * x for x in (gap.mean, gap.half(0.9), gap.half()))
        axes.errorbar(mean, height, xerr=min(thin, 20 * edge), color=colour, linewidth=2, capsize=5)
        axes.errorbar(mean, height, xerr=min(thick, 20 * edge), color=colour, linewidth=8, label=name)
        axes.plot(mean, height, "o", color="white", markeredgecolor="black", markersize=9, zorder=5)
        reach = max(reach, 1.15 * (abs(mean) + min(thin, 6 * edge)))
        texts.append(f"{name}: {number(mean, score.digits + 1)} ± {number(thin, score.digits + 1)}")
    axes.set(xlim=(-reach, reach), ylim=(-0.6, 1.6), yticks=[])
    axes.locator_params(axis="x", nbins=5)
    return Picture.with_legend(figure, title, texts, columns=1)


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
