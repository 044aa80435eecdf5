"""Write the course's site from the committed notebooks, in every language: into results/site, or the folder given.

    python notebooks/website.py [FOLDER]

Sphinx builds it, one site a language, so that each has a search of its own; nothing is executed, and no page asks for
anything from elsewhere. Where the course is on GitHub (see build.py) lessons get links that open them in Colab and
Kaggle.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unicodedata
from pathlib import Path

import nbformat
import pandas as pd
from build import NOTEBOOKS, Address, badges, published, read, sources, target
from handout import write as write_handouts
from nbformat import NotebookNode
from readme import LESSON, ROOT

from loralab.evidence.report import Heading, report, to_html
from loralab.evidence.study import reference
from loralab.files import write_atomically
from loralab.lessons.catalogue import exercises
from loralab.messages import LANGUAGES, gibibytes, number, set_language
from loralab.train.run import results_dir

SITE = NOTEBOOKS / "source" / "site"
# Pages of the English site: the file that each is made from, its name, and how the list of pages calls it.
PAGES = {
    "notebooks/README.md": ("teaching", "Instructor's manual"),
    "data/README.md": ("data", "Data cards"),
    "data/reference/README.md": ("study", "The published runs"),
    "data/adapters/quixote/README.md": ("quixote", "Adapter: Don Quixote"),
    "data/adapters/sancho/README.md": ("sancho", "Adapter: Sancho"),
    ".github/CONTRIBUTING.md": ("contributing", "Contributing"),
    ".github/SECURITY.md": ("security", "Security"),
    ".github/CHANGELOG.md": ("changelog", "Changelog"),
}


def texts(language: str) -> dict[str, str]:
    """The site's own sentences in a language."""
    told: dict[str, dict[str, str]] = tomllib.loads((SITE / "texts.toml").read_text(encoding="utf-8"))
    return told[language]


def headed(title: str, *parts: str) -> str:
    """A page of Markdown."""
    return "\n\n".join((f"# {title}", *parts)) + "\n"


def lesson_of(source: Path, language: str) -> NotebookNode:
    """A lesson as it is committed."""
    return nbformat.read(target(source, language), as_version=4)


def title(notebook: NotebookNode) -> str:
    """A lesson's title, as Markdown."""
    return str(notebook.cells[0].source.split("# ", 1)[1].split("\n")[0])


def ways(language: str, name: str, *more: str) -> str:
    """The line under a page's title: the same page in the other languages, and more links."""
    others = [other for other in LANGUAGES if other != language]
    switch = [f'<a lang="{o}" hreflang="{o}" href="../{o}/{name}.html">{texts(o)["name"]}</a>' for o in others]
    return f'<p class="ways">{" · ".join((*switch, *more))}</p>'


def solutions(source: Path, language: str) -> dict[str, str]:
    """The right answer to each of a lesson's exercises, folded, as Markdown."""
    folded = {}
    for cell in read(source):
        if key := cell.metadata.get("exercise"):
            code = re.sub(" *### (BEGIN|END) SOLUTION\n", "", cell.source)
            summary = f"<details><summary>{texts(language)['solution']}</summary>"
            folded[key] = f"{summary}\n\n```python\n{code}\n```\n\n{exercises()[key]['why'][language]}\n\n</details>"
    return folded


def label(lesson: str, cell: int) -> str:
    """The name by which pages link to a cell of a lesson."""
    return f"cell-{lesson[:2]}-{cell}"


def lesson_page(source: Path, language: str, address: Address | None, linked: set[str]) -> NotebookNode:
    """A lesson as the site shows it: set-up and solutions folded, and a name for each cell that is linked to."""
    notebook, answers = lesson_of(source, language), solutions(source, language)
    opens = re.findall(r"!\[(\w+)\]\S+ ?\]\((\S+?)\)", badges(f"notebooks/{language}/{source.stem}.ipynb", address))
    more = [f'<a href="{place}">{service}</a>' for service, place in opens]
    places = {"notebook": f"{source.stem}.ipynb", "summary": f"handouts/{source.stem}.{language}.html"}
    more += [f'<a href="{place}">{texts(language)[key]}</a>' for key, place in places.items()]
    first, cells = notebook.cells[0], []
    _, _, rest = first.source.split("# ", 1)[1].partition("\n")
    first.source = headed(title(notebook), ways(language, source.stem, *more), rest)
    for position, cell in enumerate(notebook.cells):
        if (name := label(source.stem, position)) in linked:
            cells.append(nbformat.v4.new_markdown_cell(f"({name})="))
        if "jupyter" in cell.metadata:
            cell.metadata["tags"] = ["hide-input"]
        cells.append(cell)
        if key := cell.metadata.get("exercise"):
            cells.append(nbformat.v4.new_markdown_cell(answers[key]))
    notebook.cells = cells
    return notebook


