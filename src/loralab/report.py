"""The report: one page from results, and from nothing else."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pandas as pd

from loralab.experiment import Experiment, Result, write_atomically
from loralab.figures import comparison_panel, gained_and_forgotten, loss_curves, ruler, score_against_rank
from loralab.messages import language, message
from loralab.plotting import Picture
from loralab.sentences import compare, difference, forgetting, margin_verdict, rank_verdict, sentences
from loralab.tables import comparison_table, is_smoke, provenance_table, samples_table

PAGE = Template("""<!doctype html>
<html lang="$language"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: auto; padding: 1rem; color: #222 }
div.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .4rem; text-align: right }
td { white-space: nowrap }
.text th, .text td { white-space: normal; text-align: left; vertical-align: top; min-width: 11rem }
th:first-child { text-align: left }
.banner { background: #fff3cd; padding: .5rem 1rem; font-weight: bold }
</style>
<h1>$title</h1>
$body
</html>
""")


@dataclass(frozen=True)
class Study:
    """One track's results: lesson 6's comparison, lesson 5's ranks, and the difference that would matter."""

    comparison: Sequence[Result]
    ranks: Sequence[Result]
    margin: float

    def of(self, method: str) -> list[Result]:
        """The comparison's results of that method."""
        return [result for result in self.comparison if result.experiment.method == method]


def write_report(studies: Sequence[Study], path: Path) -> None:
    """Write the report page: each track's final table, sentences, figures, answers; then where each number comes from.

    Everything on it comes from the results.
    """
    every = [result for study in studies for result in (*study.comparison, *study.ranks)]
    distinct = {result.experiment.key: result for result in every}
    parts = [f'<p class="banner">{html.escape(message("smoke_banner"))}</p>'] if is_smoke(every) else []
    for study in studies:
        parts += _track(study)
    parts += [_heading("report_provenance", 2), _html(provenance_table(list(distinct.values())), index=False)]
    title = message("report_title", profile=every[0].experiment.profile)
    write_atomically(path, PAGE.substitute(language=language(), title=html.escape(title), body="\n".join(parts)))


def _track(study: Study) -> list[str]:
    full, lora = study.of("full"), study.of("lora")
    task = lora[0].experiment.task
    generates = task == "generation"
    text = sentences(full, lora)
    if generates:
        base = study.of("base")
        text += [compare(lora, base), *(forgetting(base[0], tuned) for tuned in (full, lora))]
    verdict_text = margin_verdict(full, lora, study.margin)
    parts = [
        f"<h2>{html.escape(_title(lora[0].experiment))}</h2>",
        _heading("report_comparison", 3),
        _html(comparison_table(study.comparison), index=True),
        "" if generates else f"<p>{html.escape(message('interval_note'))}</p>",
        "<ul>" + "".join(f"<li>{html.escape(sentence)}</li>" for sentence in text) + "</ul>",
        _picture(comparison_panel(full, lora, compare(full, lora))),
        _picture(ruler(difference(full, lora), study.margin, verdict_text, task)),
        _heading("report_ranks", 3),
        _html(comparison_table(study.ranks), index=True),
        _picture(score_against_rank(study.ranks, rank_verdict(study.ranks, lora[0].experiment.rank))),
        _heading("report_training", 3),
        _picture(loss_curves([full[0], lora[0]])),
    ]
    if generates:
        parts += [
            _heading("report_forgetting", 3),
            _picture(gained_and_forgotten(base[0], [*full, *lora])),
            _heading("report_samples", 3),
            _html(samples_table(study.comparison), index=True, kind="wide text"),
        ]
    return parts


def _title(experiment: Experiment) -> str:
    data = Path(experiment.dataset).name  # of a file of one's own, not where it lies
    return f"{message(f'report_{experiment.task}')}: {data} · {experiment.model}"


def _heading(key: str, level: int) -> str:
    return f"<h{level}>{html.escape(message(key))}</h{level}>"


def _html(table: pd.DataFrame, index: bool, kind: str = "wide") -> str:
    return f'<div class="{kind}">{table.to_html(index=index, border=0)}</div>'


def _picture(picture: Picture) -> str:
    return f"<p>{picture._repr_html_()}</p>"
