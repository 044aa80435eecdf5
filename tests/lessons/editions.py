"""The lessons' editions, as their sources build them and as they are committed; each is made once, and not changed."""

from functools import cache
from pathlib import Path

import build
import execute  # noqa: F401
import nbformat

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

EDITIONS = [(source, language) for source in build.sources() for language in build.LANGUAGES]
built = cache(build.build)


@cache
def committed(source, language):
    return nbformat.read(build.target(source, language), as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]
