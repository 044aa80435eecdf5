"""Tables and sentences from results, and from nothing else."""

import html
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from string import Template

import pandas as pd

from loralab.experiment import Result, write_atomically
from loralab.figures import Picture, accuracy_against_rank, comparison_panel, loss_curve
from loralab.messages import language, message, number, percent, scientific
from loralab.stats import half_width, paired_difference

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


def compare_accuracy(a: Result, b: Result) -> str:
    """One sentence: which of two runs did better on their common test, or that it cannot tell."""
    difference, half = paired_difference(a.predictions, b.predictions, a.labels)
    key = "cannot_tell" if abs(difference) <= half else "better" if difference > 0 else "worse"
    text = message(
        f"accuracy_{key}",
        a=method_name(a),
        b=method_name(b),
        signed=number(100 * difference, 1),
        difference=number(100 * abs(difference), 1),
        half=number(100 * half, 1),
        examples=number(len(a.labels), 0),
        seed=a.experiment.seed,
    )
    return _marked(text, (a, b))


def rank_verdict(results: Sequence[Result]) -> str:
    """The title of the rank comparison: whether any rank's accuracy stands out from r of the first run."""
    first, *others = results
    apart = []
    for other in others:
        difference, half = paired_difference(other.predictions, first.predictions, first.labels)
        if abs(difference) > half and other.experiment.rank != first.experiment.rank:
            apart.append(f"r={other.experiment.rank}: {number(100 * difference, 1)} ± {number(100 * half, 1)}")
    values = {"first": first.experiment.rank, "alpha": number(first.experiment.alpha, 0)}
    if not apart:
        return _marked(message("ranks_cannot_tell", **values), results)
    return _marked(message("ranks_differ", apart=", ".join(apart), **values), results)


def sentences(full: Result, lora: Result) -> list[str]:
    """What full fine-tuning and LoRA did here: accuracy, parameters, speed, memory. Each follows from the numbers."""
    ratio = _seconds(full) / _seconds(lora)
    saved = 1 - _peak(lora) / _peak(full)
    parameters = lora.parameters
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
        message(f"speed_{speed}", ratio=number(max(ratio, 1 / ratio), 2)),
        message(
            "memory_less" if saved > 0 else "memory_more",
            saved=percent(abs(saved)),
            method=message(f"measured_{full.memory['method']}"),
        ),
    ]
    if is_smoke((full, lora)):
        text.insert(0, message("smoke_banner"))
    return text


def provenance_table(results: Sequence[Result]) -> pd.DataFrame:
    """Where each result comes from: one row a result."""
    rows = [
        {
            message("result"): result.experiment.key,
            message("profile"): result.experiment.profile,
            message("seed"): result.experiment.seed,
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


def write_report(comparison: Sequence[Result], ranks: Sequence[Result], path: Path) -> None:
    """Write the report page: final table, figures, sentences, provenance. Everything on it comes from the results."""
    full = next(result for result in comparison if result.experiment.method == "full")
    lora = next(result for result in comparison if result.experiment.method == "lora")
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
        _heading("report_ranks"),
        _html(comparison_table(ranks), index=True),
        _picture(accuracy_against_rank(ranks, rank_verdict(ranks))),
        _heading("report_training"),
        _picture(loss_curve(full)),
        _picture(loss_curve(lora)),
        _heading("report_provenance"),
        _html(provenance_table(list(distinct.values())), index=False),
    ]
    title = message("report_title", profile=lora.experiment.profile)
    write_atomically(path, PAGE.substitute(language=language(), title=html.escape(title), body="\n".join(parts)))


def _heading(key: str) -> str:
    return f"<h2>{html.escape(message(key))}</h2>"


def _html(table: pd.DataFrame, index: bool) -> str:
    return f'<div class="wide">{table.to_html(index=index, border=0)}</div>'


def _picture(picture: Picture) -> str:
    return f"<p>{picture._repr_html_()}</p>"
