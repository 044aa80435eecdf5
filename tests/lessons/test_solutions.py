"""Exercises in the editions: blank in the student's, solved and graded in the instructor's."""

import os
import re
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import jupytext
import nbformat
import pytest
from editions import EDITIONS, NOTEBOOKS, build, built, committed

from loralab.lessons.catalogue import known
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


def printed(cell):
    """All that a cell's outputs show, an error too."""
    parts = []
    for output in cell.get("outputs", ()):
        parts += [output.get("text", ""), *output.get("traceback", ()), *map(str, output.get("data", {}).values())]
    return "\n".join(parts)


def shown(notebook):
    """All that a notebook shows: its cells' sources and outputs."""
    return "\n".join(f"{cell.source}\n{printed(cell)}" for cell in notebook.cells)


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
        assert f"assert grade({' '.join(call.split())}.right" in grader.source.replace("'", '"').replace(",)", ")")
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
    assert grader.source == 'from loralab import grade\n\nassert grade("double", f).right'


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


def lay(folder, monkeypatch):
    """What `make solutions` does, into that folder."""
    monkeypatch.setattr(sys, "argv", ["build.py", "--solutions", str(folder)])
    assert build.main() == 0


@pytest.fixture
def course(tmp_path, monkeypatch):
    """nbgrader's course in Spanish, as `make solutions` lays it."""
    lay(tmp_path, monkeypatch)
    return tmp_path / "es"


def test_a_lesson_with_exercises_is_an_assignment_and_what_a_teacher_has_stays(course, monkeypatch):
    lessons = [source.stem for source in build.sources() if regions(source)[0]]
    laid = {path.relative_to(course).as_posix() for path in course.rglob("*") if path.is_file()}
    assert laid == {"nbgrader_config.py", *(f"source/{lesson}/{lesson}.ipynb" for lesson in lessons)}
    own = [course / name for name in ("gradebook.db", "submitted/x/01_dataset/01_dataset.ipynb", "nbgrader_config.py")]
    for path in own:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a teacher's", encoding="utf-8")
    lay(course.parent, monkeypatch)
    assert {path.read_text(encoding="utf-8") for path in own} == {"a teacher's"}


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


def submit(course, lesson, student, answers):
    """Hand in the released notebook with these answers in the cells of these exercises."""
    notebook = nbformat.read(course / "release" / lesson / f"{lesson}.ipynb", as_version=4)
    for key, cell in exercise_cells(notebook).items():
        cell.source = answers.get(key, cell.source)
    folder = course / "submitted" / student / lesson
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{lesson}.ipynb")


def answered(cell, code):
    """A solved exercise's cell with this code where its solution stands."""
    return build.REGION.sub(lambda region: textwrap.indent(code.strip("\n"), region[1]) + "\n", f"{cell.source}\n")


def mistake(key):
    """The first known mistake in an exercise: its hint, and the code that makes it."""
    return next((hint, f"{before}\n{code}") for hint, before, code in known(exercises()[key]) if hint)


def fragment(hint):
    """What gives a hint's text away: a stretch of it that has no value to fill in."""
    return max(re.split(r"\{.*?\}", hint["es"]), key=len).strip()[:40]


def graders(notebook):
    return [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]


@pytest.mark.slow
@pytest.mark.parametrize("lesson", ["01_dataset", "03_lora_setup"])
def test_nbgrader_gives_a_point_for_each_right_answer_none_for_others_and_keeps_no_hint(lesson, course):
    cells = exercise_cells(nbformat.read(course / "source" / lesson / f"{lesson}.ipynb", as_version=4))
    hints = [fragment(hint) for key in cells for hint in exercises()[key]["hints"].values()]
    nbgrader(course, "generate_assignment", lesson)
    released = (course / "release" / lesson / f"{lesson}.ipynb").read_text(encoding="utf-8")
    assert not leaked(NOTEBOOKS / "source" / f"{lesson}.py", released) and "SOLUTION" not in released
    assert not any(hint in released for hint in hints)

    solved = {key: re.sub(r" *### (BEGIN|END) SOLUTION\n", "", cell.source) for key, cell in cells.items()}
    mistakes = dict(list((key, mistake(key)) for key in cells)[1:])
    submit(course, lesson, "solved", solved)
    submit(course, lesson, "wrong", solved | {key: answered(cells[key], code) for key, (_, code) in mistakes.items()})
    submit(course, lesson, "blank", {})
    nbgrader(course, "autograde", lesson)
    nbgrader(course, "export", "--to", "grades.csv")
    header, *rows = [line.split(",") for line in (course / "grades.csv").read_text().splitlines()]
    grades = {row[header.index("student_id")]: dict(zip(header, row, strict=True)) for row in rows}
    points = {"solved": len(cells), "wrong": 1, "blank": 0}  # the wrong one's first answer is right
    assert {name: float(row["score"]) for name, row in grades.items()} == points
    assert {(row["assignment"], float(row["max_score"])) for row in grades.values()} == {(lesson, len(cells))}

    gradebook = (course / "gradebook.db").read_bytes()
    assert not any(hint.encode() in gradebook for hint in hints)
    for student, right in points.items():
        graded = nbformat.read(course / "autograded" / student / lesson / f"{lesson}.ipynb", as_version=4)
        assert not any(hint in " ".join(printed(cell).split()) for cell in graders(graded) for hint in hints)
        errors = [output.ename for cell in graders(graded) for output in cell.outputs]
        assert errors == ["AssertionError"] * (len(cells) - right)
        if student == "wrong":
            for key, (hint, _) in mistakes.items():
                told = " ".join(printed(exercise_cells(graded)[key]).split())
                assert fragment(exercises()[key]["hints"][hint]) in told


@pytest.mark.slow
def test_a_students_edition_handed_in_is_named_and_the_others_are_graded(course):
    nbgrader(course, "generate_assignment", "01_dataset")
    submit(course, "01_dataset", "blank", {})
    folder = course / "submitted" / "mistaken" / "01_dataset"
    folder.mkdir(parents=True)
    nbformat.write(build.build(build.sources()[1], "es"), folder / "01_dataset.ipynb")
    said = nbgrader(course, "autograde", "01_dataset", fails=True)
    assert "mistaken handed in 01_dataset.ipynb of the students' edition" in said
    assert [folder.name for folder in (course / "autograded").iterdir()] == ["blank"]


def test_a_graded_edition_gets_the_course_and_has_no_badge_to_one_without_graders():
    address = build.Address("https://github.com/someone/some-course", "0" * 40, "main")
    notebook = built(build.sources()[1], "es", address, solutions=True)
    assert "colab.research" not in nbformat.writes(notebook) and address.repository in nbformat.writes(notebook)
