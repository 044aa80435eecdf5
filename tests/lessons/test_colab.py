"""A lesson opened in Colab: its link, its first cell, and a stand-in for Colab in which that cell and lessons run."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import types
import venv
from datetime import datetime
from pathlib import Path

import nbformat
import pytest
from editions import EDITIONS, NOTEBOOKS, build, built, code_cells

from loralab import start

ROOT = NOTEBOOKS.parent
COURSE = build.Address("https://github.com/someone/some-course", "0123456789abcdef", "trunk")
IMAGE = Path(f"{sys.prefix}-colab")  # as the Makefile names it
ADVICE = "Put loralab-….whl here"


# --- the address


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://github.com/o/r", "https://github.com/o/r"),
        ("https://github.com/o/r.git\n", "https://github.com/o/r"),
        ("https://github.com/o/r.js/", "https://github.com/o/r.js"),
        ("https://user:secret@github.com/o/r.git", "https://github.com/o/r"),
        ("git@github.com:o/r.git", "https://github.com/o/r"),
        ("ssh://git@github.com/o/r.git", "https://github.com/o/r"),
        ("https://github.com.example.org/o/r", ""),
        ("https://example.org/github.com/o/r", ""),
        ("https://github.com/o", ""),
        ("http://github.com/o/r", ""),
        ("file:///home/o/r.git", ""),
        ("/home/o/r", ""),
        ("", ""),
    ],
)
def test_only_github_is_an_address(remote, address):
    assert build.github(remote) == address


GIT = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]


def git(folder, *arguments):
    done = subprocess.run([*GIT, "-C", folder, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def builder(folder):
    """The environment to run a checkout's builder in."""
    return {k: v for k, v in os.environ.items() if k not in ("REPO", "REF")} | {"PYTHONPATH": str(folder / "src")}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The course as it stands here, committed in a repository whose branch is trunk."""
    folder = tmp_path_factory.mktemp("published") / "work"
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet", "--initial-branch=trunk")
    # What stands here may name an address, as in a repository that the workflow has been in.
    subprocess.run([sys.executable, folder / "notebooks" / "build.py"], env=builder(folder), check=True)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "x")
    return folder


@pytest.fixture
def clone(work, tmp_path):
    """A copy of that, and a function that runs the builder there and returns the paths that it changed."""
    folder = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", work, folder)

    def changed(**settings):
        command = [sys.executable, folder / "notebooks" / "build.py"]
        done = subprocess.run(command, env=builder(folder) | settings, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        paths = git(folder, "diff", "--name-only").splitlines()
        git(folder, "commit", "--quiet", "--all", "--allow-empty", "--message", "built")
        return paths

    return folder, changed


def built_there(folder):
    """The lessons of a checkout, by their path."""
    paths = sorted(folder.glob("notebooks/e?/*.ipynb"))
    return {path.relative_to(folder).as_posix(): nbformat.read(path, as_version=4) for path in paths}


@pytest.mark.slow
def test_a_fork_is_built_for_its_address_once_and_again_when_the_package_has_changed(clone):
    folder, changed = clone
    assert changed() == []  # a folder is no address
    before, first = built_there(folder), git(folder, "rev-parse", "HEAD")
    git(folder, "remote", "set-url", "origin", "git@github.com:fork/r.git")
    assert sorted(changed()) == sorted([*before, "README.md"])
    after, readme = built_there(folder), (folder / "README.md").read_text(encoding="utf-8")
    title, *_ = readme.splitlines()
    assert title.startswith("# LoRA Lab [![") and title.endswith("(https://codespaces.new/fork/r)")
    for path, notebook in after.items():
        assert build.named_address(notebook) == ("https://github.com/fork/r", first, "trunk")
        page = f"(https://colab.research.google.com/github/fork/r/blob/trunk/{path})"
        assert page in notebook.cells[0].source and readme.count(f"{page} [![Kaggle](") == 1
        position = notebook.cells.index(code_cells(notebook)[0])
        for number, (old, new) in enumerate(zip(before[path].cells, notebook.cells, strict=True)):
            assert (old == new) == (number not in (0, position))
            assert old.get("outputs") == new.get("outputs")
    assert changed() == []
    (folder / "tests" / "new.py").touch()
    git(folder, "add", "--all")
    assert changed() == []
    (folder / "src" / "loralab" / "files.py").write_text("")
    moved = git(folder, "commit", "--all", "--message", "moved") and git(folder, "rev-parse", "HEAD")
    assert sorted(changed()) == sorted(before)
    assert build.named_address(next(iter(built_there(folder).values()))).ref == moved
    git(folder, "remote", "set-url", "origin", "/home/fork/r.git")
    assert sorted(changed()) == sorted([*before, "README.md"])  # and back
    assert built_there(folder) == before


@pytest.mark.slow
def test_repo_and_ref_take_precedence(clone):
    folder, changed = clone
    changed(REPO="https://github.com/o/r", REF="v2")
    assert build.named_address(next(iter(built_there(folder).values()))) == ("https://github.com/o/r", "v2", "trunk")


def test_a_repo_that_is_not_on_github_is_refused(monkeypatch):
    monkeypatch.setenv("REPO", "/home/o/r")
    with pytest.raises(ValueError, match=r"/home/o/r.*GitHub"):
        build.published()


# --- what is built


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_each_badge_opens_its_own_notebook(source, language):
    cell = built(source, language, COURSE).cells[0]
    path = build.target(source, language).relative_to(ROOT).as_posix()
    (page,) = re.findall(r"\((https://colab\.research\.google\.com/github/[^)]*)\)", cell.source)
    assert page == f"https://colab.research.google.com/github/someone/some-course/blob/trunk/{path}"
    (page,) = re.findall(r"\((https://kaggle\.com/kernels/[^)]*)\)", cell.source)
    assert page == f"https://kaggle.com/kernels/welcome?src=https://github.com/someone/some-course/blob/trunk/{path}"
    assert cell.source.startswith("[![")


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_without_an_address_there_is_no_badge_and_none_is_invented(source, language):
    notebook = built(source, language)
    assert not re.search(r"colab\.research|kaggle\.com", nbformat.writes(notebook))
    assert 'COURSE = ""\nREFS = []\n' in code_cells(notebook)[0].source


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_the_first_cell_is_short_and_comes_before_any_other_code(source, language):
    cell = code_cells(built(source, language, COURSE))[0]
    lines = cell.source.splitlines()
    assert lines[0].startswith("# @title ") and cell.metadata["cellView"] == "form"
    assert len([line for line in lines if line and line[0] != "#"]) <= 34 and max(map(len, lines)) <= 88
    assert not [line for line in lines if line.lstrip().startswith(("!", "%"))]
    assert 'DRIVE = False  # @param {type:"boolean"}' in lines
    assert f'LANGUAGE = "{language}"' in lines
    assert f'COURSE = "{COURSE.repository}"' in lines and f'REFS = ["{COURSE.ref}", "{COURSE.branch}"]' in lines
    assert lines[-2] == "profile = start(LANGUAGE, data=DATA, drive=DRIVE)"
    assert lines[-1] == "ENCODER, BASE, SIZES = hand_over(profile)"
    before = ast.parse("\n".join(lines[: lines.index("from loralab import hand_over, start")]))
    imported = {alias.name for node in ast.walk(before) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(before) if isinstance(node, ast.ImportFrom)}
    assert imported <= set(sys.stdlib_module_names)


def test_outputs_do_not_depend_on_the_address_but_on_the_language():
    source = build.sources()[0]
    here, there, english = (built(source, *edition) for edition in (("es",), ("es", COURSE), ("en",)))
    assert build.code_hashes(here) == build.code_hashes(there) != build.code_hashes(english)
    assert [cell.id for cell in here.cells] == [cell.id for cell in there.cells]


# --- Google Drive


@pytest.fixture
def mounted(monkeypatch):
    """What is mounted, in a process that looks like Colab's."""
    calls = []
    drive = types.ModuleType("google.colab.drive")
    drive.mount = calls.append
    for name, module in {"google.colab": types.ModuleType("google.colab"), "google.colab.drive": drive}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("LORALAB_PROFILE", "smoke")
    return calls


