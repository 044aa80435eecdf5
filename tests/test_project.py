"""The files around the code agree with each other."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]

# A module imports only from those before it.
LAYERS = ["messages", "files", "experiment", "profiles", "assets", "hub", "hardware", "duplicates", "pairs", "data"]
LAYERS += ["tokenization", "chat", "metrics", "generation", "models", "baselines", "peak", "training"]
LAYERS += ["kernels", "tracing", "memory", "fitting", "runner", "duration", "sizing", "timing", "update", "study"]
LAYERS += ["stats", "tables", "sentences", "claims", "study_tables", "plotting", "diagrams", "figures"]
LAYERS += ["study_figures", "memory_figures", "report", "check", "lesson", "predictions", "exercises"]
LAYERS += ["estimate", "planner", "facts", "doctor", "__main__"]
WITHOUT_TORCH = ["messages", "files", "experiment", "profiles", "assets"]
PACKAGE = ROOT / "src" / "loralab"


def sources(layer):
    """The files of a layer: a module, or a package's."""
    return [PACKAGE / f"{layer}.py"] if (PACKAGE / f"{layer}.py").exists() else sorted((PACKAGE / layer).glob("*.py"))


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
    third_party = {"sklearn": "scikit-learn", "PIL": "pillow"}
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


@pytest.mark.parametrize("name", LAYERS)
def test_imports_go_one_way(name):
    below = LAYERS[: LAYERS.index(name)]
    for source in sources(name):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("loralab."):
                layer = node.module.split(".")[1]
                assert layer in below or (layer == name and source.stem != "__init__"), source.name


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_what_needs_no_torch_loads_none(name):
    code = f"import sys, loralab.{name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_readme_lists_the_layers_in_order():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    listed = text.split("import in one direction: ")[1].split(". ")[0]
    assert listed.rstrip(".").split(", ") == LAYERS[:-1]


def test_every_module_has_its_layer():
    modules = {path.parent.name if path.name == "__init__.py" else path.stem for path in PACKAGE.glob("*.py")}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert modules | packages == {*LAYERS, "loralab"}
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert set(setuptools["packages"]) == {"loralab", "loralab_data", *(f"loralab.{name}" for name in packages)}


def make(*arguments):
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_lists_every_command():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    listed = make()
    assert listed == make("help")
    assert targets == set(re.findall(r"^make ([a-z-]+) +\S", listed, re.MULTILINE))
    assert "PROFILE=cpu" in listed and "PROFILE=smoke" in make("PROFILE=smoke")


def test_the_readme_names_commands_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^make ([a-z-]+)", make("help"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.MULTILINE)) <= listed
    for link in re.findall(r"\]\(([^)h#][^)]*)\)", text):
        assert (ROOT / link).exists(), link


def test_ci_runs_the_same_command_everywhere():
    assert lines(".ci/run")[-1] == "make test"
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    assert "run: make test" in workflow
    assert all(f'"{version}"' in workflow for version in ("3.11", "3.12", "3.13"))