def glossary(language: str) -> tuple[str, set[str]]:
    """The page of terms, and the names of the cells that it links to.

    Raises ValueError for a term whose words do not stand in just one cell of its lesson.
    """
    own, linked, entries = texts(language), set(), {}
    lessons = {source.stem: lesson_of(source, language) for source in sources()}
    for term in tomllib.loads((NOTEBOOKS / "source" / "glossary.toml").read_text(encoding="utf-8"))["term"]:
        name, lesson, words = term[language], lessons[term["lesson"]], term["says"][language]
        cells = [label(term["lesson"], i) for i, cell in enumerate(lesson.cells) if words in cell.source]
        if len(cells) != 1:
            raise ValueError(f"{name}: {words!r} has to stand in one cell of {term['lesson']}, not in {len(cells)}")
        linked.add(cells[0])
        entries[name] = f"{name}\n: {term['definition'][language].strip()} → [{title(lesson)}](#{cells[0]})"
    # É goes with e.
    order = sorted(entries, key=lambda name: unicodedata.normalize("NFD", name.casefold()))
    text = headed(own["glossary"], ways(language, "glossary"), own["glossary_note"], *(entries[name] for name in order))
    return text, linked


def focusable(page: str) -> str:
    """HTML in which one can reach by keyboard what scrolls sideways."""
    return page.replace('<div class="wide', '<div tabindex="0" class="wide')


def report_page(language: str) -> str:
    """The published study's report."""
    set_language(language)
    first, *blocks = report(reference())
    shown = [f"{'#' * b.level} {b.text}" if isinstance(b, Heading) else focusable(to_html(b)) for b in blocks]
    assert isinstance(first, Heading)
    return headed(first.text, ways(language, "report"), *shown)


def handouts_page(language: str) -> str:
    """The page that lists every lesson's handouts."""
    own, lines = texts(language), []
    for source in sources():
        lesson, kinds = lesson_of(source, language), {"summary": ""}
        if any("exercise" in cell.metadata for cell in lesson.cells):
            kinds["mistakes"] = ".mistakes"
        shown = [f'<a href="handouts/{source.stem}.{language}{kind}.html">{own[k]}</a>' for k, kind in kinds.items()]
        lines.append(f"- {title(lesson)}: {', '.join(shown)}")
    return headed(own["handouts"], ways(language, "handouts"), own["handouts_note"], "\n".join(lines))


def relinked(markdown: str, path: str, language: str, address: Address | None) -> str:
    """A README's Markdown with links to the site's pages; other links lead to the repository, or say the path."""

    def link(found: re.Match[str]) -> str:
        text, place, anchor = found[1], found[2], found[3] or ""
        place = (ROOT / path).parent.joinpath(place).resolve().relative_to(ROOT.resolve()).as_posix() if place else path
        if place in PAGES:
            name = PAGES[place][0]
            here = f"[{text}]({name}.md{anchor})" if place != path else f"[{text}]({anchor})"
            return here if language == "en" else f'<a href="../en/{name}.html{anchor}">{text}</a>'
        if address:
            return f"[{text}]({address.repository}/blob/{address.branch}/{place}{anchor})"
        return text if Path(place).name in text else f"{text} (`{place}`)"

    return re.sub(r"\[([^]]*)\]\((?!https?:|mailto:)([^)#]*)(#[^)]*)?\)", link, re.sub("<!--.*?-->", "", markdown))