def test_drive_keeps_the_results_and_the_machine_the_checkpoints(mounted, results, monkeypatch):
    monkeypatch.setenv("LORALAB_CHECKPOINTS", "")  # so that what is set here goes with the test
    start("en", drive=False)
    assert mounted == [] and os.environ["LORALAB_RESULTS"] == str(results)
    start("en", drive=True)
    assert mounted == ["/content/drive"]
    assert os.environ["LORALAB_RESULTS"] == "/content/drive/MyDrive/loralab"
    assert os.environ["LORALAB_CHECKPOINTS"] == "/content/loralab/runs"


def test_outside_colab_drive_does_nothing(results, monkeypatch):
    monkeypatch.setenv("LORALAB_PROFILE", "smoke")
    start("en", drive=True)
    assert os.environ["LORALAB_RESULTS"] == str(results)


# --- a stand-in for Colab

EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])
"""
VERSIONS = "import json; from importlib.metadata import distributions as d; "
VERSIONS += "print(json.dumps({p.name.lower(): [p.version, str(p.locate_file(''))] for p in d()}))"
STUB = {
    "google/colab/__init__.py": "",
    "google/colab/drive.py": "def mount(folder):\n    open('mounted', 'a').write(folder)\n",
    "torchao/__init__.py": "",
    "torchao-0.10.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: torchao\nVersion: 0.10.0\n",
    "torchao-0.10.0.dist-info/INSTALLER": "pip\n",
    "torchao-0.10.0.dist-info/RECORD": "torchao/__init__.py,,\n"
    + "".join(f"torchao-0.10.0.dist-info/{name},,\n" for name in ("METADATA", "INSTALLER", "RECORD")),
}


class Runtime:
    """A fresh runtime: Colab's libraries underneath, a package index of what it lacks, an empty folder."""

    def __init__(self, folder):
        assert (IMAGE / ".ready").exists(), "make test-all makes Colab's environment"
        self.folder, environment = folder / "content", folder / "environment"
        self.folder.mkdir()
        venv.create(environment, with_pip=False, symlinks=True)
        self.python = environment / "bin" / "python"
        self.site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
        image = next((IMAGE / "lib").glob("python*/site-packages"))
        (self.site / "colab.pth").write_text(str(image))
        for name, text in STUB.items():
            (self.site / name).parent.mkdir(parents=True, exist_ok=True)
            (self.site / name).write_text(text)
        startup = folder / "ipython" / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "colab.py").write_text("import google.colab\n")

    def run(self, *arguments):
        """What Python says there; its errors if it fails."""
        settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": (IMAGE / "wheels").as_uri(), "LORALAB_PROFILE": "smoke"}
        settings["IPYTHONDIR"] = str(self.folder.parent / "ipython")
        own = {name: value for name, value in os.environ.items() if name not in ("LORALAB_RESULTS", "VIRTUAL_ENV")}
        done = subprocess.run(
            [self.python, *arguments], cwd=self.folder, env=own | settings, capture_output=True, text=True
        )
        assert done.returncode == 0, re.sub(r"\x1b\[[\d;]*m", "", done.stderr)
        return done.stdout.strip()

    def versions(self):
        """Every package there: its version and where it lies."""
        return json.loads(self.run("-c", VERSIONS))

    def execute(self, notebook):
        """Run a notebook there, alone in its folder; it comes back with outputs and times."""
        path = self.folder / "lesson.ipynb"
        nbformat.write(notebook, path)
        self.run("-c", EXECUTE, path.name)
        return nbformat.read(path, as_version=4)


