"""Train what the lessons compare, then run the lessons, saving after every cell.

    python notebooks/execute.py es            run the Spanish lessons, into results/<profile>/notebooks/es
    python notebooks/execute.py --in-place    run every edition where it stands

With `--lesson 03` it is that lesson alone, which trains what it lacks. The profile is LORALAB_PROFILE's, else what
suits the machine. On a CPU two trainings, and then two lessons, run at a time. A cell that fails is named with its
error, what ran before it stays saved, and the exit code is 1.
"""

import argparse
import os
import re
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import nbformat
from build import build, code_hashes, published, sources, target, text_of
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from loralab.evidence.protocol import every_experiment
from loralab.files import write_atomically
from loralab.lessons.start import chosen_profile, profile_name
from loralab.messages import LANGUAGES, set_language
from loralab.train.hardware import detect
from loralab.train.run import results_dir, run

# At a time on a CPU, each on its share of the cores: threads that wait for each other's take longer.
AT_ONCE = 2
# These train, on a CPU for minutes, what no comparison needs.
TRAIN = ("00_start", "04_training")


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
    """The notebook without the interpreter's exact version, which its run notes, and without overwritten lines."""
    copy = nbformat.from_dict(notebook)
    copy.metadata["language_info"] = {"name": "python"}
    for cell in (cell for cell in copy.cells if cell.cell_type == "code"):
        for output in (output for output in cell.outputs if "text" in output):
            output.text = re.sub(r".*\r(?!\n)", "", output.text)
        cell.outputs = [output for output in cell.outputs if output.get("text", "shown")]
    return copy


def end_with_parent() -> None:
    """From now on this process ends when its parent does: what is killed leaves no training behind."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _worker(language: str) -> None:
    set_language(language)
    end_with_parent()


def train_ahead(language: str) -> None:
    """Run, or load, what the lessons and the report compare; messages are in `language`."""
    set_language(language)
    profile = chosen_profile()
    wanted = {e.key: e for track in (profile, profile.generation) for e in every_experiment(track)}
    spawned = get_context("spawn")
    with ProcessPoolExecutor(AT_ONCE, spawned, initializer=_worker, initargs=(language,)) as pool:
        list(pool.map(run, wanted.values()))


def main() -> int:
    """Run the lessons; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", nargs="?", choices=LANGUAGES)
    parser.add_argument("--in-place", action="store_true")
    parser.add_argument("--lesson", default="", metavar="NUMBER")
    options = parser.parse_args()
    chosen = [source for source in sources() if source.stem.startswith(options.lesson)]
    if not chosen:
        parser.error(f"no lesson is {options.lesson!r}; there are {', '.join(s.stem for s in sources())}")
    languages = [options.language] if options.language else LANGUAGES
    at_once = AT_ONCE if detect().kind == "cpu" else 1
    if at_once > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // at_once)))
        if not options.lesson:
            train_ahead(languages[0])
    results = results_dir() / profile_name() / "notebooks"

    def lesson(source: Path, language: str) -> str | None:
        path = target(source, language) if options.in_place else results / language / f"{source.stem}.ipynb"
        return execute(build(source, language, published()), path)

    with ThreadPoolExecutor(at_once) as pool:
        # The long ones first, so that none is left alone at the end.
        ordered = sorted(reversed(chosen), key=lambda source: source.stem not in TRAIN)
        asked = [(source, language) for language in languages for source in ordered]
        for done in as_completed([pool.submit(lesson, *each) for each in asked]):
            if failed := done.result():
                print(failed)
                pool.shutdown(cancel_futures=True)
                return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
