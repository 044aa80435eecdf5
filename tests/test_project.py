"""The files around the code agree with each other."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import loralab
from loralab.__main__ import COMMANDS

ROOT = Path(__file__).parents[1]

PACKAGE = ROOT / "src" / "loralab"
# A room imports only from itself and from those before it; what is in none (the command line) may import all.
ROOMS = ["messages", "files", "experiment", "profiles", "data", "train", "show", "lessons", "memory", "evidence"]
SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip("."): path.read_text(
        "utf-8"
    )
    for path in PACKAGE.rglob("*.py")
}
WITHOUT_TORCH = ["messages", "files", "experiment", "profiles", "data.own", "data.assets"]


def lines(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_there_is_one_list_of_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["dependencies"]
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": "requirements.txt"}
    listed = [line.strip().removeprefix("- ") for line in lines("environment.yml") if line.strip().startswith("- ")]
    assert listed == [
        "conda-forge",
        "python>=3.11",
        "pip",
        "pip:",
        "-r requirements.txt",
        "-c constraints.txt",
        "-e .[dev]",
    ]


def test_constraints_pin_what_the_requirements_ask_for():
    pins = {}
    for line in lines("constraints.txt"):
        name, version = line.split("==")
        pins[name.lower().replace("_", "-")] = Version(version)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = [Requirement(line) for line in [*lines("requirements.txt"), *extras["dev"], *extras["grading"]]]
    own = [extra for requirement in wanted if requirement.name == "loralab" for extra in requirement.extras]
    wanted += [Requirement(line) for extra in own for line in extras[extra]]
    for requirement in (requirement for requirement in wanted if requirement.name != "loralab"):
        assert pins[requirement.name.lower().replace("_", "-")] in requirement.specifier


def test_what_the_package_imports_is_required():
    third_party = {"sklearn": "scikit-learn", "PIL": "pillow", "IPython": "ipython"}
    embedded = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["embedded"]
    required = {Requirement(line).name for line in [*lines("requirements.txt"), *embedded]}
    used = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                used.add(node.module.split(".")[0])

    outside = {third_party.get(name, name) for name in used - set(sys.stdlib_module_names) - {"loralab"}}
    assert outside <= required


def imported(text):
    """The package's modules that a source imports, wherever in it: "data.assets" for loralab.data.assets."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix("loralab.") for alias in node.names if alias.name.startswith("loralab.")
            )
        elif isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "loralab":
            whole = [".".join([*node.module.split(".")[1:], alias.name]) for alias in node.names]
            yield from (name if name in SOURCES else name.rpartition(".")[0] for name in whole)


def arrows_back(sources):
    """Imports of a room from a later one, as (module, what it imports)."""
    place = {room: number for number, room in enumerate(ROOMS)}
    where = lambda name: place.get(name.partition(".")[0], len(ROOMS))  # noqa: E731
    arrows = [(name, other) for name, text in sources.items() for other in imported(text) if other]
    return [(name, other) for name, other in arrows if where(other) > where(name)]


def test_rooms_import_from_those_before_them():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    listed = re.findall(r"^    (\w+)  ", loralab.__doc__, re.MULTILINE)
    assert set(ROOMS[4:]) == folders and listed == ROOMS[4:]
    assert not arrows_back(SOURCES)
    late = "def f():\n    from loralab.evidence import study\n"
    assert arrows_back({"train.run": late, "doctor": late}) == [("train.run", "evidence.study")]
    assert arrows_back({"experiment": "import loralab.data.splits"}) == [("experiment", "data.splits")]


def test_the_house_is_small():
    """Flat modules, floors of imports, and what `run` needs: a newcomer reads the core in minutes."""
    above = {name: [other for other in imported(text) if other] for name, text in SOURCES.items()}
    floor = lru_cache(None)(lambda name: 1 + max(map(floor, above[name]), default=0))
    assert len(list(PACKAGE.glob("*.py"))) <= 9
    assert max(map(floor, SOURCES)) <= 12
    modules = set()
    with_all_below = lambda name: modules.add(name) or [with_all_below(o) for o in above[name] if o not in modules]  # noqa: E731
    with_all_below("train.run")
    assert "train.trainer" in modules and len(modules) < 20
    assert max(len(SOURCES[name].splitlines()) for name in modules) <= 350
    assert not [name for name in modules if name.startswith("memory.")]