@pytest.fixture
def runtime(tmp_path):
    return Runtime(tmp_path)


@pytest.fixture(scope="module")
def repository(work):
    """That repository without its files, as a server has it, with a tag."""
    git(work, "tag", "v0")
    git(work.parent, "clone", "--quiet", "--bare", work, work.parent / "course.git")
    return work.parent / "course.git"


def seconds(cell):
    began, ended = (
        datetime.fromisoformat(cell.metadata.execution[key]) for key in ("iopub.execute_input", "shell.execute_reply")
    )
    return (ended - began).total_seconds()


def printed(cell):
    assert {output.name for output in cell.outputs} == {"stdout"}
    return "".join(output.text for output in cell.outputs).splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["01_dataset", "04_training"])
def test_a_lesson_alone_runs_in_a_fresh_runtime(name, repository, runtime):
    before = runtime.versions()
    assert before["torchao"][0] == "0.10.0" and before["torch"][0].startswith("2.13.0")
    assert not {"loralab", "evaluate", "sacrebleu", "gguf"} & set(before)

    address = build.Address(repository.as_uri(), "v0", "trunk")
    notebook = build.build(ROOT / "notebooks" / "source" / f"{name}.py", "es", address)
    position = notebook.cells.index(code_cells(notebook)[0])
    notebook.cells.insert(position + 1, nbformat.v4.new_code_cell(notebook.cells[position].source))
    done = runtime.execute(notebook)

    first, second = done.cells[position : position + 2]
    (installed, line), (again,) = printed(first), printed(second)
    assert installed.startswith(f"git+{repository.as_uri()}@v0 → ") and line == again
    assert re.fullmatch(r"Python \S+ · torch \S+ · .*, \d+ GiB · perfil smoke", line)
    assert seconds(first) < 60 and seconds(second) < 2
    for cell in code_cells(done):
        assert cell.execution_count
        assert not [output.text for output in cell.outputs if output.get("name") == "stderr"]

    after = runtime.versions()
    assert set(before) - set(after) == {"torchao"} and not (runtime.site / "torchao").exists()
    assert set(after) - set(before) == {"loralab", "evaluate", "sacrebleu", "portalocker", "colorama", "gguf"}
    assert {name: before[name] for name in after if name in before} == {
        name: after[name] for name in after if name in before
    }


