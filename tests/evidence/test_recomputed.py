"""Every table of the report and its verdicts, worked out a second time from the files, by what is written of them.

Nothing of the package's own statistics is used: only the JSON files, protocol.toml, profiles.toml and en.toml. Numbers
are compared as text; where one lies on the edge between two roundings, either will do.
"""

import json
import math
import re
import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import NormalDist, mean, median, stdev

import numpy as np
import pytest

from loralab.evidence import report as page
from loralab.evidence import study
from loralab.evidence.sweeps import one_by_one
from loralab.profiles import load_profile

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "loralab"
TEXT = {k: v for p in PACKAGE.rglob("en.toml") for k, v in tomllib.loads(p.read_text("utf-8")).items()}
PROTOCOL = tomllib.loads((PACKAGE / "evidence" / "protocol.toml").read_text("utf-8"))
RULES, MARGINS = PROTOCOL["rules"], PROTOCOL["margins"]
# Not covered: copies of provenance and of answers, data/sizes.json (its own tests), and what figures draw, but for the
# titles and numbers of the ruler and of the ranks. chrF, distinct-1 and -2, words and longest copy are what runs kept.
NOT_COVERED = [TEXT[key] for key in ("report_memory", "report_provenance", "report_samples")]
KEPT = {"chrf": ("chrF", 1), "distinct_1": ("distinct-1", 2), "distinct_2": ("distinct-2", 2)}
KEPT |= {"words": (TEXT["answer_words"], 1), "longest_overlap": (TEXT["longest_overlap"], 0)}
SHOWN = {"accuracy": (100, 1, TEXT["unit_points"]), "loss": (1, 3, TEXT["unit_nats"])}
BASELINES = {"classification": ["majority", "tfidf", "frozen"], "generation": ["retrieval", "base", "few-shot"]}
TRAINED = {"classification": ["head", "full", "lora"], "generation": ["full", "lora"]}
LORAS = ("lora", "rslora", "dora", "pissa")


# Text. What is expected is a regular expression.


def num(value, digits):
    texts = sorted({f"{value * (1 + nudge):z,.{digits}f}".replace("-", "−") for nudge in (-1e-9, 1e-9)})
    return f"(?:{'|'.join(map(re.escape, texts))})"


def sign(value):
    return r"\+?" if abs(value) < 1e-12 else r"\+" * (value > 0)


def percent(share, digits=1):
    return f"{num(100 * share, digits)}%"


def said(key, **values):
    """A message, literal but for its values."""
    parts = re.split(r"\{(\w+)\}", TEXT[key])
    return "".join(str(values[part]) if i % 2 else re.escape(part) for i, part in enumerate(parts))


def scientific(rate):
    return re.escape(f"{rate:g}".replace("e-0", "e-"))


def from_to(shares):
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low}{re.escape(' to ')}{high}"


def place_name(place):
    return TEXT.get(f"target_{place}", place)


# Statistics.


@cache
def student(level, freedom):
    """Student's t: with t = √df·tan(a) its density is that of a in proportion to cos(a)^(df-1)."""
    angle = np.linspace(0, math.pi / 2, 200_001)
    below = np.cumsum(np.convolve(np.cos(angle) ** (freedom - 1), [0.5, 0.5], mode="valid"))
    return math.sqrt(freedom) * math.tan(np.interp(level, [0, *(below / below[-1])], angle))


def interval(values, weights, level, few=False):
    """By seed, mean, and half the interval of Σ values / Σ weights; values are seeds × examples.

    The examples' component of variance is what two seeds' residuals share: their covariance, mean over pairs of seeds.
    """
    seeds, examples = values.shape
    by_seed = values.sum(axis=1) / weights.sum()
    shared = np.cov(values - np.outer(by_seed, weights)).reshape(seeds, seeds)
    component = shared[~np.eye(seeds, dtype=bool)].mean() if seeds > 1 else shared[0, 0]
    exam = math.sqrt(max(0, component) * examples) / weights.sum()
    quantile = student(level, examples - 1) if few else NormalDist().inv_cdf((1 + level) / 2)
    training = student(level, seeds - 1) * stdev(by_seed) / math.sqrt(seeds) if seeds > 1 else 0
    return by_seed, float(by_seed.mean()), math.hypot(training, quantile * exam)


