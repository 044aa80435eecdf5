"""Write the lessons in both languages from their one source.

A source is in jupytext's percent format: code once, prose in markdown cells marked lang="es" or lang="en". What is
built keeps the outputs of the committed notebook as long as the code up to them is unchanged.

    python notebooks/build.py
"""

import hashlib
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parent
LANGUAGES = ("es", "en")
SETUP = 'LANGUAGE = "es"'


def sources() -> list[Path]:
    """The lessons' sources, in order."""
    return sorted((NOTEBOOKS / "source").glob("[0-9]*.py"))


def target(source: Path, language: str) -> Path:
    """Where a lesson is built to."""
    return NOTEBOOKS / language / f"{source.stem}.ipynb"


def code_hashes(notebook: NotebookNode) -> list[str]:
    """For each cell a hash of the code up to and including it: what its output depends on."""
    digest, hashes = hashlib.sha256(), []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update(cell.source.encode() + b"\0")
        hashes.append(digest.hexdigest()[:16])
    return hashes


def build(source: Path, language: str) -> NotebookNode:
    """One lesson in one language, without outputs.

    Raises ValueError if a markdown cell has no language, or if the set-up line is not there exactly once.
    """
    read = jupytext.read(source)
    cells, seen = [], Counter[str]()
    for cell in read.cells:
        marked = cell.metadata.get("lang")
        if cell.cell_type == "markdown" and marked not in LANGUAGES:
            raise ValueError(f'{source.name}: a markdown cell has no lang="es" or lang="en": {cell.source[:60]!r}')
        if cell.cell_type == "markdown" and marked != language:
            continue
        text = cell.source.replace(SETUP, f'LANGUAGE = "{language}"')
        make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        new = make(text)
        seen[text] += 1
        new.id = hashlib.sha256(f"{source.stem}{seen[text]}{text}".encode()).hexdigest()[:12]
        if tags := cell.metadata.get("tags"):
            new.metadata["tags"] = tags
        cells.append(new)
    if sum(cell.source.count(SETUP) for cell in read.cells) != 1:
        raise ValueError(f"{source.name}: the line {SETUP!r} has to stand in it once")
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    return notebook


def with_outputs(notebook: NotebookNode, path: Path) -> NotebookNode:
    """The notebook with the outputs that the file at `path` has for the same code."""
    if not path.exists():
        return notebook
    known = {cell.id: cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"}
    for cell, code in zip(notebook.cells, code_hashes(notebook), strict=True):
        old = known.get(cell.id)
        if cell.cell_type == "code" and old is not None and old.metadata.get("code_hash") == code:
            cell.outputs, cell.execution_count = old.outputs, old.execution_count
            cell.metadata["code_hash"] = code
    return notebook


def text_of(notebook: NotebookNode) -> str:
    """A notebook as the text of its file."""
    return nbformat.writes(notebook, version=4) + "\n"


def main() -> None:
    """Write every edition that differs from its source."""
    for source in sources():
        for language in LANGUAGES:
            path = target(source, language)
            text = text_of(with_outputs(build(source, language), path))
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
                print(f"{language}/{path.name}: written")


if __name__ == "__main__":
    main()
