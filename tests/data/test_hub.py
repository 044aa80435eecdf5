import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from hub import Repository
from hub_repositories import course_hub

from loralab.data.assets import asset, assets
from loralab.data.hub import UNGATED
from loralab.lessons.start import own_profile
from loralab.messages import message
from loralab.train.hardware import detect, resolve

# A way to fetch, and what to fetch by it.
FETCHED = [("download_model", "distilbert/distilbert-base-uncased"), ("load_dataset", "stanfordnlp/imdb")]
MODELS = [name for name, row in assets("model").items() if "hub" in row]
DATASETS = [name for name, row in assets("dataset").items() if "hub" in row]
COMMIT = "c" * 40
NO_KEY, WITH_ACCESS, WITHOUT_ACCESS, EXPIRED, WRONG = "", "with-access", "without-access", "old-key", "wrong-key"

# Does what it is told, a line of JSON at a time; answers with what `answer` is then, or with the error.
LOOP = """
import json, os, sys, traceback
replies, sys.stdout = sys.stdout, sys.stderr
told = {}
for line in sys.stdin:
    code, os.environ["HF_TOKEN"] = json.loads(line)
    try:
        exec(code, told)
        reply = {"answer": told.pop("answer", None)}
    except Exception as error:
        reply = {"error": [type(error).__name__, str(error)], "trace": traceback.format_exc()}
    print(json.dumps(reply), file=replies, flush=True)
"""
IMPORTS = """
import json, time
import pandas as pd
from torch import nn
from safetensors.torch import load_file
from loralab.data.assets import AssetError, asset
from loralab.train.baselines import tfidf
from loralab.data.splits import load_splits
from loralab.train.generation import generate
from loralab.train.hardware import detect
from loralab.data.hub import CONFIGURATION, MODEL_FILES, WORDS, download_model, load_dataset
from loralab.train.models import load_base, load_language_model, load_tokenizer
from loralab.data.hub import locate
from loralab.data.splits import load_pairs
from loralab.profiles import load_profile
time.sleep = lambda seconds: None  # what the libraries wait between their tries adds up to more than a minute
"""


