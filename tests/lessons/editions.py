"""The lessons' editions, as their sources build them and as they are committed; each is made once, and not changed."""

import sys
from functools import cache
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
sys.path.insert(0, str(NOTEBOOKS))

import build  # noqa: E402
import execute  # noqa: E402, F401

EDITIONS = [(source, language) for source in build.sources() for language in build.LANGUAGES]
built = cache(build.build)


@cache
def committed(source, language):
    return nbformat.read(build.target(source, language), as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]