def ratio(ratios):
    """Low end, middle and high end, at 95 %, of ratios taken in rounds, by their logarithms."""
    logs = [math.log(value) for value in ratios]
    half = student(0.95, len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    return [math.exp(mean(logs) + part * half) for part in (-1, 0, 1)]


def times(ratios):
    low, middle, high = (num(value, 2) for value in ratio(ratios))
    return said("times_interval", low=low, middle=middle, high=high)


def judge(low, high, least, most=math.inf):
    if least <= low and high <= most:
        return "confirmed"
    return "refuted" if high < least or low > most else "undecided"


def over(verdicts):
    found = set(verdicts)
    return found.pop() if len(found) == 1 else "depends" if {"confirmed", "refuted"} <= found else "undecided"


# One run's numbers, from what it has of each example.


def right(run):
    return np.equal(run["predictions"], run["labels"]).astype(float)


def of_each(run, by):
    """What a run has of each example, and the examples' weights."""
    if by == "accuracy":
        return right(run), np.ones(len(run["labels"]))
    values = run.get("other_nats") if by == "other" else run["answer_nats"] or run.get("test_losses")
    weights = run.get("other_tokens") if by == "other" else run["answer_tokens"]
    return np.array(values), np.array(weights or [1] * len(values), dtype=float)


def score(run, by):
    values, weights = of_each(run, by)
    value = values.sum() / weights.sum()
    assert math.isclose(value, run["test"][{"other": "other_loss"}.get(by, by)], abs_tol=1e-9)
    return value


def f1_and_mcc(run):
    guess, truth = (np.array(run[name]) for name in ("predictions", "labels"))
    (tn, fp), (fn, tp) = [[float(((truth == a) & (guess == b)).sum()) for b in (0, 1)] for a in (0, 1)]
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    f1 = 2 * tp / (2 * tp + fp + fn) if tp else 0.0
    return f1, (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0


def peak(runs):
    return mean(run["memory"]["peak_bytes"] for run in runs)


class Track:
    """A track's files, sorted by what the profile asks for."""

    def __init__(self, folder, task):
        row = whole_profile()
        self.row = row["generation"] if task == "generation" else row
        self.task, self.rank = task, self.row["rank"]
        runs = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("runs/*/result.json"))]
        runs = [run for run in runs if run["experiment"]["task"] == task]
        runs.sort(key=lambda run: run["experiment"]["seed"])
        self.swept = [run for run in runs if not run["experiment"]["examined"]]
        self.runs = [run for run in runs if run["experiment"]["examined"]]
        assert not any(run["test"] or run["predictions"] for run in self.swept)
        assert {run["experiment"]["seed"] for run in self.swept} == {max(self.row["seeds"]) + 1}
        measured = json.loads((folder / "study" / f"measured-{task}.json").read_text("utf-8"))
        self.seconds, self.timing = measured["timing"]["seconds"], measured["timing"]
        self.planned = measured["planned"]
        self.by = "accuracy" if task == "classification" else "loss"
        self.factor, self.digits, self.unit = SHOWN[self.by]
        at = {f"r = {rank}": (rank, "default") for rank in sorted(self.row["ranks"])}
        targets = {name: m if isinstance(m, str) else tuple(m) for name, m in self.row["targets"].items()}
        self.at = at | {name: (self.rank, modules) for name, modules in targets.items()}
        self.own, self.targets = f"r = {self.rank}", list(targets)
        self.places = {place: self.of("lora", place) for place in self.at}
        self.full, self.lora = self.of("full"), self.places[self.own]
        for group in (self.full, *self.places.values()):
            assert [run["experiment"]["seed"] for run in group] == self.row["seeds"]

    def of(self, method, place=None, runs=None):
        found = [run for run in (self.runs if runs is None else runs) if run["experiment"]["method"] == method]
        if method == "lora":
            found = [r for r in found if self.at[place or self.own] == place_of(r["experiment"])]
        return found

    def sweep(self, method, place=None, finer=False):
        """Losses by rate from low to high, and whether a rate beyond the edge was added; `finer`: with two more."""
        tried = {r["experiment"]["learning_rate"]: r["epochs"][-1]["loss"] for r in self.of(method, place, self.swept)}
        tried = {rate: tried[rate] for rate in sorted(tried)}

        def only(rates):
            return {r: loss for r, loss in tried.items() if any(math.isclose(r, x, rel_tol=1e-6) for x in rates)}

        declared = self.row["sweep"][method]
        losses = only(declared)
        rates, best, extended = list(losses), min(losses, key=losses.get), False
        if len(rates) > 1 and best in (rates[0], rates[-1]):
            beyond = best**2 / (rates[1] if best == rates[0] else rates[-2])
            extended = not any(math.isclose(beyond, rate, rel_tol=1e-6) for rate in declared)  # that one diverged
            losses = only([*declared, beyond])
        more, best = sorted(tried.keys() - losses), min(losses, key=losses.get)
        assert not more or np.allclose(more, [best / RULES["finer"], best * RULES["finer"]], rtol=1e-3)
        assert bool(more) == (method in ("full", "lora") and place in (None, self.own))
        return tried if finer else losses, extended

    def best(self, method, place=None):
        """Each method's own best rate; LoRA's variants take LoRA's."""
        losses = self.sweep("lora" if method in LORAS else method, place)[0]
        return min(losses, key=losses.get)

    def name(self, method):
        return f"{TEXT[method]} r={self.rank}" if method in LORAS else TEXT[method]

    def amount(self, value, more=0):
        return num(self.factor * value, self.digits + more)

    def minus(self, a, b, level=0.95, by=None):
        """One group's score less the other's, in pairs by seed and example."""
        (a, b), by = paired(a, b), by or self.by
        rows = [of_each(x, by)[0] - of_each(y, by)[0] for x, y in zip(a, b, strict=True)]
        return interval(np.array(rows), of_each(a[0], by)[1], level)

    def alone(self, runs):
        """A group's own score, with both kinds of luck; of answers, the exam's is that of topics."""
        values, weights = np.array([of_each(run, self.by)[0] for run in runs]), of_each(runs[0], self.by)[1]
        if self.task == "generation":
            groups = [topics().get(question, question) for question in runs[0]["questions"]]
            member = np.array([[group == one for group in groups] for one in sorted(set(groups))], dtype=float)
            values, weights = values @ member.T, member @ weights
        return interval(values, weights, 0.95, few=True)

    # Tables: rows of expressions, the header first.

    def sweep_table(self, shown):
        rows = [[re.escape(TEXT[k]) for k in ("method", "rates_and_losses", "best_rate", "extended", "still_at_edge")]]
        for method, place, finer in shown:
            losses, extended = self.sweep(method, place, finer)
            best, title = min(losses, key=losses.get), TEXT[method] + (f", {place_name(place)}" if place else "")
            edge = best in (min(losses), max(losses))
            told = " · ".join(f"{scientific(rate)}: {num(loss, 3)}" for rate, loss in losses.items())
            rows.append(
                [re.escape(title), told, scientific(best), *(TEXT["yes" if x else "no"] for x in (extended, edge))]
            )
        return rows

    def comparison(self, groups):
        """By column's name: what each group reached and cost; times are left out where they were taken in turns."""
        columns, with_full = [], any(runs is self.full for runs in groups.values())
        for runs in groups.values():
            run, column = runs[0], {}
            if self.task == "classification":
                p, n = mean(score(r, "accuracy") for r in runs), len(run["labels"])
                half = NormalDist().inv_cdf(0.975) * math.sqrt(p * (1 - p) / n)
                column[TEXT["accuracy"]] = f"{percent(p)} ± {num(100 * half, 1)}"
                each = [num(100 * score(r, "accuracy"), 1) for r in runs]
                column[TEXT["accuracy_by_seed"]] = " · ".join(each) if runs[1:] else "–"
                f1, mcc = zip(*map(f1_and_mcc, runs), strict=True)
                column |= {"F1": num(mean(f1), 3), "MCC": num(mean(mcc), 3)}
                loss = [score(r, "loss") for r in runs if "loss" in r["test"]]
                column[TEXT["loss"]] = num(mean(loss), 3) if loss else "–"
            else:
                losses = [score(r, "loss") for r in runs if r["answer_nats"]]
                odd = [math.exp(loss) for loss in losses]
                column[TEXT["answer_loss"]] = num(mean(losses), 3) if losses else "–"
                column[TEXT["perplexity"]] = num(mean(odd), 1) if odd else "–"
                column[TEXT["perplexity_by_seed"]] = " · ".join(num(x, 1) for x in odd) if odd[1:] else "–"
                column |= {title: num(mean(r["test"][k] for r in runs), d) for k, (title, d) in KEPT.items()}
                other = [score(r, "other") for r in runs if losses]
                column[TEXT["other_loss"]] = num(mean(other), 3) if other else "–"
            names = ("trainable", "trainable_adapter", "trainable_share", "peak_memory", "memory_saved")
            column |= {TEXT[name]: "–" for name in names}
            if counts := run["parameters"]:
                saved = percent(1 - peak(runs) / peak(self.full)) if with_full else "–"
                share = percent(counts["trainable"] / counts["total"], 3)
                sizes = [num(counts["trainable"], 0), num(counts["adapter"], 0), share]
                cells = [*sizes, num(peak(runs) / 2**20, 0), saved]
                column |= {TEXT[name]: cell for name, cell in zip(names, cells, strict=True)}
            column |= {TEXT["test_examples"]: num(len(run["labels"]), 0), TEXT["seeds"]: str(len(runs))}
            columns.append(column)
        rows = [[re.escape(name), *(column[name] for column in columns)] for name in columns[0]]
        return [["", *map(re.escape, groups)], *(row for row in rows if set(row[1:]) != {"–"})]

    def costs(self, runs, method="lora", place=None):
        counts, rate = runs[0]["parameters"], self.best(method, place)
        assert {run["experiment"]["learning_rate"] for run in runs} == {rate}
        assert all(run["parameters"] == counts for run in runs)
        memory = num(peak(runs) / 2**20, 0)
        return [num(counts["trainable"], 0), num(counts["adapter"], 0), scientific(rate), memory]

    def groups(self, groups, beside=""):
        """Groups, by name: their runs, method and place."""
        names = ["average", "deviation", "interval_of_both", "by_seed"]
        names = [re.escape(TEXT[name]) for name in names] + ([said("minus_group", name=beside)] if beside else [])
        rows = [["", *names, *map(re.escape, map(TEXT.get, COSTS))]]
        for name, (runs, method, place) in groups.items():
            by_seed, middle, half = self.alone(runs)
            each = " · ".join(map(self.amount, by_seed))
            row = [re.escape(name), self.amount(middle), self.amount(stdev(by_seed), 1), f"± {self.amount(half)}", each]
            if beside:
                row.append("–" if name == beside else self.signed(self.minus(runs, groups[beside][0])))
            rows.append([*row, *self.costs(runs, method, place)])
        return rows

    def signed(self, found):
        return f"{sign(found[1])}{self.amount(found[1])} ± {self.amount(found[2])}"

    def others(self):
        own = [TEXT["accuracy" if self.by == "accuracy" else "loss"], TEXT["interval_of_exam"]]
        minus, step = said("minus_group", name=self.name("lora")), re.escape(TEXT["step_over_lora"])
        rows = [["", *map(re.escape, own), minus, *map(re.escape, map(TEXT.get, COSTS)), step]]
        for method in ("full", "lora", *self.row["methods"]):
            runs = self.of(method)[:1]
            assert runs[0]["experiment"]["seed"] == self.row["seeds"][0]
            alpha, root = runs[0]["experiment"]["alpha"], 0.5 if method == "rslora" else 1
            title = self.name(method) + (f", s = {alpha / self.rank**root:.2f}" if method in LORAS else "")
            _, middle, half = self.alone(runs)
            minus = "–" if method == "lora" else self.signed(self.minus(runs, self.lora[:1]))
            cells = self.costs(runs, method)
            losses = self.sweep("lora" if method in LORAS else method)[0]
            if self.best(method) in (min(losses), max(losses)):
                cells[2] += f" {re.escape(TEXT['at_edge'])}"
            step = "–" if method == "lora" else times(np.divide(self.seconds[method], self.seconds["lora"]))
            rows.append([re.escape(title), self.amount(middle), f"± {self.amount(half)}", minus, *cells, step])
        return rows

    def time(self):
        pair, tokens = ("full", "lora"), sum(self.timing["tokens"])
        step, total = ({m: f(self.seconds[m]) for m in pair} for f in (median, sum))
        per_epoch = len(self.full[0]["loss_by_step"]) // len(self.full[0]["epochs"])
        window = max(1, per_epoch // 4)
        curves = {m: [np.lib.stride_tricks.sliding_window_view(r["loss_by_step"], window).mean(axis=1) for r in runs]
                  for m, runs in (("full", self.full), ("lora", self.lora))}  # fmt: skip
        target = max(curve.min() for both in curves.values() for curve in both)
        steps = {m: [int((curve <= target + 1e-12).argmax()) + window for curve in curves[m]] for m in pair}
        work = self.timing["expected"]
        to_loss = [a * step["full"] / (b * step["lora"]) for a, b in zip(steps["full"], steps["lora"], strict=True)]
        cells = {
            "time_step": ([f"{num(1000 * step[m], 0)} ms" for m in pair], times(self.ratios("full", "lora"))),
            "time_token": (
                [f"{num(1e6 * total[m] / tokens, 0)} µs" for m in pair], num(total["full"] / total["lora"], 2)
            ),
            "time_to_loss": (
                [f"{num(mean(steps[m]), 0)} · {num(mean(steps[m]) * step[m], 0)} s" for m in pair], times(to_loss)
            ),
            "operations_expected": ([f"{num(work[m] / 1e9, 1)} G" for m in pair], num(work["full"] / work["lora"], 2)),
        }  # fmt: skip
        rows = [[re.escape(TEXT[name]), *both, last] for name, (both, last) in cells.items()]
        return [["", *(TEXT.get(f"short_{m}", TEXT[m]) for m in pair), re.escape(TEXT["ratio"])], *rows]

    def ratios(self, a, b):
        return [x / y for x, y in zip(self.seconds[a], self.seconds[b], strict=True)]

    def tables(self):
        """Every table of the track's part of the page, by the section's title."""
        task, own = self.task, self.own
        default = TEXT["target_default" if self.by == "accuracy" else "target_all-linear"]
        trained, beside = TRAINED[task], [m for m in self.row["sweep"] if m not in TRAINED[task]]
        order = [m for m in self.row["sweep"] if m in trained]
        found = {"report_design": [self.sweep_table([(m, None, False) for m in order])]}
        if beside:
            found["report_design"].append(self.sweep_table([(m, None, False) for m in beside]))
        groups = {self.name(m): self.of(m) for m in BASELINES[task]} | {self.name(m): self.of(m) for m in trained}
        groups[self.name("full")], groups[self.name("lora")] = self.full, self.lora
        found["report_comparison"] = [self.comparison(groups)]
        found["report_difference"] = [self.groups({TEXT[m]: (self.of(m), m, None) for m in trained})]
        ranks = {place: runs for place, runs in self.places.items() if place not in self.targets}
        if len(ranks) > 1:
            columns = {f"{TEXT['lora']} r={self.at[place][0]}": runs for place, runs in ranks.items()}
            rows = self.groups({place: (runs, "lora", place) for place, runs in ranks.items()}, beside=own)
            found["report_ranks"] = [self.comparison(columns), rows]
        if self.targets:
            seeds = {r["experiment"]["seed"] for place in self.targets for r in self.places[place]}
            rows = {default: ([r for r in self.lora if r["experiment"]["seed"] in seeds], "lora", own)}
            rows |= {place_name(place): (self.places[place], "lora", place) for place in self.targets}
            found["report_targets"] = [self.groups(rows, beside=default)]
        elsewhere = [("lora", None, False), *(("lora", place, False) for place in self.at if place != own)]
        finer = [(m, None, True) for m in order if m in ("full", "lora")]
        found["report_rates"] = [self.sweep_table(elsewhere), self.sweep_table(finer)]
        found["report_time"] = [self.time()]
        if self.row["methods"]:
            found["report_others"] = [self.others()]
        return {TEXT[key]: tables for key, tables in found.items()}

    # Sentences: what stands in the list, the ruler's and the ranks' titles with their numbers.

    def runs_text(self, *groups):
        seeds = {run["experiment"]["seed"] for runs in groups for run in runs}
        return said("many_seeds", seeds=len(seeds))

    def compare(self, a, b, names):
        _, middle, half = self.minus(a, b)
        key = "cannot_tell" if abs(middle) <= half else "more" if middle > 0 else "less"
        values = {"signed": self.amount(middle), "difference": self.amount(abs(middle)), "half": self.amount(half)}
        values |= dict(zip("ab", map(re.escape, names), strict=True), examples=num(len(a[0]["labels"]), 0))
        return said(f"{self.by}_{key}", runs=self.runs_text(a), **values)

    def sentences(self):
        names, counts = (self.name("full"), self.name("lora")), self.lora[0]["parameters"]
        low, _, high = ratio(self.ratios("full", "lora"))
        speed = "faster" if low > 1 else "slower" if high < 1 else "unclear"
        saved, how = 1 - peak(self.lora) / peak(self.full), TEXT[f"measured_{self.full[0]['memory']['method']}"]
        told = {name: num(counts[name], 0) for name in ("trainable", "adapter", "head")}
        share = percent(counts["trainable"] / counts["total"], 2)
        lines = [
            self.compare(self.full, self.lora, names),
            said("parameters_sentence" + "_no_head" * (not counts["head"]), share=share, **told),
            said(f"in_turns_{speed}", rounds=len(self.seconds["full"]), times=times(self.ratios("full", "lora"))),
            said("memory_less" if saved > 0 else "memory_more", saved=percent(abs(saved)), method=re.escape(how)),
        ]
        if self.task == "generation":
            base = self.of("base")
            lines.append(self.compare(self.lora, base * len(self.lora), (names[1], TEXT["base"])))
            for runs, name in ((self.full, names[0]), (self.lora, names[1])):
                before, each = score(base[0], "other"), [score(run, "other") for run in runs]
                change = mean(each) - before
                values = " · ".join(num(value - before, 3) for value in each)
                values = {"each": f"; {said('mean_of', values=values)}", "change": num(change, 3)}
                values |= {"before": num(before, 3), "after": num(mean(each), 3), "method": re.escape(name)}
                lines.append(said("forgot" if round(change, 3) > 0 else "kept", **values))
        return [f"- {line}" for line in lines]

    def titles(self):
        margin = MARGINS[self.task][self.by]
        by_seed, middle, wide = self.minus(self.full, self.lora)
        narrow = self.minus(self.full, self.lora, 0.9)[2]
        within, apart = abs(middle) + narrow < margin, abs(middle) > wide
        key = "negligible" if within and apart else "equivalent" if within else "different" if apart else "cannot_tell"
        values = {"a": re.escape(self.name("full")), "b": re.escape(self.name("lora"))}
        values |= {"margin": f"{self.amount(margin)} {self.unit}", "runs": self.runs_text(self.full)}
        numbers = f"{self.amount(middle, 1)} ± {self.amount(wide, 1)} (95%), ± {self.amount(narrow, 1)} (90%)"
        numbers = re.sub(r"\((\d\d%)\)", r"\\(\1\\)", numbers)
        each = ", ".join(self.amount(value, 1) for value in by_seed)
        found = [rf"\*{said(f'verdict_{key}', **values)}\. {numbers}; {TEXT['each_seed']}: {each}\.\*"]
        ranks = {self.at[p][0]: runs for p, runs in self.places.items() if p not in self.targets and p != self.own}
        if ranks:
            far = {rank: self.minus(runs, self.lora, 1 - 0.05 / len(ranks)) for rank, runs in ranks.items()}
            far = [f"r={k}, {self.amount(m)} ± {self.amount(h)}" for k, (_, m, h) in far.items() if abs(m) > h]
            values = {"first": self.rank, "unit": self.unit, "apart": "; ".join(far)}
            values |= {"alpha": f"{self.row['alpha']:.0f}", "runs": self.runs_text(self.lora)}
            found.append(rf"\*{said('ranks_differ' if far else 'ranks_cannot_tell', **values)}\. .*")
        return found

    # Claims.

    def claims(self):
        """The table's rows: what was judged, how, by which numbers, and by which smaller margins; in order."""
        claims = [self.share(), self.speed(), self.memory(), *self.by_margin("same"), *self.by_margin("forget")]
        claims += [*self.by_margin("rank"), self.rate(), *self.by_margin("enough"), self.small()]
        return [
            [re.escape(TEXT[f"claim_{name}"]), TEXT[self.task], TEXT[judged], found, margins, behind,
             re.escape(TEXT[f"literature_{name}"])]
            for name, judged, found, margins, behind in claims
        ]  # fmt: skip

    def claim(self, name, points, behind, margins="–"):
        verdicts = {}
        for place, judged, text in points:
            verdicts.setdefault(judged, []).append(f"{re.escape(place_name(place))}: {text}")
        texts = {judged: "; ".join(found) for judged, found in verdicts.items()}
        found = [f"{TEXT[judged]}, {text}" if texts.keys() - {judged} else text for judged, text in texts.items()]
        return name, over(verdicts), r"\. ".join(found), margins, behind

    def share(self):
        shares = {p: r[0]["parameters"]["trainable"] / r[0]["parameters"]["total"] for p, r in self.places.items()}
        points = [(place, judge(s, s, *RULES["share"]), percent(s, 2)) for place, s in shares.items()]
        return self.claim("share", points, said("behind_counted"))

    def small(self):
        points = []
        for place, runs in self.places.items():
            part, whole = (4 * runs[0]["parameters"][name] for name in ("trainable", "total"))  # bytes, in fp32
            text = said("small_found", kept=num(part / 1e6, 1), whole=num(whole / 1e6, 0), share=percent(part / whole))
            points.append((place, "confirmed" if part / whole <= RULES["small"] else "refuted", text))
        return self.claim("small", points, said("behind_counted"))

    def speed(self):
        names = {place: "lora" if place == self.own else place for place in self.places}
        timed = {place: self.ratios("full", name) for place, name in names.items() if name in self.seconds}
        assert len(timed) == len(names)
        points = [(place, judge(*ratio(r)[::2], RULES["faster"]), times(r)) for place, r in timed.items()]
        return self.claim("speed", points, said("behind_rounds", count=len(self.seconds["full"])))

    def memory(self):
        saved = {p: [1 - peak([a]) / peak([b]) for a, b in zip(*paired(runs, self.full), strict=True)]
                 for p, runs in self.places.items()}  # fmt: skip
        batch = self.full[0]["experiment"]["batch_size"]
        grid, least = PROTOCOL["memory"][self.task], RULES["memory"]
        cells = {(c["place"], c["rows"], c["length"]): 1 - c["lora"] / c["full"] for c in self.planned}
        assert set(cells) == {(p, r, n) for p in self.places for r in grid["rows"] for n in grid["lengths"]}
        batches = {}
        for (place, rows, length), share in cells.items():
            verdict = "confirmed" if share >= least else "refuted"
            batches.setdefault(f"{rows} × {length}", {}).setdefault(verdict, {})[place_name(place)] = share
        texts = []
        for verdict in ("confirmed", "refuted"):  # where all places agree; then the others, place by place
            agreed = {batch: list(by[verdict].values()) for batch, by in batches.items() if list(by) == [verdict]}
            shares = [share for one in agreed.values() for share in one]
            texts += [f"{TEXT[verdict]}, {', '.join(agreed)}: {from_to(shares)}"] if agreed else []
        for batch_name, by in batches.items():
            told = "; ".join(f"{TEXT[verdict]}, {', '.join(map(re.escape, places))}" for verdict, places in by.items())
            shares = [share for places in by.values() for share in places.values()]
            texts += [rf"{batch_name}: {from_to(shares)} \({told}\)"] if len(by) > 1 else []
        measured = from_to([share for one in saved.values() for share in one])
        texts.append(said("memory_measured", batch=batch, saved=measured))
        judged = over([verdict for by in batches.values() for verdict in by])
        return "memory", judged, r"\. ".join(texts), "–", said("behind_plan", count=len(cells))

    def gain(self, groups, by):
        """Ends of the 90 % interval of a weighted sum of groups' scores in pairs, more being better; and its text."""
        runs, goodness = paired(*groups.values()), 1 if by == "accuracy" else -1
        weights = [goodness * weight for weight in groups]
        found = [[of_each(run, by) for run in group] for group in runs]
        values = sum(w * np.array([pair[0] for pair in group]) for w, group in zip(weights, found, strict=True))
        _, middle, half = interval(values, found[0][0][1], RULES["level"])
        factor, digits, unit = SHOWN["loss" if by == "other" else by]
        text = f"{sign(middle)}{num(factor * middle, digits)} ± {num(factor * half, digits)} {unit}"
        return middle - half, middle + half, text

    def by_margin(self, name):
        ranks = {self.at[place][0]: runs for place, runs in self.places.items() if place not in self.targets}
        top, rules = max(ranks), {"same": lambda low, high, m: judge(low, high, -m)}
        rules["enough"] = lambda low, high, m: judge(low, high, -math.inf, m)
        rule, margins = rules.get(name, judge), MARGINS[self.task]
        scores = ["other"] if name == "forget" else [by for by in ("accuracy", "loss") if by in margins]
        if name == "rank":  # of all ranks at once: what the line over log2(rank) rises, as weights of the scores
            groups = {}
            if len(ranks) > 1:
                line = np.polyfit(np.log2(list(ranks)), np.eye(len(ranks)), 1)[0] * math.log2(top / min(ranks))
                place = TEXT["rank_line"].format(low=min(ranks), high=top)
                groups[place] = dict(zip(line.tolist(), ranks.values(), strict=True))
        elif name == "enough":
            lower = [rank for rank in RULES["enough"] if rank in ranks and rank < top]
            groups = {TEXT["rank_less"].format(low=rank, high=top): {1: ranks[top], -1: ranks[rank]} for rank in lower}
        else:
            groups = {place: {1: runs, -1: self.full} for place, runs in self.places.items()}
        if name == "forget":
            groups = groups if "other_loss" in self.full[0]["test"] else {}
        points, ends, seeds = [], [], set()
        for place, weighted in groups.items():
            found = {by: self.gain(weighted, by) for by in scores}
            judged = {by: rule(*g[:2], margins["loss" if by == "other" else by]) for by, g in found.items()}
            main = judged[scores[0]]
            aside = "".join(f", {said('by_loss', verdict=TEXT[v])}" for v in judged.values() if v != main)
            points.append((place, main, ", ".join(text for *_, text in found.values()) + aside))
            ends.append(found[scores[0]][:2])
            seeds.add(len(paired(*weighted.values())[0]))
        if not points:
            return []
        factor, digits, unit = SHOWN["loss" if scores[0] == "other" else scores[0]]
        margin = margins["loss" if scores[0] == "other" else scores[0]]
        parts = {part: over([rule(*pair, part * margin) for pair in ends]) for part in MARGINS["parts"]}
        texts = [f"± {num(factor * part * margin, digits + 1)}: {TEXT[verdict]}" for part, verdict in parts.items()]
        seeds, run = " – ".join(map(str, sorted(seeds))), self.full[0]
        behind = said("behind_examples", seeds=seeds, count=num(len(run["labels"]), 0))
        if name == "forget":
            behind = said("behind_sentences", seeds=seeds, count=num(len(run["other_nats"]), 0))
        return [self.claim(name, points, behind, rf"{'; '.join(texts)} \({unit}\)")]

    def rate(self):
        def known(losses):
            """The best rate, the largest factor to a neighbour, and whether it is at the edge."""
            rates, best = list(losses), min(losses, key=losses.get)
            beside = [rates[i] for i in (rates.index(best) - 1, rates.index(best) + 1) if 0 <= i < len(rates)]
            return best, max(max(best / rate, rate / best) for rate in beside), len(beside) < 2

        places = [self.own, *(place for place in self.at if place != self.own)]
        tried = {place: self.sweep("lora", place, finer=place == self.own)[0] for place in places}
        of_full, points = self.sweep("full", finer=True)[0], []
        best, step, edge = known(of_full)
        for place, losses in tried.items():
            own, own_step, own_edge = known(losses)
            middle, half = own / best, math.sqrt(step * own_step)
            low, high = middle / half, middle * half
            mark = f" {re.escape(TEXT['at_edge'])}" if edge or own_edge else ""
            shown = {"middle": num(middle, 0), "low": num(low, 0), "high": num(high, 0)}
            points.append((place, judge(low, high, *RULES["rate"]), said("times_interval", **shown) + mark))
        counts = ", ".join(map(str, sorted({len(losses) for losses in tried.values()})))
        return self.claim("rate", points, said("behind_sweeps", full=len(of_full), lora=counts))


COSTS = ("trainable", "trainable_adapter", "learning_rate", "peak_memory")


def place_of(experiment):
    modules = experiment["target_modules"]
    return experiment["rank"], modules if isinstance(modules, str) else tuple(modules)


def paired(*groups):
    """The groups' runs with the seeds that all of them have."""
    seeds = set.intersection(*({run["experiment"]["seed"] for run in runs} for runs in groups))
    if not all(run["experiment"]["method"] != "base" for runs in groups for run in runs):
        return groups
    return [[run for run in runs if run["experiment"]["seed"] in seeds] for runs in groups]


def whole_profile():
    def merged(below, row):
        inner = {k: merged(below[k], v) for k, v in row.items() if isinstance(v, dict) and k in below}
        return below | row | inner

    table = tomllib.loads((PACKAGE / "profiles.toml").read_text("utf-8"))
    return merged(table["defaults"], PROTOCOL["study"])


@cache
def topics():
    lines = (ROOT / "data" / "quixote_qa.jsonl").read_text("utf-8").splitlines()
    return {row["input"]: row["topic"] for row in map(json.loads, lines)}


def sections(markdown):
    """Tables (rows of cells), by the titles above them."""
    found, titles, last = {}, ["", ""], ""
    for line in markdown.split("\n"):
        if heading := re.match("(##|###) (.*)", line):
            titles = [titles[0], heading[2]] if heading[1] == "###" else [heading[2], ""]
        if line.startswith("|"):
            tables = found.setdefault(tuple(titles), [])
            if not last.startswith("|"):
                tables.append([])
            cells = [re.sub(r"\\(.)", r"\1", cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            tables[-1] += [] if line.startswith("|:-") else [cells]
        last = line
    return found


def disagreements(markdown, folder):
    """What the page says and the files do not, and what they say and the page does not: a line each."""
    tracks, told_of, found = [Track(folder, task) for task in TRAINED], sections(markdown), []
    expected, lines = {}, markdown.split("\n")
    for track in tracks:
        run = track.full[0]["experiment"]
        title = f"{TEXT[track.task]}: {run['dataset']} · {run['model']}"
        expected |= {(title, section): tables for section, tables in track.tables().items()}
        sizes = {part: num(run[f"{part}_size"], 0) for part in ("train", "validation", "test")}
        margin = num(track.factor * MARGINS[track.task][track.by], 2)
        note = said(
            "design_note", epochs=run["epochs"], batch=run["batch_size"], seeds=len(track.row["seeds"]), margin=margin,
            unit=track.unit, sweep_seed=max(track.row["seeds"]) + 1, score=TEXT[track.by], **sizes,
        )  # fmt: skip
        wanted = [note, *track.sentences(), *track.titles()]
        found += [f"no such line: {line}" for line in wanted if not any(re.fullmatch(line, told) for told in lines)]
    share, rate = (dict(zip(("low", "high"), RULES[name], strict=True)) for name in ("share", "rate"))
    told = {f"share_{end}": percent(value) for end, value in share.items()}
    told |= {"points": num(100 * MARGINS["classification"]["accuracy"], 1)}
    told |= {"nats": num(MARGINS["classification"]["loss"], 2), "token_nats": num(MARGINS["generation"]["loss"], 2)}
    note = said("claims_note", **told, **{f"rate_{end}": num(value, 0) for end, value in rate.items()})
    found += [] if any(re.fullmatch(note, line) for line in lines) else [f"no such line: {note}"]
    names = ("claim", "track", "verdict", "found", "other_margins", "behind", "literature")
    header = [re.escape(TEXT[name]) for name in names]
    expected[TEXT["report_claims"], ""] = [[header, *(row for track in tracks for row in track.claims())]]
    left = [key for key in told_of if key not in expected and not set(key) & set(NOT_COVERED)]
    found += [f"not looked at: {key}" for key in left]
    for key, tables in expected.items():
        shown = told_of.get(key, [])
        if [len(table) for table in tables] != [len(table) for table in shown]:
            found.append(f"{key}: other tables or rows")
        for row, told in ((r, t) for a, b in zip(tables, shown, strict=False) for r, t in zip(a, b, strict=False)):
            if len(row) != len(told) or not all(re.fullmatch(*pair) for pair in zip(row, told, strict=True)):
                found.append(f"{key}: {told}\n  worked out: {row}")
    return found


def page_of(evidence):
    """The report as Markdown, without the figures that are not looked at: they take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("comparison_panel", "loss_curves", "gained_and_forgotten"):
            patch.setattr(page, name, lambda *_: page.Text(""))
        for name in ("loss_against_rate", "singular_values", "captured_by_rank", "intruders"):
            patch.setattr(page.figures, name, lambda *_: page.Text(""))
        return page.to_markdown(page.report(evidence))


@pytest.fixture(scope="module")
def made_up(make, make_answers, tmp_path_factory):
    """A second study by its protocol, with small tests and all made of luck: its folder and its page."""
    folder, best = tmp_path_factory.mktemp("made-up"), {"full": 2.5e-5, "head": 1e-3, "ia3": 3e-3, "prefix": 1e3}
    asked = list(topics())

    def run(experiment):
        random, exam = np.random.default_rng(sum(experiment.key.encode())), np.random.default_rng(1)
        n, method, rank = experiment.test_size * experiment.examined, experiment.method, experiment.rank
        answers, trains = experiment.task == "generation", experiment.trains
        ahead = {"full": 0.3, "lora": 0.03 * rank**0.5}.get(method, 0) + 0.1 * random.random()
        luck = exam.normal(size=n) + ahead + 0.4 * random.normal(size=n)
        adapter = (rank * 9216 if method in LORAS else 5000) * (method not in ("full", "head"))
        counts = {"adapter": adapter, "head": 770, "trainable": adapter + 770, "total": 22_713_986 + adapter}
        counts |= {"trainable": counts["total"]} if method == "full" else {}
        steps = math.ceil(experiment.train_size / experiment.batch_size) * experiment.epochs
        target = best.get(method, 5e-4 if rank != 4 else 1e-4) * (8 if answers else 1)
        loss = 0.4 + 0.01 * abs(math.log(experiment.learning_rate / target)) + 1e-4 * random.random()
        curve = np.linspace(0.7, 0.5 + 0.05 * random.random(), steps) + 0.01 * random.normal(size=steps)
        common = {
            "parameters": counts,
            "memory": {"method": "profiler", "peak_bytes": int(5e8 + 1e8 * random.random())},
        }
        common |= {"epochs": [{"loss": loss, "accuracy": 0.8}] * experiment.epochs, "loss_by_step": curve.tolist()}
        common |= {"learning_rate_by_step": [1e-3] * steps}
        if answers:
            tokens, others = exam.integers(20, 60, n), exam.integers(9, 30, 2 * n)
            method_s = np.random.default_rng(rank + 100 * (method == "full")).normal(size=2 * n)  # on each sentence
            nats, other = tokens * (4 - 0.3 * luck), others * (3.5 + 0.3 * method_s + 0.3 * ahead)
            told = n > 0 and method != "retrieval"
            result = make_answers("lora" if trains else method)
            test = {k: random.random() * 20 for k in KEPT}
            if told:
                loss = nats.sum() / tokens.sum()
                test |= {"loss": loss, "perplexity": math.exp(loss), "other_loss": other.sum() / others.sum()}
            kept = {
                "labels": ["a | b_c"] * n,
                "predictions": ["*d*"] * n,
                "questions": asked[:n],
                "answer_chrf": [9] * n,
            }
            both = {"answer_nats": nats, "answer_tokens": tokens, "other_nats": other, "other_tokens": others}
            kept |= {name: values.tolist() if told else [] for name, values in both.items()}
        else:
            labels = exam.integers(0, 2, n)
            losses = np.abs(0.6 - 0.2 * luck) * trains
            result = make("lora" if trains else "majority")
            kept = {"labels": labels.tolist(), "predictions": np.where(luck > -0.8, labels, 1 - labels).tolist()}
            f1, mcc = f1_and_mcc(kept)
            test = {"accuracy": right(kept).mean().item() if n else 0, "f1": f1, "mcc": mcc}
            test |= {"loss": losses.mean().item()} if trains and n else {}
            kept["test_losses"] = losses.tolist() if trains else []
        protocol = result.provenance | {"protocol": study.HASH}
        changes = {"experiment": experiment, "provenance": protocol, "test": test if n else {}, **kept}
        replace(result, **changes, **(common if trains else {})).save(folder / "runs" / experiment.key / "result.json")
        return study.recorded(folder)(experiment)

    profile, tracks, random = load_profile("study"), [], np.random.default_rng(0)
    for track, size in ((profile, 300), (profile.generation, 96)):
        track = replace(track, settings=track.settings | {"test_size": size})
        found = study.gather(track, one_by_one(run))
        names = ["full", "lora", *track.methods, *(place for place in found.places if place != f"r = {track.rank}")]
        seconds = {name: (1 + (name == "full") + 0.1 * random.random(30)).tolist() for name in names}
        seconds["r = 1"] = (0.7 + 0.1 * random.random(30)).tolist()
        operations = {"full": 15 * 10**9, "lora": 10**10}
        timing = {"seconds": seconds, "tokens": list(range(100, 130)), "expected": operations}
        grid = PROTOCOL["memory"][track.task]
        cells = [(p, r, n) for n in grid["lengths"] for p in found.places for r in grid["rows"]]
        planned = [{"place": p, "rows": r, "length": n, "full": 1000} for p, r, n in cells]
        planned = [cell | {"lora": int(300 + cell["length"] + 150 * random.random())} for cell in planned]
        content = {"recipe": 2, "protocol": study.HASH, "timing": timing, "updates": [], "planned": planned}
        (folder / "study").mkdir(exist_ok=True)
        (folder / "study" / study.measured_name(found)).write_text(json.dumps(content))
        tracks.append(study.with_measured(found, folder / "study"))
    return folder, page_of(tracks)


def test_students_t_is_that_of_printed_tables():
    """Fisher and Yates, Statistical Tables (1938), table III: two-sided points at 5 % and 10 %."""
    printed = {(0.95, 1): 12.706, (0.95, 2): 4.303, (0.95, 4): 2.776, (0.95, 29): 2.045, (0.90, 2): 2.920}
    printed |= {(0.90, 3): 2.353, (0.90, 4): 2.132, (0.95, 120): 1.980}
    assert {key: round(student(*key), 3) for key in printed} == printed


def test_the_published_report_says_what_its_files_bear():
    found = disagreements(page_of(study.reference()), ROOT / "data" / "reference")
    assert not found, "\n".join(found)


def test_so_does_that_of_a_study_made_of_luck(made_up):
    folder, text = made_up
    found = disagreements(text, folder)
    assert not found, "\n".join(found)
    verdicts = {row[2] for row in sections(text)[TEXT["report_claims"], ""][0]}
    assert verdicts > {TEXT[verdict] for verdict in ("confirmed", "refuted", "undecided", "depends")}
    assert "by loss: " in text and TEXT["at_edge"] in text


@pytest.mark.parametrize("seed", range(8))
def test_a_digit_that_is_not_the_files_is_noticed(made_up, seed):
    folder, text = made_up
    covered = text[: text.index(TEXT["report_memory"])]
    samples = range(covered.index(TEXT["report_samples"]), covered.index(TEXT["report_claims"]))
    tables = [row.span() for row in re.finditer(r"^\|.*$", covered, re.MULTILINE) if row.start() not in samples]
    digits = [at for span in tables for at in range(*span) if covered[at].isdigit()]
    at = digits[np.random.default_rng(seed).integers(len(digits))]
    assert disagreements(f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}", folder)
