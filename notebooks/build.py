"""Write the lessons in every language (loralab.messages.LANGUAGES) from their one source.

A source is in jupytext's percent format: code once, and prose in markdown cells marked lang="es", lang="en" and so on,
the same cell in one language after the other. What is built keeps the outputs of the committed notebook as long as the
code up to them is unchanged. Exercises (code cells marked exercise="key") lose what stands between
`### BEGIN SOLUTION` and `### END SOLUTION`, unless asked for. Nothing is executed.

Where the course is on GitHub, lessons and README get badges that open a lesson in Colab or Kaggle, and first cells say
where to get the course. So in a fork this script is all that has to be run; .github/workflows/address.yml does so.

    python notebooks/build.py                       every edition, where it stands
    python notebooks/build.py --solutions FOLDER    nbgrader's courses, FOLDER/LANGUAGE: an assignment a lesson, solved
"""

import argparse
import ast
import hashlib
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import jupytext
import nbformat
from nbformat import NotebookNode

from loralab.messages import LANGUAGES

NOTEBOOKS = Path(__file__).parent
SETUP = 'LANGUAGE = "es"'
# The cell with which every source starts. What is built starts with setup.py's text, which ends in the same call.
START = f"""from loralab import hand_over, start

{SETUP}
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)"""
GITHUB = "https://github.com/"
COLAB = "https://colab.research.google.com"
KAGGLE = "https://kaggle.com"
REGION = re.compile(r"^( *)### BEGIN SOLUTION\n(?:.*\n)*?\1### END SOLUTION\n", re.MULTILINE)


# What is installed of a checkout, from its top.
PACKAGE = (":/src", ":/data", ":/pyproject.toml", ":/requirements.txt")


class Address(NamedTuple):
    """Where the course is published: its repository, what first cells install of it, the branch that badges open."""

    repository: str
    ref: str
    branch: str


def github(remote: str) -> str:
    """A GitHub remote (https or ssh) as https://github.com/OWNER/NAME, without credentials; "" for any other."""
    form = r"(?:https://(?:[^/@]*@)?github\.com/|ssh://git@github\.com/|git@github\.com:)([\w.-]+/[\w.-]+?)(?:\.git)?/?"
    found = re.fullmatch(form, remote.strip())
    return GITHUB + found[1] if found else ""


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A git command in the checkout."""
    return subprocess.run(["git", "-C", NOTEBOOKS, *arguments], capture_output=True, text=True, check=False)


def published() -> Address | None:
    """Where the lessons get the course from, or None: no address is invented.

    The repository is REPO from the environment, else git's remote `origin` if that is on GitHub; so what a fork builds
    points at the fork. The ref is REF, else the one that the lessons name if they name that repository and the package
    has not changed since, else the commit at hand. Raises ValueError for a REPO that is not on GitHub.
    """
    given = os.environ.get("REPO", "")
    repository = github(given or git("remote", "get-url", "origin").stdout)
    if given and not repository:
        raise ValueError(f"REPO is {given!r}, and has to be a GitHub address such as {GITHUB}OWNER/NAME")
    if not repository:
        return None
    default = git("symbolic-ref", "--short", "refs/remotes/origin/HEAD").stdout.strip().removeprefix("origin/")
    branch = default or git("branch", "--show-current").stdout.strip() or "main"
    first = target(sources()[0], LANGUAGES[0])
    named = named_address(nbformat.read(first, as_version=4)) if first.exists() else None
    at_hand = git("rev-parse", "HEAD").stdout.strip()
    if git("diff", "--quiet", "HEAD", "--", *PACKAGE).returncode:
        print("the package has changes that no commit has: the lessons will install it without them")
    if (
        named
        and named.repository == repository
        and git("diff", "--quiet", named.ref, "HEAD", "--", *PACKAGE).returncode == 0
    ):
        at_hand = named.ref
    return Address(repository, os.environ.get("REF") or at_hand, branch)


def named_address(notebook: NotebookNode) -> Address | None:
    """The address that a built lesson names."""
    code = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    found = re.search(r'^COURSE = "(.+)"\nREFS = \["(.+)", "(.+)"\]$', code, re.MULTILINE)
    return Address(*found.groups()) if found else None


def sources() -> list[Path]:
    """The lessons' sources, in order."""
    return sorted((NOTEBOOKS / "source").glob("[0-9]*.py"))


def target(source: Path, language: str, courses: Path | None = None) -> Path:
    """Where a lesson is built to; for nbgrader, as an assignment of the language's course among `courses`."""
    folder = courses / language / "source" / source.stem if courses else NOTEBOOKS / language
    return folder / f"{source.stem}.ipynb"


