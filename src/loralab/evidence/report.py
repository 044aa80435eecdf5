"""The report: one page from results, and from nothing else; and the same as Markdown."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

import pandas as pd

from loralab.data.own import name_of
from loralab.evidence import figures, tables
from loralab.evidence.claims import claims_note, claims_table, judge_claims
from loralab.evidence.protocol import HASH, STUDY, default_name
from loralab.evidence.study import Evidence, check_one, measured_name
from loralab.evidence.sweeps import Sweep
from loralab.evidence.update import INTRUDER
from loralab.experiment import TASKS, Experiment, Result
from loralab.files import is_own, write_atomically
from loralab.memory.figures import size_table
from loralab.memory.measurement import published
from loralab.messages import language, message, number
from loralab.show.figures import comparison_panel, gained_and_forgotten, loss_curves, ruler, score_against_rank
from loralab.show.plotting import Picture
from loralab.show.scores import difference
from loralab.show.sentences import compare, findings, forgetting, margin_verdict, rank_verdict
from loralab.show.tables import LEAST_TEST, comparison_table, provenance_table, samples_table, size_text, too_small

# What a cell of a table holds may be a model's answer: in Markdown none of it is markup.
MARKUP = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|"} | {"\n": " "})
PAGE = Template(files("loralab.evidence").joinpath("page.html").read_text(encoding="utf-8"))


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
    """Write report.html and report.md: each track's tables, sentences and figures, and their provenance.

    Everything on it comes from the results. Raises ValueError for results that `check_one` does not let stand together.
    """
    for track in evidence:
        check_one(track.results, HASH if track.track.name == STUDY else None)
    blocks = report(evidence)
    body = "\n".join(map(to_html, blocks))
    title = html.escape(message("report_title", profile=evidence[0].track.name))
    write_atomically(folder / "report.html", PAGE.substitute(language=language(), title=title, body=body))
    write_atomically(folder / "report.md", to_markdown(blocks))


def report(evidence: Sequence[Evidence]) -> list[Block]:
    """The report's headings, paragraphs, tables and figures, in order."""
    every = [result for track in evidence for result in track.results]
    blocks: list[Block] = [Heading(message("report_title", profile=evidence[0].track.name), 1)]
    if too_small(every):
        blocks.append(Text(message("small_banner", **LEAST_TEST), "banner"))
    if evidence[0].track.name == STUDY:
        dates = sorted(result.provenance["date"] for result in every)
        blocks.append(Text(message("protocol_note", hash=HASH, first=dates[0], last=dates[-1])))
    for track in evidence:
        blocks += _track(track)
    if any(track.sweeps for track in evidence):
        judged = [claim for track in evidence for claim in judge_claims(track)]
        blocks += [Heading(message("report_claims"), 2), Text(claims_note()), _told(claims_table(judged))]
        sizes = published()
        note = Text(message("memory_plan_note", device=sizes[0].plan.device.name))
        blocks += [Heading(message("report_memory"), 2), note, _told(size_table(sizes))]
    blocks += [Heading(message("report_provenance"), 2), Table(provenance_table(every), index=False)]
    measured = [measured_name(track) for track in evidence if track.timing]
    return [*blocks, Text(message("measured_files", names=", ".join(measured)))] if measured else blocks


def _told(frame: pd.DataFrame) -> Table:
    return Table(frame, index=False, kind="wide text")


def _section(key: str, *blocks: Block) -> list[Block]:
    return [Heading(message(key), 3), *blocks]