def home(language: str, address: Address | None) -> str:
    """The first page: a button for each lesson, and what README.md says in this language of the course and its use."""
    own = texts(language)
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"\n## {own['name']}\n")[2]
    introduction, commands, _, _, uses = readme.partition("\n## ")[0].split("\n### ")
    begin = relinked(f"## {commands}\n## {uses}", "README.md", language, address)
    picture = re.search(r"!\[(.+?)\]\(\S+\.png\)", readme)
    assert picture
    buttons = []
    for source in sources():
        lesson = lesson_of(source, language)
        question = re.search(r"\*\*\w+\.\*\* (.+)", lesson.cells[0].source)
        assert question
        told = re.sub("[*`]", "", f"<b>{title(lesson)}</b> <span>{question[1]}</span>")
        buttons.append(f'<li><a href="{source.stem}.html">{told}</a></li>')
    lessons = f'<ul class="lessons">{"".join(buttons)}</ul>'
    beside = [f"{own[name]} <{name}>" for name in ("glossary", "fits", "report", "handouts")]
    trees = {"lessons": [source.stem for source in sources()], "beside": beside}
    if language == "en":
        trees["abroad"] = [f"{title} <{name}>" for name, title in PAGES.values()]
    listed = [
        "\n".join([f"```{{toctree}}\n:hidden:\n:caption: {own[key]}\n", *pages, "```"]) for key, pages in trees.items()
    ]
    shown = f"![{picture[1]}]({LESSON.stem}.png)"
    above = [ways(language, "index"), introduction.strip(), f"## {own['lessons']}", lessons, shown]
    return headed("LoRA Lab", *above, begin, own["teachers"], *listed)


def write_pages(language: str, folder: Path, address: Address | None) -> None:
    """Write what Sphinx reads for one language's site into a folder. Raises what `glossary` raises."""
    terms, linked = glossary(language)
    pages = {
        "index": home(language, address),
        "glossary": terms,
        "report": report_page(language),
        "fits": fits_page(language),
        "handouts": handouts_page(language),
    }
    if language == "en":
        for path, (name, _) in PAGES.items():
            pages[name] = relinked((ROOT / path).read_text(encoding="utf-8"), path, language, address)
    for name, markdown in pages.items():
        (folder / f"{name}.md").write_text(markdown, encoding="utf-8")
    for source in sources():
        nbformat.write(lesson_page(source, language, address, linked), folder / f"{source.stem}.ipynb")
    shutil.copy(target(LESSON, language).with_suffix(".png"), folder)


def fits_page(language: str) -> str:
    """Which of some well-known models can be trained on which GPU, and how: a table for each way to train."""
    set_language(language)
    own, parts = texts(language), []
    table = json.loads((ROOT / "data" / "fits.json").read_text(encoding="utf-8"))
    for way in table["ways"]:
        rows: dict[str, dict[str, str]] = {}
        for plan in table["plans"]:
            if plan["way"] == way:
                row = rows.setdefault(plan["model"].rpartition("/")[2], {})
                batch, peak = plan["largest_batch"], plan["peak"]
                row[plan["gpu"]] = (
                    "–" if peak is None else f"{number(batch, 0) if batch else own['no']} ({gibibytes(peak, 1)})"
                )
        memory = {gpu["name"]: f"{gpu['name']} ({gibibytes(gpu['memory'], 0)})" for gpu in table["gpus"]}
        frame = pd.DataFrame.from_dict(rows, orient="index").rename(columns=memory).to_html(border=0)
        parts += [f"## {own[way]}", focusable(f'<div class="wide">{frame}</div>')]
    note = own["fits_note"].format(
        **{f"{task}_{key}": v for task, row in table["setting"].items() for key, v in row.items()}
    )
    return headed(own["fits"], ways(language, "fits"), note, *parts)


def main() -> int:
    """Write the site; returns the exit code, 1 if Sphinx warned of something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=results_dir() / "site")
    folder, failed, address = parser.parse_args().folder, 0, published()
    for language in LANGUAGES:
        own = texts(language)
        with tempfile.TemporaryDirectory() as temporary:
            write_pages(language, Path(temporary), address)
            words = {"language": language, "nb_code_prompt_show": own["show"], "nb_code_prompt_hide": own["hide"]}
            settings = [argument for name, word in words.items() for argument in ("-D", f"{name}={word}")]
            settings += ["-c", str(SITE), "-d", f"{temporary}/.doctrees"]
            command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", *settings, temporary]
            failed |= subprocess.run([*command, str(folder / language)], check=False).returncode
        for source in sources():
            write_handouts(source, language, folder / language / "handouts")
            shutil.copy(target(source, language), folder / language)
    shutil.rmtree(folder / "jupyter_execute", ignore_errors=True)  # myst-nb leaves it beside what was asked for
    write_atomically(folder / "index.html", (SITE / "index.html").read_text(encoding="utf-8"))
    print(folder)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
