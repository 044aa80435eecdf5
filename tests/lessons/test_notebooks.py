"""The lessons as they are committed, and the tools that build and run them."""

import base64
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from editions import EDITIONS, NOTEBOOKS, build, code_cells, committed, execute
from nbformat.v4 import new_code_cell, new_notebook, new_output
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForSequenceClassification

from loralab.experiment import RECIPE
from loralab.messages import message, set_language

SOURCES = build.sources()
SIXTH = SOURCES[6]
# Without the first ten minutes and one's own model, which ask for nothing.
LESSONS = [source for source in SOURCES if source.stem not in ("00_start", "07_your_model")]
CHECKED = "nbval-check-output"


def test_there_are_six_lessons_a_start_ones_own_model_and_the_evidence():
    names = "00_start 01_dataset 02_tokenization 03_lora_setup 04_training 05_rank_comparison 06_full_vs_lora"
    names += " 07_your_model 08_evidence"
    assert [source.stem for source in SOURCES] == names.split()


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_what_is_built_is_what_the_source_says(source, language):
    path = build.target(source, language)
    address = build.named_address(committed(source, language))
    built = build.with_outputs(build.build(source, language, address), path)
    assert build.text_of(built) == path.read_text(encoding="utf-8")


def test_every_lesson_comes_from_one_address():
    assert len({build.named_address(committed(source, language)) for source, language in EDITIONS}) == 1


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("bert", {"num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}),
        ("distilbert", {"n_layers": 1, "dim": 8, "hidden_dim": 8, "n_heads": 2}),  # the t4 profile's
        ("xlm-roberta", {"num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}),
    ],
)
def test_ones_own_classifier_takes_any_encoder_that_the_lesson_names(kind, sizes):
    code = "\n".join(cell.source for cell in code_cells(committed(SOURCES[7], "es")))
    (made,) = re.findall(r"^lora = (LoraConfig\(.*?^\))", code, re.MULTILINE | re.DOTALL)
    config = AutoConfig.for_model(kind, vocab_size=20, num_labels=5, **sizes)
    model = get_peft_model(
        AutoModelForSequenceClassification.from_config(config), eval(made, {"LoraConfig": LoraConfig})
    )
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert any("lora_A" in name for name in trained) and any("classifier" in name for name in trained)
    assert not [name for name in trained if "lora_" in name and "classifier" in name]


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_every_output_belongs_to_its_code(source, language):
    notebook = committed(source, language)
    for cell, code in zip(notebook.cells, build.code_hashes(notebook), strict=True):
        if cell.cell_type == "code":
            assert cell.metadata.get("code_hash") == code, f"changed after it was run: {cell.source[:80]}"
            assert cell.execution_count is not None


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_outputs_are_clean_and_light(source, language):
    text = (build.target(source, language)).read_text(encoding="utf-8")
    assert len(text.encode()) < 500_000
    notebook = committed(source, language)
    assert set(notebook.metadata) == {"kernelspec", "language_info", "accelerator", "colab"}
    for cell in code_cells(notebook):
        for output in cell.outputs:
            shown = json.dumps(output)
            assert output.output_type != "error"
            assert output.get("name") != "stderr", shown[:300]
            assert not re.search(r"/(home|root|tmp|usr|work|Users)/|Warning|\\r", shown), shown[:300]
            assert "widget" not in shown
            assert "aside/" not in shown, "run over stale results: remove results/ and run make notebooks again"


@pytest.mark.parametrize("language", build.LANGUAGES)
def test_the_readmes_numbers_and_picture_are_those_of_lesson_6(language):
    readme = (NOTEBOOKS.parent / "README.md").read_text(encoding="utf-8")
    generated = readme.split(f"<!-- make readme: {language} -->")[1].split("<!--")[0]
    cell = next(c for c in code_cells(committed(SIXTH, language)) if "comparison_table(" in c.source)
    rows = [re.findall("<t[hd]>(.*?)</t[hd]>", row) for row in cell.outputs[0].data["text/html"].split("<tr")]
    told = [row[2:-2].split(" | ") for row in generated.splitlines() if row.startswith("| ")]
    assert len(told) == 6 and all(row in [[r[0], *r[-2:]] for r in rows if r] for row in told)
    png = (NOTEBOOKS / language / "06_full_vs_lora.png").read_bytes()
    notebook = (NOTEBOOKS / language / "06_full_vs_lora.ipynb").read_text(encoding="utf-8")
    assert base64.b64encode(png).decode() in notebook and len(png) < 100_000


def test_the_committed_results_are_of_todays_recipe():
    for language in build.LANGUAGES:
        set_language(language)
        cells = code_cells(committed(SOURCES[-1], language))
        cell = [cell for cell in cells if "exercise" not in cell.metadata][-1]
        table = cell.outputs[0].data["text/html"]
        place = re.findall("<th>(.*?)</th>", table.partition("<tbody>")[0]).index(message("recipe"))
        rows = [re.findall("<t[hd]>(.*?)</t[hd]>", row) for row in table.partition("<tbody>")[2].split("<tr>")[1:]]
        assert rows and {row[place] for row in rows} == {str(RECIPE)}


def test_a_code_change_takes_the_outputs_from_there_on(tmp_path):
    source = tmp_path / "01_x.py"
    source.write_text('# %%\nLANGUAGE = "es"\n\n# %%\n1 + 1\n\n# %%\n2 + 2\n')
    path = tmp_path / "01_x.ipynb"
    assert execute.execute(build.build(source, "es"), path) is None
    outputs = [len(cell.outputs) for cell in build.with_outputs(build.build(source, "es"), path).cells]
    assert outputs == [0, 1, 1]
    source.write_text(source.read_text().replace("1 + 1", "1 + 3"))
    rebuilt = build.with_outputs(build.build(source, "es"), path)
    assert [cell.execution_count for cell in rebuilt.cells] == [1, None, None]


@pytest.mark.parametrize(("asked", "ran"), [(["--in-place"], ["es", "en"]), (["en"], ["en"])])
def test_every_language_is_run_where_none_is_named(monkeypatch, asked, ran):
    monkeypatch.setattr(sys, "argv", ["execute.py", *asked])
    monkeypatch.setattr(execute, "sources", lambda: SOURCES[:1])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    languages = []
    monkeypatch.setattr(execute, "train_ahead", languages.append)
    monkeypatch.setattr(execute, "execute", lambda notebook, path: languages.append(path.parent.name))
    assert execute.main() == 0
    assert languages[0] == ran[0] and sorted(languages[1:]) == sorted(ran)


def test_a_lesson_by_its_number_is_run_alone_and_another_number_is_refused(monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(execute, "train_ahead", lambda language: ran.append("what all compare"))
    monkeypatch.setattr(execute, "execute", lambda notebook, path: ran.append(path.stem))
    monkeypatch.setattr(sys, "argv", ["execute.py", "es", "--lesson", "03"])
    assert execute.main() == 0 and ran == ["03_lora_setup"]
    monkeypatch.setattr(sys, "argv", ["execute.py", "es", "--lesson", "12"])
    with pytest.raises(SystemExit):
        execute.main()
    assert "'12'" in capsys.readouterr().err


def test_what_a_profile_of_ones_own_compares_is_trained_once_before_the_lessons(monkeypatch, tmp_path):
    (tmp_path / "mine.toml").write_text('base = "smoke"\nranks = [2, 8]\nseeds = [5]\n')
    monkeypatch.setenv("LORALAB_PROFILE", str(tmp_path / "mine.toml"))
    monkeypatch.setattr(execute, "ProcessPoolExecutor", lambda at_once, *_, **__: ThreadPoolExecutor(at_once))
    ran = []
    monkeypatch.setattr(execute, "run", ran.append)
    execute.train_ahead("es")
    assert len({experiment.key for experiment in ran}) == len(ran)
    trained = {(e.task, e.method, e.rank if e.method == "lora" else 0) for e in ran if e.trains and e.seed == 5}
    classes = {("classification", "head", 0), ("classification", "full", 0)}
    assert {row for row in trained if row[0] == "classification"} == classes | {
        ("classification", "lora", 2), ("classification", "lora", 8),
    }  # fmt: skip


def test_of_a_line_that_is_written_over_the_last_words_are_kept():
    streams = [new_output("stream", text=text) for text in ("step 1\rstep 2\r      \r", "0 %\r100 %\ndone\n")]
    kept = execute.clean(new_notebook(cells=[new_code_cell("1", outputs=streams)])).cells[0].outputs
    assert [output.text for output in kept] == ["100 %\ndone\n"]


def test_a_lesson_that_fails_is_named_and_the_rest_is_left(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["execute.py", "es"])
    monkeypatch.setattr(execute, "train_ahead", lambda language: None)
    monkeypatch.setattr(execute, "AT_ONCE", 1)
    ran = []

    def fail(notebook, path):
        ran.append(path.stem)
        time.sleep(0.2)
        return f"{path.stem}: failed"

    monkeypatch.setattr(execute, "execute", fail)
    assert execute.main() == 1
    assert capsys.readouterr().out == f"{execute.TRAIN[-1]}: failed\n" and len(ran) <= 2


def test_cell_ids_stay():
    ids = [[cell.id for cell in build.build(SOURCES[0], "es").cells] for _ in range(2)]
    assert ids[0] == ids[1] and len(set(ids[0])) == len(ids[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [("# %% [markdown]\n# prose\n", "lang="), ("# %%\n1\n", "LANGUAGE")],
)
def test_a_source_without_language_is_refused(tmp_path, text, said):
    (tmp_path / "x.py").write_text(text)
    with pytest.raises(ValueError, match=said):
        build.build(tmp_path / "x.py", "es")


def test_an_edition_whose_prose_is_incomplete_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "LANGUAGES", ("es", "en", "fr"))
    source, cell = tmp_path / "01_x.py", '# %% [markdown] lang="{1}"\n# {0}, {1}\n\n'
    one, two = ([cell.format(name, to) for to in build.LANGUAGES] for name in ("one", "two"))
    for prose, named in ((one[:2] + two, "one, es"), (one + two[:2], "two, es")):
        source.write_text("".join(['# %%\nLANGUAGE = "es"\n\n', *prose]))
        with pytest.raises(ValueError, match=rf"^01_x\.py: '{named}' does not stand there in 'fr': .*lang=\"fr\""):
            build.build(source, "fr")
        assert [cell.source for cell in build.build(source, "en").cells[1:]] == ["one, en", "two, en"]
    source.write_text("".join(['# %%\nLANGUAGE = "es"\n\n', *one, *two]))
    assert [cell.source for cell in build.build(source, "fr").cells[1:]] == ["one, fr", "two, fr"]


@pytest.mark.parametrize("source", SOURCES)
def test_both_editions_have_the_same_skeleton(source):
    spanish, english = committed(source, "es"), committed(source, "en")
    assert [cell.cell_type for cell in spanish.cells] == [cell.cell_type for cell in english.cells]
    for es, en in zip(spanish.cells, english.cells, strict=True):
        if es.cell_type == "code":
            assert es.source.replace('LANGUAGE = "es"', "") == en.source.replace('LANGUAGE = "en"', "")
        else:
            texts = [es.source, en.source.replace("/notebooks/en/", "/notebooks/es/")]
            for pattern in (r"^#+ ", r"`[^`]+`", r"\]\([^)]+\)", r"^- "):
                found = [sorted(re.findall(pattern, text, re.MULTILINE)) for text in texts]
                assert found[0] == found[1], es.source


def test_a_failing_cell_is_named_and_what_ran_is_saved(tmp_path):
    source = tmp_path / "01_x.py"
    source.write_text('# %%\nLANGUAGE = "es"\n"before"\n\n# %%\nraise ValueError("too bad")\n\n# %%\n"after"\n')
    path = tmp_path / "01_x.ipynb"
    path.write_text("an earlier, whole run")
    failed = execute.execute(build.build(source, "es"), path)
    assert "raise ValueError" in failed and "too bad" in failed and "01_x.running.ipynb" in failed
    saved = nbformat.read(tmp_path / "01_x.running.ipynb", as_version=4)
    assert [len(cell.outputs) for cell in saved.cells] == [1, 1, 0]
    assert path.read_text() == "an earlier, whole run"


@pytest.mark.slow
def test_trainings_ahead_end_with_the_command_that_was_killed():
    script = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from execute import end_with_parent
with ProcessPoolExecutor(1, get_context("spawn"), initializer=end_with_parent) as pool:
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""
    path = os.pathsep.join([str(NOTEBOOKS), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
    until = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.2)
    assert not Path(f"/proc/{worker}").exists()


def nbval(path, **environment):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env"]
    command += ["--nbval-cell-timeout=60", "--rootdir", str(path.parent), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    return done.returncode, done.stdout


def test_a_checked_cell_fails_with_another_output_alone(tmp_path):
    source, cell = tmp_path / "x.py", f'# %% tags=["{CHECKED}"]\nprint(40 + 2)\n'
    source.write_text(f'# %%\nLANGUAGE = "es"\n\n{cell}\n{cell}')
    notebook = build.build(source, "es")
    for count, (cell, said) in enumerate(zip(notebook.cells, ("", "42\n", "43\n"), strict=True), 1):
        cell.execution_count = count
        cell.outputs = [nbformat.v4.new_output("stream", text=said)] if said else []
    nbformat.write(notebook, tmp_path / "x.ipynb")
    code, shown = nbval(tmp_path / "x.ipynb")
    assert code == 1 and "1 failed, 2 passed" in shown and "mismatch" in shown, shown


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_each_lesson_checks_some_output_and_none_vacuously(source, language):
    checked = [cell for cell in code_cells(committed(source, language)) if CHECKED in cell.metadata.get("tags", [])]
    assert checked
    for cell in checked:
        assert cell.execution_count is not None and cell.outputs, cell.source


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_the_outputs_are_those_of_the_cpu_profile_and_say_of_which_data_and_models(source, language):
    setup = code_cells(committed(source, language))[0]
    told = {
        "es": "perfil cpu: film-reviews con minilm-l6, quixote-qa con smollm2-135m",
        "en": "profile cpu: film-reviews with minilm-l6, quixote-qa with smollm2-135m",
    }
    assert setup.outputs[0].text.strip().endswith(told[language])


def test_a_kernel_has_no_network_either(tmp_path):
    source = tmp_path / "x.py"
    source.write_text('# %%\nLANGUAGE = "es"\n\n# %%\nimport socket\nsocket.create_connection(("192.0.2.1", 80), 1)\n')
    failed = execute.execute(build.build(source, "es"), tmp_path / "x.ipynb")
    assert "without a network" in failed


def test_every_lesson_starts_in_the_same_way():
    for source in SOURCES:
        first = code_cells(committed(source, "es"))[0].source
        assert first == build.setup_code("es", build.named_address(committed(source, "es")))


@pytest.mark.parametrize(("source", "language"), [edition for edition in EDITIONS if edition[0] in LESSONS])
def test_each_lesson_shows_figures_with_their_numbers_in_words(source, language):
    shown = [
        alt
        for cell in code_cells(committed(source, language))
        for output in cell.outputs
        for alt in re.findall(r'<img [^>]*alt="([^"]*)"', output.get("data", {}).get("text/html", ""))
    ]
    measured = [alt for alt in shown if not alt.startswith(("Dibujo", "Drawing"))]
    assert len(shown) >= (1 if source.stem == "01_dataset" else 2)
    assert measured and all(len(re.findall(r"\d", alt)) >= 2 for alt in measured)


@pytest.mark.parametrize("source", LESSONS)
def test_each_lesson_asks_for_predictions_and_compares_every_one(source):
    code = "\n".join(cell.source for cell in code_cells(committed(source, "es")))
    guesses = re.findall(r'^(\w+) = predict\("\w+", None\)$', code, re.MULTILINE)
    assert guesses and all(f"{guess}.compare(" in code for guess in guesses)


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_each_cell_can_be_run_twice(source, tmp_path, monkeypatch):
    monkeypatch.setenv("LORALAB_PROFILE", "smoke")
    notebook = build.build(source, "es")
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    notebook.cells = [nbformat.v4.new_code_cell(cell.source) for cell in cells for _ in range(2)]
    assert execute.execute(notebook, tmp_path / f"{source.stem}.ipynb") is None