def code_hashes(notebook: NotebookNode) -> list[str]:
    """For each cell a hash of the code up to and including it: what its output depends on."""
    digest, hashes = hashlib.sha256(), []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update(without_colab(cell.source).encode() + b"\0")
        hashes.append(digest.hexdigest()[:16])
    return hashes


def without_colab(code: str) -> str:
    """A cell's code; the set-up cell's without where Colab gets the course."""
    language = re.search(r'^LANGUAGE = "\w+"$', code, re.MULTILINE)
    return START.replace(SETUP, language[0]) if language and "google.colab" in code else code


def setup_code(language: str, address: Address | None) -> str:
    """The code of a lesson's first cell: it installs the course from that address, or from a wheel, if need be."""
    code = (NOTEBOOKS / "source" / "setup.py").read_text(encoding="utf-8").strip()
    if address:
        place = f'COURSE = "{address.repository}"\nREFS = ["{address.ref}", "{address.branch}"]'
        code = code.replace('COURSE = ""\nREFS = []', place)
    return code.replace(SETUP, f'LANGUAGE = "{language}"')


def badges(path: str, address: Address | None) -> str:
    """Links that open a lesson, by its path in the repository, in Colab and in Kaggle; "" if it is not on GitHub."""
    if address is None or not address.repository.startswith(GITHUB):
        return ""
    name, place = address.repository.removeprefix(GITHUB), f"blob/{address.branch}/{path}"
    return (
        f"[![Colab]({COLAB}/assets/colab-badge.svg)]({COLAB}/github/{name}/{place})"
        f" [![Kaggle]({KAGGLE}/static/images/open-in-kaggle.svg)]({KAGGLE}/kernels/welcome?src={GITHUB}{name}/{place})"
    )


def with_badges(readme: str, address: Address | None) -> str:
    """A README with their badges after its tables' links to lessons, and Codespaces' after its title; or with none."""
    link = r"(?m)^(\| \[[^]]+\]\((notebooks/\w+/\w+\.ipynb)\))(?: \[!\[\w+\][^ ]*)*"
    readme = re.sub(link, lambda found: f"{found[1]} {badges(found[2], address)}".rstrip(), readme)
    opens = ""
    if address and badges("", address):
        name = address.repository.removeprefix(GITHUB)
        opens = f" [![Codespaces]({GITHUB}codespaces/badge.svg)](https://codespaces.new/{name})"
    return re.sub(r"(?m)\A# (\w+ \w+).*$", rf"# \1{opens}", readme)


def blank(code: str) -> str:
    """An exercise's code without its solution: `...` in place of an indented one, nothing in place of another."""
    emptied = REGION.sub(lambda region: f"{region[1]}...\n" if region[1] else "", f"{code}\n")
    return re.sub(r"\n{4,}", "\n\n\n", emptied).strip()


def answers(code: str, key: str) -> str:
    """The arguments with which an exercise's last statement calls `check`, after the key.

    Raises ValueError if the cell's markers are not in pairs or not there, or if it does not end in its one such call.
    """
    marks = [len(re.findall(f"{mark} SOLUTION", code)) for mark in ("BEGIN", "END")]
    if not marks[0] or marks != [len(REGION.findall(f"{code}\n"))] * 2:
        raise ValueError("an exercise needs ### BEGIN SOLUTION and ### END SOLUTION, in pairs and equally indented")
    tree = ast.parse(blank(code))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "check"]
    last = tree.body[-1]
    if len(calls) != 1 or not isinstance(last, ast.Expr) or last.value is not calls[0]:
        raise ValueError("an exercise has to end in its one call of check")
    first, *rest = calls[0].args
    if ast.unparse(first) != repr(key):
        raise ValueError(f"the call of check has to be for {key!r}")
    return "".join(f", {ast.unparse(argument)}" for argument in rest)


def grading_cells(code: str, key: str, given: str) -> list[NotebookNode]:
    """An exercise's cell and its grader, a point if it is right, as nbgrader wants them."""
    # No message: hints are the student's, in the cell above.
    test = f'from loralab import grade\n\nassert grade("{key}"{given}).right'
    cells = [nbformat.v4.new_code_cell(code), nbformat.v4.new_code_cell(test)]
    common = {"schema_version": 3, "task": False}
    answer = {"grade_id": key, "grade": False, "solution": True, "locked": False}
    grader = {"grade_id": f"{key}_test", "grade": True, "solution": False, "locked": True, "points": 1}
    for cell, marks in zip(cells, (answer, grader), strict=True):
        cell.metadata["nbgrader"] = common | marks
    return cells


