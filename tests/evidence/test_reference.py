"""The published study (data/reference), and what the READMEs and the lessons say of it."""

import json
import re
import shutil
from pathlib import Path

import pytest
import readme
from published import lessons_results

from loralab.evidence.claims import judge_claims
from loralab.evidence.report import report, to_markdown
from loralab.evidence.study import reference
from loralab.experiment import RECIPE
from loralab.messages import LANGUAGES, message, percent, set_language
from loralab.profiles import load_profile
from loralab.show import comparison_table

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def published():
    return reference()


def test_it_is_whole_and_as_large_as_the_lessons_and_the_readme_say(published):
    classification, generation = published
    assert len(classification.of("full")) == len(classification.of("lora")) == 4
    assert len(generation.of("full")) == len(generation.of("lora")) == 3
    assert classification.of("full")[0].experiment.train_size == 1600
    assert [len(track.of("full")[0].labels) for track in published] == [4000, 96]
    assert {len(runs) for runs in classification.places.values()} == {4} and len(classification.places) == 7
    assert {len(runs) for runs in generation.places.values()} == {3} and len(generation.places) == 7
    swept = [sweep for track in published for sweep in (*track.sweeps, *track.elsewhere)]
    assert {len(sweep.results) - sweep.extended for sweep in swept} == {3} and len(swept) == 12 + 8
    assert all(track.timing for track in published) and classification.updates
    assert {result.experiment.profile for track in published for result in track.results} == {"study"}


def test_nothing_lies_beside_it(published):
    folder = ROOT / "data" / "reference"
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    runs = [Path("runs", r.experiment.key, "result.json") for track in published for r in track.results]
    measured = [Path("study", f"measured-{track.track.task}.json") for track in published]
    lessons = [Path("cpu", "runs", r.experiment.key, "result.json") for r in lessons_results(folder / "cpu")]
    assert files == sorted({*runs, *measured, *lessons, Path("README.md")})


def test_the_lessons_results_are_those_that_their_notebooks_show():
    """Each is named in some notebook, and what lessons 5 and 6 show of them is what is in them."""
    by_key = {r.experiment.key: r for r in lessons_results(ROOT / "data" / "reference" / "cpu")}
    assert {result.provenance["recipe"] for result in by_key.values()} == {RECIPE}
    cpu = load_profile("cpu")
    for language in LANGUAGES:
        set_language(language)
        pages = {p.stem[:2]: p.read_text(encoding="utf-8") for p in (ROOT / "notebooks" / language).glob("*.ipynb")}
        assert all(any(key in page for page in pages.values()) for key in by_key)
        for experiment in cpu.rank_comparison():
            accuracy = percent(by_key[experiment.key].test["accuracy"], 2)
            assert f"r={experiment.rank} ({accuracy})" in pages["05"]
        for track in (cpu, cpu.generation):
            table = comparison_table([by_key[experiment.key] for experiment in track.comparison()])
            assert all(f"<td>{value}</td>" in pages["06"] for value in table.to_numpy().ravel())


def test_sweeps_never_saw_the_test_nor_a_seed_of_the_comparison(published):
    for track in published:
        compared = {result.experiment.seed for result in track.comparison}
        for result in (result for sweep in (*track.sweeps, *track.elsewhere, *track.finer) for result in sweep.results):
            assert not result.test and result.experiment.seed not in compared


def test_the_readmes_are_as_make_readme_writes_them(published, tmp_path, monkeypatch):
    lessons = [Path("notebooks", language, "06_full_vs_lora.ipynb") for language in LANGUAGES]
    written = [Path("README.md"), Path("data", "reference", "README.md"), Path("notebooks", "README.md")]
    for path in (*lessons, *written, Path("data", "work.json")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    monkeypatch.setattr(readme, "ROOT", tmp_path)
    monkeypatch.setattr(readme, "reference", lambda: published)
    monkeypatch.setattr("build.NOTEBOOKS", tmp_path / "notebooks")
    readme.main()
    for path in (*written, *(lesson.with_suffix(".png") for lesson in lessons)):
        assert (tmp_path / path).read_bytes() == (ROOT / path).read_bytes(), path
    (tmp_path / "README.md").write_text("no marks")
    with pytest.raises(ValueError, match=r"README\.md lacks the marks .*: es"):
        readme.main()


@pytest.mark.parametrize("language", ["es", "en"])
def test_lesson_8_shows_the_published_verdicts(published, language):
    set_language(language)
    lesson = json.loads((ROOT / "notebooks" / language / "08_evidence.ipynb").read_text(encoding="utf-8"))
    shown = "".join(
        "".join(output["data"].get("text/html", ""))
        for cell in lesson["cells"]
        for output in cell.get("outputs", [])
        if "data" in output
    )
    for claim in (claim for track in published for claim in judge_claims(track)):
        row = "</td>\n      <td>".join((message(claim.judged), claim.measured))
        assert row in shown, claim


@pytest.mark.slow
def test_its_report_can_be_written(published):
    assert not re.search(r"\bnan\b", to_markdown(report(published)), re.IGNORECASE)