def _track(evidence: Evidence) -> list[Block]:
    full, lora, base = evidence.of("full"), evidence.of("lora"), evidence.of("base")
    timing, margin, generates = evidence.timing, evidence.track.margin, evidence.track.task == "generation"
    text = findings(full, lora, timing.ratios if timing else ())
    if generates:
        text += [compare(lora, base), *(forgetting(base[0], tuned) for tuned in (full, lora))]
    blocks: list[Block] = [Heading(title_of(lora[0].experiment), 2)]
    if evidence.sweeps:
        blocks += _design(evidence)
    blocks += _section("report_comparison", Table(_comparison(evidence, evidence.comparison)))
    notes = ["topics_note"] if generates else ["interval_note", "head_only_note"]
    blocks += [*(Text(message(note)) for note in notes), Listed(text)]
    blocks.append(comparison_panel(full, lora, compare(full, lora), timing.seconds if timing else None))
    blocks.append(ruler(difference(full, lora), margin, margin_verdict(full, lora, margin), evidence.score))
    if evidence.sweeps:
        blocks += _section("report_difference", Table(tables.group_table(trained(evidence))))
    blocks += _ranks(evidence)
    if timing:
        blocks += _section("report_time", Text(message("time_note")), Table(tables.time_table(evidence)))
    if evidence.updates:
        drawn = (figures.singular_values, figures.captured_by_rank, figures.intruders)
        note = Text(message("update_note", least=number(INTRUDER, 1)))
        blocks += _section("report_update", note, *(draw(evidence.updates) for draw in drawn))
    if evidence.others:
        blocks += _section("report_others", Text(message("others_note")), Table(tables.other_methods_table(evidence)))
    blocks += _section("report_training", loss_curves([lora[0], full[0]]))
    if generates:
        blocks += _section("report_forgetting", gained_and_forgotten(base[0], [*lora, *full]))
        blocks += _section("report_samples", Table(samples_table(evidence.comparison), kind="wide text"))
    return blocks


def trained(evidence: Evidence) -> dict[str, list[Result]]:
    """The results of each method that the task trains, by the method's name."""
    return {message(method): evidence.of(method) for method in TASKS[evidence.track.task].trained}


def _comparison(evidence: Evidence, results: Sequence[Result]) -> pd.DataFrame:
    """The comparison table; what was timed in turns is not timed again by runs at different moments."""
    untimed = [message(name) for name in ("seconds", "minutes", "speedup")] if evidence.timing else []
    return comparison_table(results).drop(index=untimed, errors="ignore")


def _design(evidence: Evidence) -> list[Block]:
    """What was fixed before the runs, and the sweep that chose each method's learning rate."""
    experiment, track, score = evidence.of("lora")[0].experiment, evidence.track, evidence.score
    sizes = {name: size_text(getattr(experiment, f"{name}_size")) for name in ("train", "validation", "test")}
    note = message(
        "design_note", epochs=experiment.epochs, batch=experiment.batch_size, seeds=len(track.seeds),
        margin=number(score.factor * track.margin, 2), unit=message(score.unit), sweep_seed=max(track.seeds) + 1,
        score=message(score.name), **sizes,
    )  # fmt: skip
    main = [sweep for sweep in evidence.sweeps if sweep.method in TASKS[track.task].trained]
    others = [sweep for sweep in evidence.sweeps if sweep not in main]
    return _section("report_design", Text(note), *_sweeps(main), *(_sweeps(others) if others else []))


def _sweeps(sweeps: Sequence[Sweep]) -> list[Block]:
    return [_told(tables.sweep_table(sweeps)), figures.loss_against_rate(sweeps)]


def _ranks(evidence: Evidence) -> list[Block]:
    """LoRA at each rank and on other modules; where each has a rate of its own, how that was found."""
    blocks: list[Block] = []
    rank, runs, own = evidence.track.rank, evidence.ranks, bool(evidence.elsewhere)
    if len({r.experiment.rank for r in runs}) > 1:
        note = Text(message("ranks_note_own" if own else "ranks_note", rank=rank))
        blocks += _section("report_ranks", note, Table(_comparison(evidence, runs)))
        blocks.append(score_against_rank(runs, rank_verdict(runs, rank)))
        if own:
            blocks.append(Table(tables.group_table(tables.rank_groups(evidence), beside=f"r = {rank}")))
    if evidence.targets:
        table = Table(tables.group_table(tables.target_groups(evidence), beside=default_name(evidence.track)))
        note = Text(message("targets_note", rank=rank))
        blocks += _section("report_targets", note, table)
    if own:
        places = [next(s for s in evidence.sweeps if s.method == "lora"), *evidence.elsewhere]
        blocks += _section("report_rates", Text(message("rates_note")), *_sweeps(places), *_sweeps(evidence.finer))
    return blocks


def title_of(experiment: Experiment) -> str:
    """A track's title: the task, the data and the model; of what is one's own its name, not where it lies."""
    data, model = (name_of(name) if is_own(name) else name for name in (experiment.dataset, experiment.model))
    return f"{message(experiment.task)}: {data} · {model}"


def to_html(block: Block) -> str:
    """A block as HTML."""
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
            named = frame.rename_axis(index=None, columns=None).map(lambda cell: str(cell).translate(MARKUP))
            return named.to_markdown(index=index, disable_numparse=True)
    return f"*{block.alt}*"
