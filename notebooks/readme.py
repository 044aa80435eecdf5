"""Write what is generated of the READMEs, from the lessons and the study as they are committed.

README.md gets, in each language between the two marks of its name, a picture and a few numbers of lesson 6, and the
picture is stored beside the notebook; data/reference/README.md gets the published study's tables, and the manual what
lessons compute on a T4.

    python notebooks/readme.py
"""

import base64
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path

import nbformat
from build import NOTEBOOKS, target
from nbformat import NotebookNode

from loralab.evidence import tables
from loralab.evidence.claims import claims_table, judge_claims
from loralab.evidence.report import Block, Listed, Table, Text, title_of, to_markdown, trained
from loralab.evidence.study import Evidence, reference
from loralab.files import write_atomically
from loralab.messages import LANGUAGES, message, number, set_language
from loralab.show.sentences import margin_verdict, speed_in_turns

ROOT = NOTEBOOKS.parent
LESSON = NOTEBOOKS / "source" / "06_full_vs_lora.py"


def shown(notebook: NotebookNode, call: str) -> str:
    """The HTML that the first cell with this call shows. Raises StopIteration if there is none."""
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code" and call in cell.source)
    return str(next(o.data["text/html"] for o in cell.outputs if "text/html" in o.get("data", {})))


def picture(notebook: NotebookNode, call: str) -> tuple[bytes, str]:
    """The first figure that a cell with this call shows, as PNG, and its text alternative."""
    page = shown(notebook, call)
    alt, data = (re.search(form, page) for form in (r'alt="(.*?)"', "base64,(.*?)[\"']"))
    assert alt and data
    return base64.b64decode(data[1]), html.unescape(alt[1])


def numbers(notebook: NotebookNode) -> str:
    """A few rows of lesson 6's comparison as Markdown, full fine-tuning beside LoRA, the verdict, and the machine."""
    page = shown(notebook, "comparison_table(results)")
    rows = [re.findall("<t[hd]>(.*?)</t[hd]>", row) for row in page.split("</tr>")]
    table = {row[0]: row[-2:] for row in rows if row}
    keys = message("accuracy"), message("trainable"), message("seconds"), message("peak_memory"), message("seeds")
    lines = [f"| {key} | {' | '.join(table[key])} |" for key in ("", *keys)]
    lines.insert(1, "|---|---:|---:|")
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    _, told = picture(notebook, "margin_verdict(full, lora, margin)")  # which starts with the verdict and its seeds
    return "\n".join([*lines, "", f"{told.partition(').')[0]}). `{first.outputs[0].text.strip()}`"])


def fill(path: Path, name: str, content: str) -> None:
    """Put what is generated between the two marks of that name in a Markdown file. Raises ValueError without marks."""
    start, end = f"<!-- make readme: {name} -->", f"<!-- end of {name} -->"
    before, mark, rest = path.read_text(encoding="utf-8").partition(start)
    _, closing, after = rest.partition(end)
    if not mark or not closing:
        raise ValueError(f"{path.name} lacks the marks {start!r} and {end!r}: put them where {name} should go")
    write_atomically(path, f"{before}{start}\n\n{content}\n{end}{after}")


def write_study(evidence: Sequence[Evidence], path: Path) -> None:
    """Put the published study's tables into data/reference/README.md, in English. Raises what `fill` raises."""
    set_language("en")
    blocks: list[Block] = []
    for track in evidence:
        title = Text(title_of(track.of("lora")[0].experiment), "title")
        sentences = [margin_verdict(track.of("full"), track.of("lora"), track.track.margin)]
        sentences += [speed_in_turns(track.timing.ratios)] if track.timing else []
        blocks += [title, Table(tables.group_table(trained(track))), Listed(sentences)]
    judged = [claim for track in evidence for claim in judge_claims(track)]
    blocks.append(Table(claims_table(judged), index=False))
    fill(path, "study", to_markdown(blocks))


def write_work(path: Path) -> None:
    """Put the counts of data/work.json into the manual, in English. Raises what `fill` raises."""
    set_language("en")
    rows = json.loads((ROOT / "data" / "work.json").read_text(encoding="utf-8"))
    lines = [
        "| lesson | trainings | steps | thousands of tokens: trained on | judged | written | 10^12 operations | MB |"
    ]
    lines.append("|---" + "|---:" * 7 + "|")
    total = [0] * 7
    for row in rows:
        tracks = [row["classification"], row["generation"]]
        counts = [sum(track[name] for track in tracks) for name in tracks[0]] + [row["fetched"]]
        total = [a + b for a, b in zip(total, counts, strict=True)]
        lines.append(f"| {int(row['lesson'][:2])} | {' | '.join(number(n, 0) for n in counts)} |")
    lines.append(f"| all | {' | '.join(number(n, 0) for n in total)} |")
    fill(path, "work", "\n".join(lines) + "\n")


def main() -> None:
    """Write them. Raises ValueError, naming the file, where marks are missing."""
    for language in LANGUAGES:
        set_language(language)
        path = target(LESSON, language)
        notebook = nbformat.read(path, as_version=4)
        png, alt = picture(notebook, "comparison_panel(")
        path.with_suffix(".png").write_bytes(png)
        image = path.with_suffix(".png").relative_to(ROOT).as_posix()
        fill(ROOT / "README.md", language, f"![{alt}]({image})\n\n{numbers(notebook)}\n")
    write_study(reference(), ROOT / "data" / "reference" / "README.md")
    write_work(ROOT / "notebooks" / "README.md")


if __name__ == "__main__":
    main()
