"""Exercises in the editions: blank in the student's, solved and graded in the instructor's."""

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import jupytext
import nbformat
import pytest
from editions import EDITIONS, NOTEBOOKS, build, built, committed

from loralab.lessons.exercises import exercises
from loralab.messages import message, set_language

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
TELLING = 15  # characters from which on a line of a solution gives it away


def exercise_cells(notebook):
    return {cell.metadata["exercise"]: cell for cell in notebook.cells if "exercise" in cell.metadata}


@cache
def regions(source):
    """The solutions of a source, and its code without them."""
    solutions, rest = [], []
    for cell in jupytext.read(source).cells:
        inside = None
        for line in cell.source.splitlines() if cell.cell_type == "code" else ():
            if line.strip() == BEGIN:
                inside = []
            elif line.strip() == END:
                solutions.append(inside)
                inside = None
            else:
                (rest if inside is None else inside).append(line.strip())
    return solutions, "\n".join(rest)


def leaked(source, text):
    """What of the solutions stands in a text, of what does not stand in the lesson's own code."""
    solutions, own = regions(source)
    found = [line for lines in solutions for line in lines if len(line) >= TELLING and line not in own and line in text]
    flat = " ".join(text.split())
    whole = (" ".join(" ".join(lines).split()) for lines in solutions)
    return found + [solution for solution in whole if len(solution) >= TELLING and solution in flat]


def shown(notebook):
    """All that a notebook shows: its cells' sources and outputs."""
    parts = []
    for cell in notebook.cells:
        parts.append(cell.source)
        for output in cell.get("outputs", ()):
            parts += [output.get("text", ""), *map(str, output.get("data", {}).values())]
    return "\n".join(parts)


@pytest.mark.parametrize(("source", "language"), [edition for edition in EDITIONS if regions(edition[0])[0]])
def test_no_solution_is_in_a_students_edition(source, language):
    for notebook in (built(source, language), committed(source, language)):
        assert leaked(source, shown(notebook)) == []
        assert "SOLUTION" not in shown(notebook)
    assert leaked(source, shown(built(source, language, solutions=True)))


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_every_exercise_is_built_blank_and_says_so(source, language):
    set_language(language)
    for key, cell in exercise_cells(committed(source, language)).items():
        assert "".join(output.get("text", "?") for output in cell.outputs).strip() == message("not_tried"), key


def test_every_exercise_is_in_the_editions_of_both_kinds():
    for language in build.LANGUAGES:
        for solutions in (False, True):
            notebooks = [built(source, language, solutions=solutions) for source in build.sources()]
            assert {key for notebook in notebooks for key in exercise_cells(notebook)} == set(exercises())


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_in_an_instructors_edition_each_exercise_is_followed_by_its_grader(source, language):
    cells = built(source, language, solutions=True).cells
    answers = [i for i, cell in enumerate(cells) if "exercise" in cell.metadata]
    for i in answers:
        answer, grader, key = cells[i], cells[i + 1], cells[i].metadata["exercise"]
        assert BEGIN in answer.source and END in answer.source
        marks = answer.metadata["nbgrader"]
        assert (marks["grade_id"], marks["solution"], marks["grade"], marks["locked"]) == (key, True, False, False)
        marks = grader.metadata["nbgrader"]
        assert (marks["solution"], marks["grade"], marks["locked"], marks["points"]) == (False, True, True, 1)
        call = answer.source.strip().rsplit("check(", 1)[1]
        assert f"outcome = grade({' '.join(call.split())}" in grader.source.replace("'", '"').replace(",)", ")")
    marked = [cell.metadata["nbgrader"]["grade_id"] for cell in cells if "nbgrader" in cell.metadata]
    assert len(set(marked)) == len(marked) == 2 * len(answers)
    assert len({cell.id for cell in cells}) == len(cells)


FUNCTION = f"""\
def f(x):
    \"\"\"x, doubled.\"\"\"
    {BEGIN}
    y = 2 * x

    return y
    {END}


check("double", f)"""

VALUE = f"""\
answer = None
{BEGIN}
answer = 2 * 3
{END}

check("double", answer)"""


def made(tmp_path, code, marks='exercise="double"', **options):
    source = tmp_path / "01_x.py"
    source.write_text(f'# %%\nLANGUAGE = "es"\n\n# %% {marks}\n{code}\n')
    return build.build(source, "es", **options).cells[1:]


def test_an_indented_solution_becomes_dots(tmp_path):
    (cell,) = made(tmp_path, FUNCTION)
    assert cell.source == 'def f(x):\n    """x, doubled."""\n    ...\n\n\ncheck("double", f)'
    assert cell.metadata["exercise"] == "double"


def test_a_solution_at_module_level_goes(tmp_path):
    (cell,) = made(tmp_path, VALUE)
    assert cell.source == 'answer = None\n\ncheck("double", answer)'


def test_several_solutions_in_one_cell(tmp_path):
    (cell,) = made(tmp_path, f"{VALUE.rsplit(chr(10), 2)[0]}\n{FUNCTION.replace('f)', 'f, answer)')}")
    assert "2 *" not in cell.source and "SOLUTION" not in cell.source and cell.source.count("...") == 1


