"""Run the lessons in order, saving after every cell.

    python notebooks/execute.py es            run the Spanish lessons, into results/<profile>/notebooks/es
    python notebooks/execute.py --in-place    run every edition where it stands

The profile is LORALAB_PROFILE's, else what suits the machine. A cell that fails is named with its error, what ran
before it stays saved, and the exit code is 1.
"""

import argparse
import time
from pathlib import Path

import nbformat
from build import build, code_hashes, published, sources, target, text_of
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from loralab.files import write_atomically
from loralab.lessons.start import profile_name
from loralab.messages import LANGUAGES
from loralab.train.run import results_dir


def first_line(cell: NotebookNode) -> str:
    """A cell's first line, to know it by."""
    return str(cell.source).strip().split("\n")[0][:60]


def execute(notebook: NotebookNode, path: Path) -> str | None:
    """Run a notebook and save it to `path`; returns what failed, or None.

    It is saved after every cell, beside `path` as NAME.running.ipynb, and takes `path` when it is whole. So what ran is
    never lost, and a run that fails leaves an earlier one alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    running = path.with_suffix(".running.ipynb")
    hashes, started, current = code_hashes(notebook), time.perf_counter(), notebook.cells[0]

    def before(cell: NotebookNode, cell_index: int, **_: object) -> None:
        nonlocal started, current
        started, current = time.perf_counter(), cell

    def after(cell: NotebookNode, cell_index: int, **_: object) -> None:
        cell.metadata["code_hash"] = hashes[cell_index]
        write_atomically(running, text_of(clean(notebook)))
        seconds = time.perf_counter() - started
        print(f"{path.stem} {cell_index + 1:2}/{len(notebook.cells)} {seconds:6.1f} s  {first_line(cell)}", flush=True)

    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        on_cell_start=before,
        on_cell_executed=after,
    )
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError) as error:
        write_atomically(running, text_of(clean(notebook)))
        reason = f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else str(error)
        return f"{path.stem}: the cell {first_line(current)!r} failed: {reason} (what ran is in {running.name})"
    write_atomically(running, text_of(clean(notebook)))
    running.replace(path)
    return None


def clean(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what its run adds to the metadata: the interpreter's exact version."""
    copy = nbformat.from_dict(notebook)
    copy.metadata["language_info"] = {"name": "python"}
    return copy


def main() -> int:
    """Run the lessons; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", nargs="?", choices=LANGUAGES)
    parser.add_argument("--in-place", action="store_true")
    options = parser.parse_args()
    for language in [options.language] if options.language else LANGUAGES:
        folder = results_dir() / profile_name() / "notebooks" / language
        for source in sources():
            path = target(source, language) if options.in_place else folder / f"{source.stem}.ipynb"
            failed = execute(build(source, language, published()), path)
            if failed:
                print(failed)
                return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