def environment(hub, folder):
    """That of a process whose hub is ours, and whose cache and results are in the folder."""
    ours = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home"), "LORALAB_RESULTS": str(folder / "results")}
    return {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | ours


class Student:
    """A process that has loralab imported."""

    def __init__(self, hub, folder):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        self.process = subprocess.Popen([sys.executable, "-c", LOOP], env=environment(hub, folder), **pipes)
        self.do(IMPORTS)

    def _reply(self, code, key):
        print(json.dumps([code, key]), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def do(self, code, key=NO_KEY):
        """What `answer` is after the code; the hub is shown the key."""
        reply = self._reply(code, key)
        assert "error" not in reply, reply["trace"]
        return reply["answer"]

    def fails(self, code, key=NO_KEY):
        """The text of the AssetError that the code ends in."""
        reply = self._reply(code, key)
        assert "error" in reply, reply
        kind, text = reply["error"]
        assert kind == "AssetError", reply["trace"]
        return text


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    served = course_hub(tmp_path_factory.mktemp("repositories"))
    opened = {row["hub"] for row in assets("model").values() if row.get("gated")}
    served.access = {WITH_ACCESS: opened, WITHOUT_ACCESS: set(), EXPIRED: None}
    yield served
    served.stop()


@pytest.fixture(scope="module")
def student(hub, tmp_path_factory):
    one = Student(hub, tmp_path_factory.mktemp("student"))
    yield one
    one.process.stdin.close()
    one.process.wait()


@pytest.fixture
def add(hub):
    """Adds a copy of a repository under a new name, which no cache has seen; returns its row, as in assets.toml."""

    def added(like, name, **changes):
        kind = "datasets" if ("datasets", like) in hub.repositories else "models"
        folder = changes.pop("folder", None) or hub.repositories[kind, like].folder
        hub.repositories[kind, name] = Repository(kind, name, folder, COMMIT, **changes)
        return {"hub": name, "revision": COMMIT}

    return added


@contextmanager
def unreachable(hub):
    hub.stop()
    try:
        yield
    finally:
        hub.start()


def downloads(hub, since):
    """The large files that were fetched, and from where on."""
    asked = hub.requests[since:]
    return [(path.split("/")[-1], start) for method, path, start in asked if method == "GET" and "/large/" in path]


# --- what the course takes from there


@pytest.mark.parametrize("name", MODELS)
def test_a_model_loads_with_the_hubs_weights(hub, student, name):
    code = f"""
folder = locate({name!r})
encodes = json.loads((folder / "config.json").read_text())["architectures"][0].endswith("MaskedLM")
model = load_base({name!r}, 0) if encodes else load_language_model({name!r})
tokenizer = load_tokenizer({name!r})
if encodes:
    said = list(model(**tokenizer(["I once rescued a shepherd."], return_tensors="pt")).logits.shape)
else:
    said = len(generate(model, tokenizer, pd.DataFrame([{{"instruction": "Be brief.", "input": "Who are you?"}}])))
weights = load_file(folder / "model.safetensors")
words = next(value for key, value in weights.items() if key.endswith(("word_embeddings.weight", "embed_tokens.weight")))
same = bool((model.get_input_embeddings().weight == words).all())
dropped = [module.p for module in model.modules() if isinstance(module, nn.Dropout) and module.p]
answer = [str(folder), encodes, same, said, dropped]
"""
    folder, encodes, same, said, dropped = student.do(code, WITH_ACCESS)
    assert folder.endswith(f"/snapshots/{asset('model', name)['revision']}")
    assert same and dropped == [] and said == ([1, 2] if encodes else 1)
    assert not any("xet" in path for _, path, _ in hub.requests)


@pytest.mark.parametrize("name", [name for name in DATASETS if "columns" in asset("dataset", name)])
def test_a_labelled_data_set_splits_without_losing_a_row(student, name):
    code = f"""
sizes = {{"train_size": 200, "validation_size": 16, "test_size": 64}}
experiment = load_profile("smoke").experiment("tfidf", dataset={name!r}, **sizes)
splits = load_splits(experiment)
predicted = tfidf(experiment, splits.train, detect())(splits.test)
right = float((splits.test["label"] == predicted).mean())
answer = [{{part: len(frame) for part, frame in splits.items()}}, splits.report, right, list(splits.train)]
"""
    sizes, report, right, columns = student.do(code)
    assert sizes == {"train": 200, "validation": 16, "test": 64}
    assert report["duplicates"] == report["near_duplicates"] == 0
    assert columns == (["text", "text_pair", "label"] if name == "mrpc" else ["text", "label"])
    if name in ("imdb", "sst2"):  # what makes the others' classes is no single word
        assert right > 0.8


@pytest.mark.parametrize("name", [name for name in DATASETS if "columns" not in asset("dataset", name)])
def test_pairs_load_without_the_useless_answers(student, name):
    rows, read = student.do(f"frame, report = load_pairs({name!r}); answer = [len(frame), report['rows']]")
    assert (rows, read) == (270, 300)


def test_for_a_tokenizer_no_weights_are_fetched_and_without_a_network_it_is_said_so(hub, student, add):
    row = add("Qwen/Qwen2.5-0.5B-Instruct", "course/words")
    name = f"{row['hub']}@{row['revision']}"
    asked = len(hub.requests)
    assert student.do(f"answer = load_tokenizer({name!r})('Who are you?')['input_ids']")
    assert downloads(hub, asked) == []
    with unreachable(hub):
        assert student.fails(f"load_language_model({name!r})") == message("hub_no_network", name=row["hub"])
    student.do(f"load_language_model({name!r})")
    assert downloads(hub, asked) == [("model.safetensors", None)]


# --- what a student meets


def test_a_gated_model_asks_for_a_key_then_for_access_and_then_loads(hub, student, add):
    row = add("google/gemma-3-4b-it", "course/gated", gated=True)
    told = {"name": "course/gated", "ungated": UNGATED}
    assert student.fails(f"download_model({row})") == message("hub_no_token", **told)
    assert student.fails(f"download_model({row})", WITHOUT_ACCESS) == message("hub_no_access", **told)
    hub.access[WITH_ACCESS].add("course/gated")
    folder = Path(student.do(f"answer = str(download_model({row}))", WITH_ACCESS))
    assert (folder / "model.safetensors").exists()


@pytest.mark.parametrize("key", [WRONG, EXPIRED])
@pytest.mark.parametrize(("call", "like"), [*FETCHED, ("download_model", "google/gemma-3-4b-it")])
def test_a_key_that_is_wrong_or_has_expired(student, add, call, like, key):
    row = add(like, f"course/with-{key}", gated="gemma" in like)
    assert student.fails(f"{call}({row})", key) == message("hub_bad_key", name=row["hub"])


@pytest.mark.parametrize("key", [NO_KEY, WITHOUT_ACCESS])
@pytest.mark.parametrize("call", ["download_model", "load_dataset"])
def test_a_repository_that_there_is_not(student, call, key):
    text = student.fails(f"{call}({{'hub': 'course/nowhere', 'revision': 'main'}})", key)
    assert text == message("hub_unknown", name="course/nowhere")


@pytest.mark.parametrize("key", [NO_KEY, WITH_ACCESS])
@pytest.mark.parametrize(("call", "like"), FETCHED)
def test_a_hub_that_is_asked_too_often(hub, student, add, call, like, key):
    row = add(like, f"course/busy-{call}-{bool(key)}")
    hub.busy = True
    text = student.fails(f"{call}({row})", key)
    hub.busy = False
    assert text == message("hub_too_many", name=row["hub"]) and "`HF_TOKEN`" in text


@pytest.mark.parametrize("names", ["WORDS", "MODEL_FILES"])
def test_what_was_fetched_before_is_not_taken_for_the_whole(hub, student, add, names):
    row = add("distilbert/distilbert-base-uncased", f"course/part-{names.lower()}")
    student.do(f"answer = str(download_model({row}, CONFIGURATION))")
    hub.busy = True
    text = student.fails(f"download_model({row}, {names})")
    hub.busy = False
    assert text == message("hub_too_many", name=row["hub"])
    with unreachable(hub):
        assert student.fails(f"download_model({row}, {names})") == message("hub_no_network", name=row["hub"])
    folder = Path(student.do(f"answer = str(download_model({row}, {names}))"))
    assert (folder / "tokenizer_config.json").exists()


@pytest.mark.parametrize(("call", "like"), FETCHED)
def test_a_revision_that_there_is_not(student, add, call, like):
    row = add(like, f"course/old-{call}") | {"revision": "0" * 40}
    assert student.fails(f"{call}({row})") == message("hub_unknown", name=row["hub"])


@pytest.mark.parametrize("key", [NO_KEY, EXPIRED])
@pytest.mark.parametrize(("call", "like"), FETCHED)
def test_another_revision_that_was_fetched_before_is_not_taken_for_it(student, add, call, like, key):
    row = add(like, f"course/later-{call}-{bool(key)}")
    student.do(f"{call}({row})")
    text = student.fails(f"{call}({row | {'revision': '0' * 40}})", key)
    assert text == message("hub_bad_key" if key else "hub_unknown", name=row["hub"])


@pytest.mark.parametrize(("call", "like"), FETCHED)
def test_without_a_network_only_what_is_cached(hub, student, add, call, like):
    cached, not_cached = (add(like, f"course/{name}-{call}") for name in ("cached", "not-cached"))
    first = student.do(f"answer = repr({call}({cached}))")
    with unreachable(hub):
        assert student.do(f"answer = repr({call}({cached}))") == first
        assert student.fails(f"{call}({not_cached})") == message("hub_no_network", name=not_cached["hub"])


@pytest.mark.parametrize(
    ("call", "like", "last"),
    [
        (*FETCHED[0], ["model.safetensors"]),
        (*FETCHED[1], ["test-00000-of-00001.parquet", "unsupervised-00000-of-00001.parquet"]),
    ],
)
def test_a_connection_that_breaks_is_an_error_and_the_next_call_gets_what_is_missing(
    hub, student, add, call, like, last
):
    row = add(like, f"course/reset-{call}")
    hub.cuts[last[0]] = "reset"
    text = student.fails(f"{call}({row})")
    before, after = message("hub_not_reached", name=row["hub"], error="|").split("|")
    assert text.startswith(before) and text.endswith(after) and len(text.splitlines()) == 1
    asked = len(hub.requests)
    student.do(f"{call}({row})")
    assert [name for name, _ in downloads(hub, asked)] == last


def test_a_download_that_ends_halfway_goes_on_from_there(hub, student, add, tmp_path):
    # More than the ten megabytes that huggingface_hub writes at a time.
    weights = bytes(range(256)) * 2**17
    (tmp_path / "model.safetensors").write_bytes(weights)
    row = add("distilbert/distilbert-base-uncased", "course/long", folder=tmp_path)
    hub.cuts["model.safetensors"] = "closed"
    asked = len(hub.requests)
    # The library goes on by itself, or as of an older version on the next call.
    code = f"""
try:
    answer = str(download_model({row}))
except AssetError:
    answer = str(download_model({row}))
"""
    folder = Path(student.do(code))
    assert downloads(hub, asked) == [("model.safetensors", None), ("model.safetensors", f"bytes={10 * 2**20}-")]
    assert (folder / "model.safetensors").read_bytes() == weights


# --- a T4's course, with little of everything

SMALL = """
base = "t4"
train_size = 64
validation_size = 16
test_size = 32
[generation]
train_size = 8
validation_size = 4
test_size = 4
"""


@pytest.mark.slow
def test_the_report_of_a_t4_from_the_hub_to_the_page(hub, tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    profile, device = own_profile(path), detect()
    wanted = [run for track in (profile, profile.generation) for run in (*track.comparison(), *track.rank_comparison())]
    assert {run.model for run in wanted} == {"distilbert-base-uncased", "qwen2.5-0.5b"}
    written = []
    for language in ("es", "en"):
        command = [sys.executable, "-m", "loralab", "report", "--language", language]
        ours = environment(hub, tmp_path) | {"LORALAB_PROFILE": str(path), "HF_TOKEN": WITH_ACCESS}
        done = subprocess.run(command, env=ours, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert WITH_ACCESS not in done.stdout + done.stderr
        page = (tmp_path / "results" / "small" / "report.html").read_text(encoding="utf-8")
        results = {file.parent.name: file.stat().st_mtime_ns for file in tmp_path.glob("results/runs/*/result.json")}
        assert set(results) == {resolve(run, device).key for run in wanted}
        assert f'<html lang="{language}">' in page and all(name in page for name in results)
        written.append(results)
    assert written[0] == written[1]  # the second language trained nothing again
    left = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert left and not [file for file in left if WITH_ACCESS.encode() in file.read_bytes()]  # the key is kept nowhere


@pytest.mark.slow
def test_the_exercises_models_and_data_sets_train_and_are_scored(student):
    code = """
import math, torch
from loralab.train.run import run
answer = {}
track = load_profile("t4")
sizes = {"train_size": 48, "validation_size": 16, "test_size": 32, "epochs": 1}
for model in ("distilbert-base-uncased", "bert-base-uncased", "roberta-base"):
    for dataset in ("imdb", "sst2", "mrpc", "cola"):
        result = run(track.experiment("lora", model=model, dataset=dataset, **sizes))
        finite = all(map(math.isfinite, result.loss_by_step)) and math.isfinite(result.test["loss"])
        answer[f"{model} {dataset}"] = [len(result.predictions), len(result.loss_by_step), finite, sorted(result.test)]
"""
    found = student.do(code)
    assert len(found) == 12
    assert all(run == [32, 3, True, ["accuracy", "f1", "loss", "mcc"]] for run in found.values()), found