def only_first(address=None, drive=False):
    """A notebook of the first cell alone, and a line that tells where results go."""
    code = code_cells(built(build.sources()[0], "en", address))[0].source
    code = code.replace("DRIVE = False", f"DRIVE = {drive}")
    probe = "from loralab.train.run import results_dir\n\nprint(results_dir())"
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (code, probe)])


@pytest.mark.slow
def test_without_an_address_or_with_one_that_fails_it_is_said_what_to_do(repository, runtime):
    with pytest.raises(AssertionError, match=f"RuntimeError: .*{ADVICE}"):
        runtime.execute(only_first())
    with pytest.raises(AssertionError) as failed:
        runtime.execute(only_first(build.Address(repository.as_uri(), "v1", "v2")))
    assert "RuntimeError" in str(failed.value) and ADVICE in str(failed.value)
    assert "v2" in str(failed.value).split("RuntimeError")[-1]
    assert "loralab" not in runtime.versions()


@pytest.mark.slow
@pytest.mark.parametrize("colab", [True, False])
def test_a_commit_that_is_gone_is_replaced_by_the_branch_in_plain_jupyter_too(repository, runtime, colab):
    if not colab:
        (runtime.folder.parent / "ipython" / "profile_default" / "startup" / "colab.py").unlink()
    done = runtime.execute(only_first(build.Address(repository.as_uri(), "v1", "trunk"), drive=True))
    place = "/content/drive/MyDrive/loralab" if colab else runtime.folder / "results"
    assert done.cells[1].outputs[0].text == f"{place}\n"
    assert ("torchao" in runtime.versions()) != colab  # whoever has a machine of her own keeps what is hers


@pytest.mark.slow
def test_an_uploaded_wheel_comes_before_the_address_and_drive_takes_the_results(repository, runtime):
    runtime.run("-m", "pip", "wheel", "--quiet", "--no-deps", f"git+{repository.as_uri()}@v0")
    assert [path.suffix for path in runtime.folder.iterdir()] == [".whl"]
    done = runtime.execute(only_first(build.Address(repository.as_uri(), "v1", "v2"), drive=True))
    assert done.cells[1].outputs[0].text == "/content/drive/MyDrive/loralab\n"
    assert (runtime.folder / "mounted").read_text() == "/content/drive"
