"""Tables and sentences from results, and from nothing else."""

import html
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from string import Template

import numpy as np
import pandas as pd

from loralab.experiment import Result, write_atomically
from loralab.figures import accuracy_against_rank, comparison_panel, loss_curves, ruler
from loralab.messages import language, message, number, percent, scientific
from loralab.plotting import Picture
from loralab.stats import Difference, half_width, paired_difference, verdict

# One timing of each method says nothing below this: ranks 8 and 16, which do almost the same work, differed by 12 %.
TIMING_NOISE = 0.15


def method_name(result: Result) -> str:
    """The method in the reader's language; LoRA with its rank."""
    name = message(f"method_{result.experiment.method}")
    return f"{name} r={result.experiment.rank}" if result.experiment.method == "lora" else name


def by_method(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results grouped by method (and rank), in order of first appearance."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(method_name(result), []).append(result)
    return groups


def is_smoke(results: Sequence[Result]) -> bool:
    """Whether any of the results comes from the smoke profile, whose numbers are no findings."""
    return any(result.experiment.profile == "smoke" for result in results)


def _marked(text: str, results: Sequence[Result]) -> str:
    return f"[{message('smoke_mark')}] {text}" if is_smoke(results) else text


def comparison_table(results: Sequence[Result]) -> pd.DataFrame:
    """What each method reached and cost: one column a method, means over its seeds, text ready to read.

    Speed-up and memory saved are against full fine-tuning. Rows that no method fills are left out.
    """
    groups = by_method(results)
    full = next((group for group in groups.values() if group[0].experiment.method == "full"), None)
    table = pd.DataFrame({name: _column(group, full) for name, group in groups.items()})
    table.columns.name = message("smoke_mark") if is_smoke(results) else None
    return table[(table != "–").any(axis=1)]


def _column(group: Sequence[Result], full: Sequence[Result] | None) -> dict[str, str]:
    accuracy, examples = mean(r.test["accuracy"] for r in group), len(group[0].labels)
    column = {
        message("accuracy"): f"{percent(accuracy)} ± {number(100 * half_width(accuracy, examples), 1)}",
        message("accuracy_by_seed"): " · ".join(number(100 * r.test["accuracy"], 1) for r in group)
        if group[1:]
        else "–",
        "F1": number(mean(r.test["f1"] for r in group), 3),
        "MCC": number(mean(r.test["mcc"] for r in group), 3),
        message("loss"): "–",
        message("trainable"): "–",
        message("trainable_adapter"): "–",
        message("trainable_share"): "–",
        message("seconds"): number(mean(r.seconds["training"] for r in group), 1),
        message("minutes"): number(mean(r.seconds["training"] for r in group) / 60, 2),
        message("peak_memory"): "–",
        message("speedup"): "–",
        message("memory_saved"): "–",
        message("test_examples"): number(examples, 0),
        message("seeds"): str(len({r.experiment.seed for r in group})),
    }
    if group[0].parameters:
        parameters = group[0].parameters
        peak, seconds = mean(map(_peak, group)), mean(map(_seconds, group))
        column |= {
            message("loss"): number(mean(r.test["loss"] for r in group), 3),
            message("trainable"): number(parameters["trainable"], 0),
            message("trainable_adapter"): number(parameters["adapter"], 0),
            message("trainable_share"): percent(parameters["trainable"] / parameters["total"], 3),
            message("peak_memory"): number(peak / 2**20, 0),
        }
        if full:
            column |= {
                message("speedup"): number(mean(map(_seconds, full)) / seconds, 2),
                message("memory_saved"): percent(1 - peak / mean(map(_peak, full))),
            }
    return column


def _peak(result: Result) -> float:
    return float(result.memory["peak_bytes"])


def _seconds(result: Result) -> float:
    return result.seconds["training"]


def difference(a: Sequence[Result], b: Sequence[Result]) -> Difference:
    """Accuracy of `a` minus that of `b`, paired by seed and by test example.

    Raises ValueError if the two were not run with the same seeds, in the same order, on the same test.
    """
    seeds = [[r.experiment.seed for r in group] for group in (a, b)]
    if seeds[0] != seeds[1] or any(r.labels != a[0].labels for r in (*a, *b)):
        raise ValueError(message("not_paired", a=method_name(a[0]), b=method_name(b[0]), seeds=seeds))
    return paired_difference([r.predictions for r in a], [r.predictions for r in b], a[0].labels)


def compare_accuracy(a: Sequence[Result], b: Sequence[Result], level: float = 0.95) -> str:
    """One sentence: which of two methods did better on their common test, or that it cannot tell.

    Raises what `difference` raises.
    """
    found = difference(a, b)
    mean, half = found.mean, found.half(level)
    key = "cannot_tell" if abs(mean) <= half else "better" if mean > 0 else "worse"
    text = message(
        f"accuracy_{key}",
        a=method_name(a[0]),
        b=method_name(b[0]),
        signed=number(100 * mean, 1),
        difference=number(100 * abs(mean), 1),
        half=number(100 * half, 1),
        examples=number(len(a[0].labels), 0),
        runs=_runs(a),
    )
    return _marked(text, (*a, *b))


def _runs(group: Sequence[Result]) -> str:
    if len(group) == 1:
        return message("one_seed", seed=group[0].experiment.seed)
    return message("many_seeds", seeds=len(group))


def margin_verdict(a: Sequence[Result], b: Sequence[Result], margin: float) -> str:
    """One sentence: equivalent within the margin (a share), different, different but negligible, or cannot tell.

    Raises what `difference` raises.
    """
    key = verdict(difference(a, b), margin)
    values = {"a": method_name(a[0]), "b": method_name(b[0]), "margin": number(100 * margin, 1), "runs": _runs(a)}
    return _marked(message(f"verdict_{key}", **values), (*a, *b))


def rank_verdict(results: Sequence[Result], reference: int) -> str:
    """The title of the rank comparison: whether any rank's accuracy stands out from the reference rank's.

    With m ranks beside it, each interval is at 1 - 0.05/m, so that all together err in 5 % of studies at most
    (Bonferroni).
    """
    by_rank: dict[int, list[Result]] = {}
    for result in results:
        by_rank.setdefault(result.experiment.rank, []).append(result)
    base = by_rank.pop(reference)
    level, apart = 1 - 0.05 / max(1, len(by_rank)), []
    for rank, group in by_rank.items():
        found = difference(group, base)
        if abs(found.mean) > found.half(level):
            apart.append(f"r={rank}, {number(100 * found.mean, 1)} ± {number(100 * found.half(level), 1)}")
    values = {"first": reference, "alpha": number(base[0].experiment.alpha, 0)}
    if not apart:
        return _marked(message("ranks_cannot_tell", **values), results)
    return _marked(message("ranks_differ", apart="; ".join(apart), **values), results)


def sentences(full: Sequence[Result], lora: Sequence[Result]) -> list[str]:
    """What full fine-tuning and LoRA did here: accuracy, parameters, speed, memory. Each follows from the numbers."""
    ratio = mean(map(_seconds, full)) / mean(map(_seconds, lora))
    saved = 1 - mean(map(_peak, lora)) / mean(map(_peak, full))
    parameters = lora[0].parameters
    speed = "unclear" if abs(ratio - 1) <= TIMING_NOISE else "faster" if ratio > 1 else "slower"
    text = [
        compare_accuracy(full, lora),
        message(
            "parameters_sentence",
            trainable=number(parameters["trainable"], 0),
            share=percent(parameters["trainable"] / parameters["total"], 2),
            adapter=number(parameters["adapter"], 0),
            head=number(parameters["head"], 0),
        ),
        message(f"speed_{speed}", ratio=number(max(ratio, 1 / ratio), 2), times=len(full)),
        message(
            "memory_less" if saved > 0 else "memory_more",
            saved=percent(abs(saved)),
            method=message(f"measured_{full[0].memory['method']}"),
        ),
    ]
    if is_smoke((*full, *lora)):
        text.insert(0, message("smoke_banner"))
    return text


def promises(full: Sequence[Result], lora: Sequence[Result], ratios: Sequence[float], margin: float) -> pd.DataFrame:
    """What people promise of LoRA, what was measured here, and whether it held here: yes, no, or cannot tell.

    `ratios` are times of full fine-tuning over LoRA's, measured in turns; their middle 80 % decides.
    """
    share = lora[0].parameters["trainable"] / lora[0].parameters["total"]
    saved = 1 - mean(map(_peak, lora)) / mean(map(_peak, full))
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    found = difference(full, lora)
    gap = f"{number(100 * found.mean, 1)} ± {number(100 * found.half(), 1)} {message('unit_points')}"
    same = {"equivalent": "yes", "negligible": "yes", "different": "no", "cannot_tell": "unclear"}
    rows = [
        ("share", percent(share, 2), "yes" if 0.005 <= share <= 0.02 else "fewer" if share < 0.005 else "no"),
        ("speed", f"{number(middle, 2)} ({number(low, 2)} – {number(high, 2)})", _held(low >= 3, high < 3)),
        ("memory", percent(saved), "yes" if saved >= 0.5 else "no"),
        ("accuracy", gap, same[verdict(found, margin)]),
    ]
    table = pd.DataFrame(
        {
            message("promise"): [message(f"promise_{name}") for name, _, _ in rows],
            message("what_was_measured"): [value for _, value, _ in rows],
            message("held_here"): [message(f"held_{held}") for _, _, held in rows],
        }
    )
    table.columns.name = message("smoke_mark") if is_smoke((*full, *lora)) else None
    return table


def _held(yes: bool, no: bool) -> str:
    return "yes" if yes else "no" if no else "unclear"


def provenance_table(results: Sequence[Result]) -> pd.DataFrame:
    """Where each result comes from: one row a result."""
    rows = [
        {
            message("result"): result.experiment.key,
            message("profile"): result.experiment.profile,
            message("seed"): result.experiment.identity().get("seed", "–"),
            message("learning_rate"): scientific(result.experiment.learning_rate) if result.parameters else "–",
            message("data"): result.provenance["data"],
            message("code"): result.provenance["code"],
            message("weights"): result.provenance.get("weights", "–"),
            "torch": result.provenance["versions"]["torch"],
            message("device"): result.provenance["device"],
            message("date"): result.provenance["date"],
        }
        for result in results
    ]
    return pd.DataFrame(rows)


PAGE = Template("""<!doctype html>
<html lang="$language"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: auto; padding: 1rem; color: #222 }
div.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 14px }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .6rem; text-align: right }
td { white-space: nowrap }
th:first-child { text-align: left }
.banner { background: #fff3cd; padding: .5rem 1rem; font-weight: bold }
</style>
<h1>$title</h1>
$body
</html>
""")


def write_report(comparison: Sequence[Result], ranks: Sequence[Result], margin: float, path: Path) -> None:
    """Write the report page: final table, figures, sentences, provenance. Everything on it comes from the results.

    `margin` (a share) is the difference in accuracy that would matter.
    """
    full = [result for result in comparison if result.experiment.method == "full"]
    lora = [result for result in comparison if result.experiment.method == "lora"]
    text = sentences(full, lora)
    smoke = is_smoke((*comparison, *ranks))
    distinct = {result.experiment.key: result for result in (*comparison, *ranks)}
    parts = [f'<p class="banner">{html.escape(message("smoke_banner"))}</p>'] if smoke else []
    parts += [
        _heading("report_comparison"),
        _html(comparison_table(comparison), index=True),
        f"<p>{html.escape(message('interval_note'))}</p>",
        "<ul>" + "".join(f"<li>{html.escape(sentence)}</li>" for sentence in text) + "</ul>",
        _picture(comparison_panel(full, lora, compare_accuracy(full, lora))),
        _picture(ruler(difference(full, lora), margin, margin_verdict(full, lora, margin))),
        _heading("report_ranks"),
        _html(comparison_table(ranks), index=True),
        _picture(accuracy_against_rank(ranks, rank_verdict(ranks, lora[0].experiment.rank))),
        _heading("report_training"),
        _picture(loss_curves([full[0], lora[0]])),
        _heading("report_provenance"),
        _html(provenance_table(list(distinct.values())), index=False),
    ]
    title = message("report_title", profile=lora[0].experiment.profile)
    write_atomically(path, PAGE.substitute(language=language(), title=html.escape(title), body="\n".join(parts)))


def _heading(key: str) -> str:
    return f"<h2>{html.escape(message(key))}</h2>"


def _html(table: pd.DataFrame, index: bool) -> str:
    return f'<div class="wide">{table.to_html(index=index, border=0)}</div>'


def _picture(picture: Picture) -> str:
    return f"<p>{picture._repr_html_()}</p>"
