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
COURSE = build.Address("https://github.com/someone/some-course", "v9.9.9")
IMAGE = Path(f"{sys.prefix}-colab")  # as the Makefile names it
ADVICE = "Upload loralab-….whl"


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


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with nothing but a version."""
    for name in ("REPO", "REF"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.setattr(build, "NOTEBOOKS", tmp_path / "notebooks")
    return tmp_path


def test_the_address_is_the_origins_and_the_ref_the_versions(checkout):
    assert build.published() is None
    subprocess.run(["git", "-C", checkout, "remote", "add", "origin", "git@github.com:fork/r.git"], check=True)
    assert build.published() == ("https://github.com/fork/r", "v1.2.3")


def test_an_origin_that_is_a_folder_is_no_address(checkout):
    subprocess.run(["git", "-C", checkout, "remote", "add", "origin", checkout / "x.git"], check=True)
    assert build.published() is None


def test_repo_and_ref_take_precedence(checkout, monkeypatch):
    subprocess.run(["git", "-C", checkout, "remote", "add", "origin", "git@github.com:fork/r.git"], check=True)
    monkeypatch.setenv("REPO", "https://github.com/o/r")
    monkeypatch.setenv("REF", "main")
    assert build.published() == ("https://github.com/o/r", "main")
    monkeypatch.setenv("REPO", "/home/o/r")
    with pytest.raises(ValueError, match=r"/home/o/r.*GitHub"):
        build.published()


# --- what is built


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_each_badge_opens_its_own_notebook(source, language):
    cell = built(source, language, COURSE).cells[0]
    path = build.target(source, language).relative_to(ROOT).as_posix()
    (page,) = re.findall(r"\((https://colab\.research\.google\.com/github/[^)]*)\)", cell.source)
    assert page == f"https://colab.research.google.com/github/someone/some-course/blob/v9.9.9/{path}"
    assert cell.source.startswith("[![")


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_without_an_address_there_is_no_badge_and_none_is_invented(source, language):
    notebook = built(source, language)
    assert "colab.research" not in nbformat.writes(notebook)
    assert 'COURSE = ""\n' in code_cells(notebook)[0].source


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_the_first_cell_is_short_and_comes_before_any_other_code(source, language):
    lines = code_cells(built(source, language, COURSE))[0].source.splitlines()
    assert len([line for line in lines if line and line[0] != "#"]) <= 23 and max(map(len, lines)) <= 88
    assert not [line for line in lines if line.lstrip().startswith(("!", "%"))]
    assert 'DRIVE = False  # @param {type:"boolean"}' in lines
    assert f'LANGUAGE = "{language}"' in lines
    assert f'COURSE = "git+{COURSE.repository}@{COURSE.ref}"' in lines
    assert lines[-1] == "profile = start(LANGUAGE, data=DATA, drive=DRIVE)"
    before = ast.parse("\n".join(lines[: lines.index("from loralab import start")]))
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


def test_drive_keeps_the_results(mounted, results):
    start("en", drive=False)
    assert mounted == [] and os.environ["LORALAB_RESULTS"] == str(results)
    start("en", drive=True)
    assert mounted == ["/content/drive"]
    assert os.environ["LORALAB_RESULTS"] == "/content/drive/MyDrive/loralab"


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
def repository(tmp_path_factory):
    """The course as it stands here, committed and tagged in a bare repository."""
    folder = tmp_path_factory.mktemp("published")
    work = folder / "work"
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    listed = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, work / name)
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "x"], ["tag", "v0"]):
        subprocess.run([*git, "-C", work, *command], check=True)
    subprocess.run([*git, "clone", "--quiet", "--bare", work, folder / "course.git"], check=True)
    return folder / "course.git"


def seconds(cell):
    began, ended = (
        datetime.fromisoformat(cell.metadata.execution[key]) for key in ("iopub.execute_input", "shell.execute_reply")
    )
    return (ended - began).total_seconds()


def only_line(cell):
    (output,) = cell.outputs
    assert output.name == "stdout"
    (line,) = output.text.splitlines()
    return line


@pytest.mark.slow
@pytest.mark.parametrize("name", ["01_dataset", "04_training"])
def test_a_lesson_alone_runs_in_a_fresh_runtime(name, repository, runtime):
    before = runtime.versions()
    assert before["torchao"][0] == "0.10.0" and before["torch"][0].startswith("2.13.0")
    assert not {"loralab", "evaluate", "sacrebleu", "gguf"} & set(before)

    address = build.Address(repository.as_uri(), "v0")
    notebook = build.build(ROOT / "notebooks" / "source" / f"{name}.py", "es", address)
    position = notebook.cells.index(code_cells(notebook)[0])
    notebook.cells.insert(position + 1, nbformat.v4.new_code_cell(notebook.cells[position].source))
    done = runtime.execute(notebook)

    first, second = done.cells[position : position + 2]
    assert only_line(first) == only_line(second)
    assert re.fullmatch(r"Python \S+ · torch \S+ · .*, \d+ GiB · perfil smoke", only_line(first))
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
def test_a_failing_installation_says_why_and_what_to_do(repository, runtime):
    with pytest.raises(AssertionError, match=f"RuntimeError: .*{ADVICE}"):
        runtime.execute(only_first())
    with pytest.raises(AssertionError) as failed:
        runtime.execute(only_first(build.Address(repository.as_uri(), "v1")))
    assert "RuntimeError" in str(failed.value) and ADVICE in str(failed.value)
    assert "v1" in str(failed.value).split("RuntimeError")[-1]
    assert "loralab" not in runtime.versions()


@pytest.mark.slow
def test_an_uploaded_wheel_comes_before_the_address_and_drive_takes_the_results(repository, runtime):
    runtime.run("-m", "pip", "wheel", "--quiet", "--no-deps", f"git+{repository.as_uri()}@v0")
    assert [path.suffix for path in runtime.folder.iterdir()] == [".whl"]
    done = runtime.execute(only_first(build.Address(repository.as_uri(), "v1"), drive=True))
    assert done.cells[1].outputs[0].text == "/content/drive/MyDrive/loralab\n"
    assert (runtime.folder / "mounted").read_text() == "/content/drive"