@pytest.mark.parametrize("room", ["", *(name for name in ROOMS if (PACKAGE / name).is_dir())])
def test_a_face_offers_what_there_is(room):
    face = import_module(f"loralab.{room}".rstrip("."))
    assert face.__doc__ and face.__all__
    for name in face.__all__:
        assert getattr(face, name) is not None
        assert f"{room}.{name}".lstrip(".") not in SOURCES  # a module of that name would take its place
    with pytest.raises(AttributeError, match="nothing"):
        face.nothing  # noqa: B018


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_what_needs_no_torch_loads_none(name):
    code = f"import sys, loralab.{name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_package_is_installed():
    packages = {".".join(path.relative_to(PACKAGE.parent).parts[:-1]) for path in PACKAGE.rglob("__init__.py")}
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert set(setuptools["packages"]) == {"loralab_data", *packages}


def make(*arguments, folder=ROOT):
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_make_lists_every_command():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    listed = make()
    assert listed == make("help")
    assert targets == set(re.findall(r"^make ([a-z-]+) +\S", listed, re.MULTILINE))
    assert "PROFILE=cpu" in listed and "PROFILE=smoke" in make("PROFILE=smoke")


@pytest.mark.parametrize("name", ["README.md", "notebooks/README.md", "data/README.md", "data/reference/README.md"])
def test_a_readme_names_commands_and_places_that_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    listed = set(re.findall(r"^make ([a-z-]+)", make("help"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^    )make\s+([a-z-]+)", text, re.MULTILINE)) <= listed
    assert set(re.findall(r"-m loralab ([a-z]+)", text)) <= set(COMMANDS)
    for link, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", text):
        place = (ROOT / name).parent / link if link else ROOT / name
        assert place.exists(), link
        headings = re.findall(r"^#+ (.*)$", place.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings], anchor


def test_the_front_door_is_short_and_says_the_same_in_both_languages():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    halves = [part.replace("/es/", "/en/") for part in text.split("\n## ")[1:3]]
    spanish, english = (sorted(re.findall(r"^#+ |^    make \w+|\]\([^)]+\)", half, re.MULTILINE)) for half in halves)
    assert len(text.splitlines()) <= 150 and len(spanish) > 20 and spanish == english


def test_what_is_said_of_the_gpu_check_is_what_it_found():
    found = json.loads((ROOT / "data" / "gpu.json").read_text("utf-8"))
    steps = found["steps"] + found["four_bits"]
    below = [100 * (1 - step["ratio"]) for step in steps]
    off = max(row["off"] for row in found["resume"])
    gib = {row["lesson"]: row["peak"] / 2**30 for row in found["lesson"]}
    card = " ".join((ROOT / "data" / "README.md").read_text("utf-8").split())
    for said in (
        found["card"], f"0 to {max(below):.1f} % below", f"more than {off:.4f}.",
        f"lesson 4 took {gib['04_training']:.1f} GiB, lesson 5 {gib['05_rank_comparison']:.1f}.",
    ):  # fmt: skip
        assert said in card
    manual = " ".join((ROOT / "notebooks" / "README.md").read_text("utf-8").split())
    assert len(steps) == 15 and round(min(below)) == 0 and f"0 to {max(below):.1f} % below" in manual
    front = " ".join((ROOT / "README.md").read_text("utf-8").split())
    most = f"{max(below):.1f}"
    assert f"at most {most}% below" in front and f"corto un {most.replace('.', ',')} % como mucho" in front
    exact = [step["static_planned"] == step["static_measured"] for step in steps]
    assert exact == [True] * 14 + [False] and f"({100 * (steps[-1]['static_ratio'] - 1):.1f} % above)" in manual


def test_make_takes_paths_with_spaces(tmp_path):
    checkout, venv, profile = tmp_path / "a checkout", tmp_path / "an environment", tmp_path / "my class.toml"
    (venv / "bin").mkdir(parents=True)
    (checkout / "data").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "constraints.txt", "data/assets.toml"):
        shutil.copy(ROOT / name, checkout / name)
    for name in (".ready", "bin/python", "bin/pytest"):
        (venv / name).write_text('#!/bin/sh\necho "$1: $LORALAB_PROFILE"\necho "$1: $PYTHONPATH"\n')
        (venv / name).chmod(0o755)
    said = make("--silent", f"VENV={venv}", f"PROFILE={profile}", "course", "unit", folder=checkout)
    assert f"notebooks/execute.py: {profile}\n" in said and f"tests: {checkout}/tests/offline\n" in said


def test_ci_runs_the_same_command_everywhere():
    assert lines(".ci/run")[-1] == "make test"
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    assert "run: make test" in workflow
    assert all(f'"{version}"' in workflow for version in ("3.11", "3.12", "3.13"))


def test_actions_are_pinned_by_their_commits():
    used = [
        line.split("uses:")[1].strip()
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in path.read_text().splitlines()
        if "uses:" in line
    ]
    assert used and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", action) for action in used), used