def made_from(cell: NotebookNode, language: str, solutions: bool) -> list[NotebookNode]:
    """What becomes of a source's cell: an exercise is blanked, or gets its grader. Raises what `answers` raises."""
    text = cell.source.replace(SETUP, f'LANGUAGE = "{language}"')
    if cell.cell_type == "markdown":
        return [nbformat.v4.new_markdown_cell(text)]
    cells = [nbformat.v4.new_code_cell(text)]
    if key := cell.metadata.get("exercise"):
        given = answers(text, key)
        cells = grading_cells(text, key, given) if solutions else [nbformat.v4.new_code_cell(blank(text))]
        cells[0].metadata["exercise"] = key
    if tags := cell.metadata.get("tags"):
        cells[0].metadata["tags"] = tags
    return cells


def read(source: Path) -> list[NotebookNode]:
    """A source's cells.

    Raises ValueError, naming it, if a markdown cell has no language, the set-up line is not there exactly once, or a
    solution stands outside an exercise.
    """
    cells: list[NotebookNode] = jupytext.read(source).cells
    for cell in cells:
        if cell.cell_type == "markdown" and cell.metadata.get("lang") not in LANGUAGES:
            known = " or ".join(f'lang="{language}"' for language in LANGUAGES)
            raise ValueError(f"{source.name}: a markdown cell has no {known}: {cell.source[:60]!r}")
        if "exercise" not in cell.metadata and re.search("(BEGIN|END) SOLUTION", cell.source):
            raise ValueError(f"{source.name}: a solution outside an exercise: {cell.source[:60]!r}")
    if sum(cell.source.count(SETUP) for cell in cells) != 1:
        raise ValueError(f"{source.name}: the line {SETUP!r} has to stand in it once")
    return cells


def untranslated(cells: list[NotebookNode], language: str) -> NotebookNode | None:
    """The first prose cell that stands there in other languages and not in this one."""
    group: dict[str, NotebookNode] = {}  # one cell of prose, by language
    for cell in (*cells, nbformat.v4.new_code_cell()):
        if cell.cell_type == "code" or cell.metadata["lang"] in group:
            if group and language not in group:
                return next(iter(group.values()))
            group = {}
        if cell.cell_type == "markdown":
            group[cell.metadata["lang"]] = cell
    return None


def build(source: Path, language: str, address: Address | None = None, solutions: bool = False) -> NotebookNode:
    """One lesson in one language, without outputs; with `solutions`, for nbgrader.

    Raises what `read` raises, and ValueError, naming the source, for prose that the language lacks and for an exercise
    that cannot be blanked.
    """
    cells: list[NotebookNode] = []
    written = read(source)
    if lacking := untranslated(written, language):
        first, told = lacking.source.splitlines()[0], f'write it after that cell, marked lang="{language}"'
        raise ValueError(f"{source.name}: {first!r} does not stand there in {language!r}: {told}")
    for cell in written:
        if cell.metadata.get("lang", language) == language:
            try:
                cells += made_from(cell, language, solutions)
            except (ValueError, SyntaxError) as error:
                raise ValueError(f"{source.name}: {cell.metadata['exercise']!r}: {error}") from error
    seen = Counter[str]()
    for cell in cells:
        seen[cell.source] += 1
        cell.id = hashlib.sha256(f"{source.stem}{seen[cell.source]}{cell.source}".encode()).hexdigest()[:12]
        if cell.source == START.replace(SETUP, f'LANGUAGE = "{language}"'):
            cell.source = setup_code(language, address)  # only now: the address is no part of a cell's identity
            cell.metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}  # Colab's word and JupyterLab's
    path = f"notebooks/{language}/{source.stem}.ipynb"
    if cells[0].cell_type == "markdown" and not solutions and badges(path, address):  # they open what has no graders
        cells[0].source = f"{badges(path, address)}\n\n{cells[0].source}"
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "accelerator": "GPU",
            "colab": {"gpuType": "T4", "provenance": []},
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


def main() -> int:
    """Write every edition that differs from its source; returns the exit code, 1 if one was refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solutions", type=Path, metavar="FOLDER")
    courses: Path | None = parser.parse_args().solutions
    address, refused = published(), 0
    for source in sources():
        for language in LANGUAGES:
            path = target(source, language, courses)
            try:
                built = build(source, language, address, solutions=courses is not None)
            except ValueError as error:
                print(f"{language}/{path.name}: not written. {error}")
                refused = 1
                continue
            if courses and not any("exercise" in cell.metadata for cell in built.cells):
                continue  # nothing to grade
            text = text_of(built if courses else with_outputs(built, path))
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                print(f"{language}/{path.name}: written")
    if courses:
        for language in LANGUAGES:
            settings = courses / language / "nbgrader_config.py"
            if not settings.exists():  # what a teacher set stays
                settings.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(NOTEBOOKS / settings.name, settings)
    else:
        readme = NOTEBOOKS.parent / "README.md"
        readme.write_text(with_badges(readme.read_text(encoding="utf-8"), address), encoding="utf-8")
    return refused


if __name__ == "__main__":
    raise SystemExit(main())