def test_the_grader_asks_what_check_asks(tmp_path):
    answer, grader = made(tmp_path, FUNCTION, solutions=True)
    assert answer.source == FUNCTION
    assert grader.source == (
        'from loralab import grade\n\noutcome = grade("double", f)\nassert outcome.right, outcome.text'
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (FUNCTION.replace(f"    {END}\n", ""), "in pairs"),
        (FUNCTION.replace(f"    {BEGIN}\n", ""), "in pairs"),
        (FUNCTION.replace(f"    {BEGIN}\n", f"    {BEGIN}\n" * 2), "in pairs"),
        (FUNCTION.replace(f"    {END}", END), "equally indented"),
        (VALUE.replace(BEGIN, "# BEGIN SOLUTION"), "in pairs"),
        ('answer = None\n\ncheck("double", answer)', "needs ### BEGIN SOLUTION"),
        (VALUE + "\nanswer", "end in its one call of check"),
        (VALUE + '\ncheck("double", answer)', "end in its one call of check"),
        (VALUE.replace("check(", "result = check("), "end in its one call of check"),
        (VALUE.rsplit("\n", 1)[0], "end in its one call of check"),
        (VALUE.replace('"double"', '"treble"'), "for 'double'"),
        (FUNCTION.replace('    """x, doubled."""\n', "").replace("def f(x):", "def f(x:"), "never closed"),
    ],
)
def test_an_exercise_that_cannot_be_blanked_is_refused_by_name(code, said, tmp_path):
    with pytest.raises(ValueError, match=rf"01_x\.py: 'double': .*{said}"):
        made(tmp_path, code)


def test_a_solution_outside_an_exercise_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"01_x\.py: a solution outside"):
        made(tmp_path, FUNCTION, marks="")


@pytest.fixture
def course(tmp_path):
    """nbgrader's course with lesson 1 in Spanish, as `make solutions` lays it, and the assignment released."""
    folder = tmp_path / "course"
    (folder / "es").mkdir(parents=True)
    shutil.copy(NOTEBOOKS / "nbgrader_config.py", folder)
    source = build.sources()[1]
    nbformat.write(build.build(source, "es", solutions=True), folder / "es" / f"{source.stem}.ipynb")
    nbgrader(folder, "generate_assignment", "es", "--create")
    return folder


def nbgrader(folder, *arguments, fails=False):
    """Run it; what it says on stderr."""
    # nbgrader calls alembic by its name.
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LORALAB_PROFILE": "smoke",
    }
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == int(fails), done.stderr
    return done.stderr


def submit(course, student, answers):
    """Hand in the released notebook with these answers in the cells of these exercises."""
    (released,) = (course / "release" / "es").glob("*.ipynb")
    notebook = nbformat.read(released, as_version=4)
    for key, cell in exercise_cells(notebook).items():
        cell.source = answers.get(key, cell.source)
    folder = course / "submitted" / student / "es"
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / released.name)


@pytest.mark.slow
def test_nbgrader_gives_a_point_for_each_right_answer_and_none_for_a_blank(course):
    (solved,) = (course / "es").glob("*.ipynb")
    cells = exercise_cells(nbformat.read(solved, as_version=4))
    (released,) = (course / "release" / "es").glob("*.ipynb")
    assert not leaked(build.sources()[1], released.read_text(encoding="utf-8"))
    submit(
        course, "right", {key: re.sub(r" *### (BEGIN|END) SOLUTION\n", "", cell.source) for key, cell in cells.items()}
    )
    submit(course, "blank", {})
    nbgrader(course, "autograde", "es", "--create")
    nbgrader(course, "export", "--to", "grades.csv")
    header, *rows = [line.split(",") for line in (course / "grades.csv").read_text().splitlines()]
    grades = {row[header.index("student_id")]: dict(zip(header, row, strict=True)) for row in rows}
    assert {name: float(row["score"]) for name, row in grades.items()} == {"right": len(cells), "blank": 0}
    assert {float(row["max_score"]) for row in grades.values()} == {len(cells)}


@pytest.mark.slow
def test_a_students_edition_handed_in_is_named_and_the_others_are_graded(course):
    source = build.sources()[1]
    submit(course, "blank", {})
    (course / "submitted" / "mistaken" / "es").mkdir(parents=True)
    path = course / "submitted" / "mistaken" / "es" / f"{source.stem}.ipynb"
    nbformat.write(build.build(source, "es"), path)
    said = nbgrader(course, "autograde", "es", "--create", fails=True)
    assert "mistaken handed in 01_dataset.ipynb of the students' edition" in said
    assert [folder.name for folder in (course / "autograded").iterdir()] == ["blank"]


def test_a_graded_edition_gets_the_course_and_has_no_badge_to_one_without_graders():
    address = build.Address("https://github.com/someone/some-course", "0" * 40, "main")
    notebook = built(build.sources()[1], "es", address, solutions=True)
    assert "colab.research" not in nbformat.writes(notebook) and address.repository in nbformat.writes(notebook)
