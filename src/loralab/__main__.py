"""The command line: python -m loralab doctor | assets | plan | run | report | export | clinic."""

import argparse
import io
import os
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

from loralab.data.assets import AssetError, fetch_all
from loralab.doctor import doctor
from loralab.messages import LANGUAGES, message, set_language

COMMANDS = {
    "doctor": "say what is fine on this machine, what is not, and what to do about it",
    "assets": "fetch the embedded weights and data into the cache",
    "plan": "say what memory training takes and which GPUs it fits: of the profile, or of one experiment (field=value)",
    "run": "run every experiment of the profile (LORALAB_PROFILE); make study runs the study",
    "report": "write results/<profile>/report.html and report.md, running what is missing (but of the study)",
    "export": "write what a finished run trained into results/export: adapter, merged model, card, script",
    "clinic": "say what ails a PEFT adapter, as far as its files show it",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="loralab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--language", choices=LANGUAGES, default="en")
        if name == "clinic":
            command.add_argument("folder", type=Path, help="what save_pretrained wrote")
            command.add_argument("--json", action="store_true", help="print JSON: name, found, remedy")
        if name == "export":
            command.add_argument("key", help="the run's folder in results/runs, such as lora-r8-0123456789ab")
        if name == "plan":
            command.add_argument("pairs", nargs="*", metavar="field=value", help="such as method=full batch_size=8")
    options = parser.parse_args(arguments)
    set_language(options.language)
    if options.command == "doctor":
        return doctor()
    careful = options.command in ("plan", "export", "clinic")
    refused = (AssetError, OSError, MemoryError, *([ValueError] if careful else []))
    try:
        if options.command == "assets":
            fetch_all()
            return 0
        if options.command == "plan":
            return _plan(options)
        if options.command == "clinic":
            from loralab.clinic import clinic

            return clinic(options.folder, options.json)
        if options.command == "export":
            from loralab.train.export import experiment_of, export

            folder = export(experiment_of(options.key))
            print(message("exported", folder=folder, names=", ".join(sorted(path.name for path in folder.iterdir()))))
            return 0
        # Of several processes (accelerate launch) the first one talks.
        with redirect_stdout(io.StringIO()) if os.environ.get("RANK", "0") != "0" else nullcontext():
            return _run(options.language, report=options.command == "report")
    except refused as error:
        print(error, file=sys.stderr)
        return 1


def _plan(options: argparse.Namespace) -> int:
    from loralab import planner
    from loralab.lessons.start import start

    with redirect_stdout(io.StringIO()):
        profile = start(options.language)
    for text in planner.as_text(planner.to_plan(profile, options.pairs)):
        print(text, flush=True)
    return 0


def _run(language: str, report: bool) -> int:
    # Imported here because they load torch, which fetching assets does not need.
    from loralab.evidence.protocol import STUDY, every_experiment
    from loralab.evidence.report import write_report
    from loralab.evidence.study import at_hand, gather
    from loralab.lessons.start import start
    from loralab.train.run import processes, results_dir, runnable

    try:
        profile = start(language)
        tracks = (profile, profile.generation)
        finished = at_hand(results_dir()) if profile.name == STUDY else []  # make study runs it
        for track in () if finished else tracks:  # what this machine cannot do is said before anything is trained
            for experiment in every_experiment(track):
                runnable(experiment)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    evidence = finished or list(map(gather, tracks))
    if report and processes().is_main_process:
        folder = results_dir() / profile.name
        write_report(evidence, folder)
        print(message("report_written", path=f"{profile.name}/report.html"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
