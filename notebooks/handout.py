"""Write a lesson on two pages at most, from the committed notebook: what it asks, its figures, and what one may claim.

And for who teaches it the mistakes that its exercises know, with what to say to each. In every language, as pages to
print, into results/handouts.

    python notebooks/handout.py 03
"""

import argparse
import html
import re
from io import BytesIO
from pathlib import Path

import nbformat
from build import sources, target
from matplotlib.mathtext import math_to_image
from nbconvert.filters import markdown2html_mistune
from nbformat import NotebookNode

from loralab.files import write_atomically
from loralab.lessons.catalogue import exercises
from loralab.messages import LANGUAGES
from loralab.train.run import results_dir

PAGE = """<!doctype html><html lang="{language}"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><style>
@page {{ size: A4; margin: 14mm }} body {{ font: 10pt/1.35 sans-serif; max-width: 182mm; margin: auto }}
h1, h2, h3 {{ line-height: 1.15; margin: .7em 0 .3em; break-after: avoid }} p, ul {{ margin: .4em 0 }}
img {{ width: 48%; margin: 1%; vertical-align: top }} .formula {{ vertical-align: middle }}
pre {{ font-size: 8.5pt; white-space: pre-wrap; background: #f2f2f2; padding: .4em }} section {{ break-inside: avoid }}
</style><body><main>{body}</main></body></html>
"""
FIGURES = 6
MISTAKES = {"es": "Errores conocidos, y qué decir", "en": "Known mistakes, and what to say"}
# How the section, or in the last lesson the paragraphs, begin that say what one may claim.
CLAIMS = {"es": ("Qué puedes afirmar ya", "Se puede decir"), "en": ("What you may now claim", "One may say")}


def formula(tex: str) -> str:
    """A formula as a picture in the page, so that it is printed without a network."""
    picture = BytesIO()
    math_to_image(f"${tex.strip()}$", picture, format="svg")
    svg = picture.getvalue().decode()
    return svg[svg.index("<svg") :].replace("<svg ", '<svg class="formula" ', 1)


def to_html(markdown: str) -> str:
    """Markdown of a lesson as HTML, its formulae drawn, and without links to what does not lie beside a print."""
    drawn: list[str] = []
    markdown = re.sub(r"\[([^]]+)\]\((?!https?:)[^)]*\)", r"\1", markdown)

    def kept(found: re.Match[str]) -> str:
        drawn.append(formula(found[1] or found[2]))
        return f"formula{len(drawn) - 1}end"

    text = markdown2html_mistune(re.sub(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", kept, markdown, flags=re.DOTALL))
    text = re.sub('<a class="anchor-link".*?</a>', "", text)
    return re.sub(r"formula(\d+)end", lambda found: drawn[int(found[1])], text)


def claims(notebook: NotebookNode, language: str) -> str:
    """The Markdown that says what one may claim after the lesson."""
    heading, words = CLAIMS[language]
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    if section := re.search(rf"^## {heading}.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
        return section[0]
    said = [paragraph for paragraph in text.split("\n\n") if paragraph.startswith(words)]
    return f"## {heading}\n\n" + "\n\n".join(said)


def summary(notebook: NotebookNode, language: str) -> str:
    """The lesson on two pages, as HTML."""
    opening = next(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    shown = [o.get("data", {}).get("text/html", "") for cell in notebook.cells for o in cell.get("outputs", [])]
    pictures = re.findall(r'<img [^>]*alt="([^"]*)"[^>]*src="([^"]*)"', "".join(shown))
    figures = "".join(f'<img alt="{alt}" src="{source}">' for alt, source in pictures[:FIGURES])
    return to_html(opening) + figures + to_html(claims(notebook, language))


def mistakes(notebook: NotebookNode, language: str) -> str:
    """Each exercise's known mistakes as HTML: the code that makes one, and what to say, with "…" for its numbers."""
    parts, title = [f"<h1>{MISTAKES[language]}</h1>"], ""
    for cell in notebook.cells:
        if found := re.search("^### (.+)$", cell.source, re.MULTILINE):
            title = found[1]
        if not (key := cell.metadata.get("exercise")):
            continue
        entry = exercises()[key]
        parts.append(to_html(f"## {title}\n\n{entry['why'][language]}"))
        for row in entry["hints"].values():
            wrong = " → ".join(row["change"]) if "change" in row else row.get("wrong", [])
            codes = [wrong] if isinstance(wrong, str) else wrong
            shown = "".join(f"<pre>{html.escape(code.strip())}</pre>" for code in codes)
            parts.append(f"<section>{shown}{to_html(re.sub('{.*?}', '…', row[language]))}</section>")
    return "".join(parts)


def write(source: Path, language: str, folder: Path) -> list[Path]:
    """Write a lesson's handouts into a folder, LESSON.LANGUAGE.html and LESSON.LANGUAGE.mistakes.html; their paths."""
    notebook = nbformat.read(target(source, language), as_version=4)
    written = []
    for kind, body in (("", summary(notebook, language)), (".mistakes", mistakes(notebook, language))):
        written.append(folder / f"{source.stem}.{language}{kind}.html")
        write_atomically(written[-1], PAGE.format(language=language, title=f"{source.stem}{kind}", body=body))
    return written


def main() -> int:
    """Write a lesson's handouts; returns the exit code, 1 if there is no such lesson."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lesson", help="its number, such as 03")
    number = parser.parse_args().lesson
    named = [source for source in sources() if re.match(f"0*{re.escape(number)}_", source.stem)]
    if not named:
        parser.error(f"there is no lesson {number!r}; there are {', '.join(source.stem for source in sources())}")
    for language in LANGUAGES:
        print(*write(named[0], language, results_dir() / "handouts"), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
