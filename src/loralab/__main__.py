"""The command line: python -m loralab doctor | assets | run | report."""

import argparse
import io
import os
import sys
from contextlib import nullcontext, redirect_stdout

from loralab.assets import AssetError, fetch_all
from loralab.doctor import doctor
from loralab.messages import LANGUAGES, message, set_language


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="loralab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("doctor", help="say what is fine on this machine, what is not, and what to do about it")
    check.add_argument("--json", action="store_true", help="the same as a JSON list")
    assets = commands.add_parser("assets", help="fetch the embedded weights and data into the cache")
    run = commands.add_parser("run", help="run every experiment of the profile (LORALAB_PROFILE)")
    report = commands.add_parser("report", help="write results/<profile>/report.html, running what is missing")
    for command in (check, assets, run, report):
        command.add_argument("--language", choices=LANGUAGES, default="en")
    options = parser.parse_args(arguments)
    set_language(options.language)
    if options.command == "doctor":
        return doctor(options.json)
    try:
        if options.command == "assets":
            fetch_all()
            return 0
        # Of several processes (accelerate launch) the first one talks.
        with redirect_stdout(io.StringIO()) if os.environ.get("RANK", "0") != "0" else nullcontext():
            return _run(options.language, report=options.command == "report")
    except AssetError as error:
        print(error, file=sys.stderr)
        return 1


def _run(language: str, report: bool) -> int:
    # Imported here because they load torch, which fetching assets does not need.
    from loralab.hardware import detect, resolve
    from loralab.lesson import start
    from loralab.report import Study, write_report
    from loralab.runner import check_processes, processes, results_dir, run_all

    try:
        profile = start(language)
        plans = [(track.comparison(), track.rank_comparison(), track.margin) for track in (profile, profile.generation)]
        for comparison, ranks, _ in plans:  # what this machine cannot do is said before anything is trained
            for experiment in (*comparison, *ranks):
                check_processes(resolve(experiment, detect()))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    studies = [Study(run_all(comparison), run_all(ranks), margin) for comparison, ranks, margin in plans]
    if report and processes().is_main_process:
        path = results_dir() / profile.name / "report.html"
        write_report(studies, path)
        print(message("report_written", path=f"{profile.name}/{path.name}"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
