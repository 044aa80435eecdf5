"""The report: one page from results, and from nothing else; the same as Markdown, and the numbers as CSV."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pandas as pd

from loralab.claims import claims, claims_note, claims_table
from loralab.experiment import Experiment, Result, write_atomically
from loralab.figures import comparison_panel, gained_and_forgotten, loss_curves, ruler, score_against_rank
from loralab.memory_figures import anchor_table, size_table
from loralab.messages import language, message, number, set_language
from loralab.plotting import Picture
from loralab.profiles import TRAINED
from loralab.sentences import (
    SCORES,
    compare,
    difference,
    forgetting,
    margin_verdict,
    rank_verdict,
    sentences,
    speed_in_turns,
)
from loralab.sizing import published
from loralab.study import Evidence, Sweep, check_one, measured_name
from loralab.study_figures import captured_by_rank, intruders, loss_against_rate, score_by_scale_rule, singular_values
from loralab.study_tables import (
    difference_table,
    group_table,
    other_methods_table,
    rank_table,
    results_frame,
    scale_table,
    sweep_table,
    target_groups,
    time_table,
)
from loralab.tables import comparison_table, is_smoke, provenance_table, samples_table, size_text
from loralab.update import INTRUDER

PAGE = Template("""<!doctype html>
<html lang="$language"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: auto; padding: 1rem; color: #222 }
div.wide { overflow-x: auto; margin: 1rem 0 }
table { border-collapse: collapse; font-size: 13px }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .4rem; text-align: right }
td { white-space: nowrap }
.text th, .text td { white-space: normal; text-align: left; vertical-align: top; min-width: 7rem }
th:first-child { text-align: left; min-width: 7rem }
.banner { background: #fff3cd; padding: .5rem 1rem; font-weight: bold }
@media print {
  div.wide { overflow: visible } td { white-space: normal } table { font-size: 9px }
  h2 { break-before: page } h1 + h2 { break-before: avoid } h2, h3 { break-after: avoid }
  img, tr { break-inside: avoid }
}
</style>
$body
</html>
""")


README_START, README_END = "<!-- make readme -->", "<!-- end of make readme -->"


@dataclass(frozen=True)
class Heading:
    """A title of level 1 to 3."""

    text: str
    level: int


@dataclass(frozen=True)
class Text:
    """A paragraph; `kind` "banner" stands out."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Listed:
    """Sentences, each a line."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table; `kind` "wide text" is one of sentences."""

    frame: pd.DataFrame
    index: bool = True
    kind: str = "wide"


Block = Heading | Text | Listed | Table | Picture


def write_report(evidence: Sequence[Evidence], folder: Path) -> None:
    """Write report.html, report.md and report.csv: each track's tables, sentences and figures, and their provenance.

    Everything on it comes from the results. Raises ValueError for results that `check_one` does not let stand together.
    """
    for track in evidence:
        check_one(track.results)
    blocks = report(evidence)
    body = "\n".join(map(_to_html, blocks))
    title = html.escape(_title_of(evidence))
    write_atomically(folder / "report.html", PAGE.substitute(language=language(), title=title, body=body))
    write_atomically(folder / "report.md", to_markdown(blocks))
    rows = results_frame([result for track in evidence for result in track.results])
    write_atomically(folder / "report.csv", rows.to_csv(index=False))


def _title_of(evidence: Sequence[Evidence]) -> str:
    return message("report_title", profile=evidence[0].comparison[0].experiment.profile)


def report(evidence: Sequence[Evidence]) -> list[Block]:
    """The report's headings, paragraphs, tables and figures, in order."""
    every = [result for track in evidence for result in track.results]
    blocks: list[Block] = [Heading(_title_of(evidence), 1)]
    if is_smoke(every):
        blocks.append(Text(message("smoke_banner"), "banner"))
    for track in evidence:
        blocks += _track(track)
    if any(track.sweeps for track in evidence):
        judged = [claim for track in evidence for claim in claims(track)]
        blocks += [Heading(message("report_claims"), 2), Text(claims_note())]
        blocks.append(Table(claims_table(judged), index=False, kind="wide text"))
        sizes = published()
        blocks += [
            Heading(message("report_memory"), 2),
            Text(message("memory_plan_note", device=sizes[0].plan.device.name)),
        ]
        blocks += [Table(size_table(sizes), index=False, kind="wide text"), Text(message("anchors_note"))]
        blocks.append(Table(anchor_table(sizes), index=False, kind="wide text"))
    blocks += [Heading(message("report_provenance"), 2), Table(provenance_table(every), index=False)]
    measured = [measured_name(track) for track in evidence if track.timing]
    return [*blocks, Text(message("measured_files", names=", ".join(measured)))] if measured else blocks


def _track(evidence: Evidence) -> list[Block]:
    full, lora = evidence.of("full"), evidence.of("lora")
    task = evidence.track.task
    generates = task == "generation"
    text = sentences(full, lora, evidence.timing.ratios if evidence.timing else ())
    if generates:
        base = evidence.of("base")
        text += [compare(lora, base), *(forgetting(base[0], tuned) for tuned in (full, lora))]
    verdict = margin_verdict(full, lora, evidence.track.margin)
    blocks: list[Block] = [Heading(_title(lora[0].experiment), 2)]
    if evidence.sweeps:
        blocks += _design(evidence)
    blocks += [Heading(message("report_comparison"), 3), Table(_comparison(evidence, evidence.comparison))]
    notes = ("topics_note",) if generates else ("interval_note", "unlike_note")
    blocks += [Text(message(note)) for note in notes]
    blocks += [
        Listed(text),
        comparison_panel(full, lora, compare(full, lora), evidence.timing.seconds if evidence.timing else None),
        ruler(difference(full, lora), evidence.track.margin, verdict, task),
    ]
    if evidence.sweeps:
        trained = {message(f"method_{method}"): evidence.of(method) for method in TRAINED[task]}
        blocks += [
            Heading(message("report_difference"), 3),
            Table(group_table(trained)),
            Table(difference_table(evidence)),
        ]
    blocks += _ranks(evidence)
    if evidence.timing:
        blocks += [Heading(message("report_time"), 3), Text(message("time_note")), Table(time_table(evidence))]
    if evidence.updates:
        pictures = [draw(evidence.updates) for draw in (singular_values, captured_by_rank, intruders)]
        blocks += [
            Heading(message("report_update"), 3),
            Text(message("update_note", least=number(INTRUDER, 1))),
            *pictures,
        ]
    if evidence.others:
        blocks += [
            Heading(message("report_others"), 3),
            Text(message("others_note")),
            Table(other_methods_table(evidence)),
        ]
    blocks += [Heading(message("report_training"), 3), loss_curves([lora[0], full[0]])]
    if generates:
        blocks += [
            Heading(message("report_forgetting"), 3),
            gained_and_forgotten(base[0], [*lora, *full]),
            Heading(message("report_samples"), 3),
            Table(samples_table(evidence.comparison), kind="wide text"),
        ]
    return blocks


def _comparison(evidence: Evidence, results: Sequence[Result]) -> pd.DataFrame:
    """The comparison table; what was timed in turns is not timed again by runs at different moments."""
    untimed = [message(name) for name in ("seconds", "minutes", "speedup")] if evidence.timing else []
    return comparison_table(results).drop(index=untimed, errors="ignore")


def _design(evidence: Evidence) -> list[Block]:
    """What was fixed before the runs, and the sweep that chose each method's learning rate."""
    experiment = evidence.of("lora")[0].experiment
    values = {
        "train": size_text(experiment.train_size),
        "validation": size_text(experiment.validation_size),
        "test": size_text(experiment.test_size),
        "epochs": experiment.epochs,
        "batch": experiment.batch_size,
        "seeds": len(evidence.track.seeds),
        "margin": number(SCORES[evidence.track.task].factor * evidence.track.margin, 2),
        "unit": message(SCORES[evidence.track.task].unit),
        "sweep_seed": max(evidence.track.seeds) + 1,
        "score": message(SCORES[evidence.track.task].name),
    }
    main = [sweep for sweep in evidence.sweeps if sweep.method in TRAINED[evidence.track.task]]
    others = [sweep for sweep in evidence.sweeps if sweep not in main]
    blocks: list[Block] = [Heading(message("report_design"), 3), Text(message("design_note", **values))]
    return [*blocks, *_sweeps(main), *(_sweeps(others) if others else [])]


def _sweeps(sweeps: Sequence[Sweep]) -> list[Block]:
    return [Table(sweep_table(sweeps), index=False, kind="wide text"), loss_against_rate(sweeps)]


def _ranks(evidence: Evidence) -> list[Block]:
    blocks: list[Block] = []
    rank = evidence.track.rank
    if len({r.experiment.rank for r in evidence.ranks}) > 1:
        blocks += [
            Heading(message("report_ranks"), 3),
            Text(message("ranks_note", rank=rank)),
            Table(_comparison(evidence, evidence.ranks)),
            score_against_rank(evidence.ranks, rank_verdict(evidence.ranks, rank)),
            Table(rank_table(evidence)),
        ]
    if evidence.scales:
        blocks += [Heading(message("report_scale"), 3), Text(message("scale_note")), score_by_scale_rule(evidence)]
        blocks.append(Table(scale_table(evidence)))
    if evidence.targets:
        blocks += [Heading(message("report_targets"), 3), Text(message("targets_note", rank=rank))]
        blocks.append(Table(group_table(target_groups(evidence), beside=message("target_default"))))
    return blocks


def _title(experiment: Experiment) -> str:
    data = Path(experiment.dataset).name  # of a file of one's own, not where it lies
    return f"{message(f'report_{experiment.task}')}: {data} · {experiment.model}"


def _to_html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Text(text, kind):
            return f'<p class="{kind}">{_inline(text)}</p>' if kind else f"<p>{_inline(text)}</p>"
        case Listed(texts):
            return "<ul>" + "".join(f"<li>{_inline(text)}</li>" for text in texts) + "</ul>"
        case Table(frame, index, kind):
            return f'<div class="{kind}">{frame.to_html(index=index, border=0)}</div>'
    return f"<p>{block._repr_html_()}</p>"


def _inline(text: str) -> str:
    return re.sub("`(.+?)`", r"<code>\1</code>", html.escape(text))


def to_markdown(blocks: Sequence[Block]) -> str:
    """The blocks as Markdown; in place of a figure its text alternative."""
    return "\n\n".join(map(_to_markdown, blocks)) + "\n"


def _to_markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Text(text, kind):
            return f"**{text}**" if kind else text
        case Listed(texts):
            return "\n".join(f"- {text}" for text in texts)
        case Table(frame, index, _):
            named = frame.rename_axis(index=None, columns=None).map(lambda cell: str(cell).replace("|", "\\|"))
            return named.to_markdown(index=index, disable_numparse=True)
    return f"*{block.alt}*"


def write_readme(evidence: Sequence[Evidence], path: Path) -> None:
    """Put the published study's tables between the README's two marks, in English. Raises ValueError without marks."""
    text = path.read_text(encoding="utf-8")
    before, mark, rest = text.partition(README_START)
    _, end, after = rest.partition(README_END)
    if not mark or not end:
        raise ValueError(message("readme_marks", start=README_START, end=README_END))
    set_language("en")
    blocks: list[Block] = []
    for track in evidence:
        trained = {message(f"method_{m}"): track.of(m) for m in TRAINED[track.track.task]}
        blocks += [Text(_title(track.of("lora")[0].experiment), "title"), Table(group_table(trained))]
        said = [margin_verdict(track.of("full"), track.of("lora"), track.track.margin)]
        blocks.append(Listed([*said, *([speed_in_turns(track.timing.ratios)] if track.timing else [])]))
    judged = [claim for track in evidence for claim in claims(track)]
    blocks.append(Table(claims_table(judged), index=False))
    write_atomically(path, f"{before}{README_START}\n\n{to_markdown(blocks)}\n{README_END}{after}")
