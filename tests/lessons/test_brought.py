"""What people bring goes through all lessons and the report: five made-up sets of data, and bases in folders."""

import json
import random

import build
import execute
import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, LlamaConfig, LlamaForCausalLM

from loralab.data.hub import locate
from loralab.evidence.report import write_report
from loralab.evidence.study import gather
from loralab.lessons.start import start
from loralab.train.run import results_dir

# What each class is known by, and what all texts are made of.
GOODS = {
    "electrónica": "el cargador|la pantalla|el móvil|la batería|el teclado",
    "ropa": "la camisa|el abrigo|los calcetines|la falda|el jersey",
    "hogar": "la sartén|la lámpara|el colchón|la manta|el sofá",
    "libros": "la novela|el cómic|el diccionario|la guía|el atlas",
    "juguetes": "el balón|la muñeca|el rompecabezas|el patinete|la peonza",
}
TEMPERS = {
    "queja": "no funciona|llegó roto|me decepcionó|huele mal|se estropeó",
    "elogio": "es magnífico|llegó enseguida|me encantó|funciona de maravilla|es un acierto",
}
PEOPLE = ["mi tía", "un vecino", "mi jefa", "el cartero", "mi primo", "una amiga", "mi hermano", "la profesora"]
TIMES = ["ayer", "el lunes", "anoche", "en mayo", "hace un año", "esta mañana", "el domingo", "en verano"]
PLACES = ["en Cádiz", "en casa", "en la oficina", "en el pueblo", "en León", "en la playa", "en el tren", "en Mahón"]


def told(known, i):
    """A text of its own for each number, about what is known."""
    draw = random.Random(i)
    parts = [draw.choice(words) for words in (TIMES, PEOPLE, PLACES, TIMES, PEOPLE)]
    return f"{parts[0]} {known} {parts[1]} {parts[2]}, {parts[3]} y {parts[4]} número {i}"


def labelled(classes, heading):
    names = list(classes)
    rows = [(told(classes[names[i % len(names)]].split("|")[i % 5], i), names[i % len(names)]) for i in range(200)]
    return heading + "\n" + "".join(f'"{text}";{name}\n' for text, name in rows)


def asked(form):
    pairs = [(f"¿Qué hizo {told('la sartén', i)}?", f"Pues que {told('el sofá', i)}.") for i in range(70)]
    return "".join(json.dumps(form(*pair), ensure_ascii=False) + "\n" for pair in pairs)


def turns(question, answer):
    said = (
        ("system", "Sé breve."),
        ("user", "Hola"),
        ("assistant", "Buenas."),
        ("user", question),
        ("assistant", answer),
    )
    return {"messages": [{"role": role, "content": text} for role, text in said]}


SETS = {
    "productos.csv": lambda: labelled(GOODS, "texto;etiqueta"),
    "opiniones.csv": lambda: labelled(TEMPERS, "text;label"),
    "alpaca.jsonl": lambda: asked(lambda q, a: {"instruction": "Contesta en español.", "input": q, "output": a}),
    "chat.jsonl": lambda: asked(turns),
    "preguntas.jsonl": lambda: asked(lambda q, a: {"pregunta": q, "respuesta": a}),
}


def base_of(folder, name, model):
    """A small model, whose values are drawn wide, with the tokenizer of another that was never taught to converse."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(locate(name))
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    return folder.name


def bases(folder):
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    encoder = BertForMaskedLM(BertConfig(**small))
    decoder = LlamaForCausalLM(LlamaConfig(**small, vocab_size=49152, num_key_value_heads=2))
    return (
        f'model = "./{base_of(folder / "encoder", "minilm-l6", encoder)}"\n',
        f'model = "./{base_of(folder / "decoder", "smollm2-135m", decoder)}"\n',
    )


def teach(folder, monkeypatch, classes, pairs, lessons, models=("", "")):
    """Run these lessons of the Spanish edition, with one seed, on the two sets and on models of one's own."""
    for name in (classes.partition("?")[0], pairs):
        (folder / name).write_text(SETS[name](), encoding="utf-8")
    lines = ['base = "smoke"\n', f'dataset = "{classes}"\n', "seeds = [0]\n", models[0]]
    lines += ["[generation]\n", f'dataset = "{pairs}"\n', models[1]]
    (folder / "class.toml").write_text("".join(lines), encoding="utf-8")
    monkeypatch.setenv("LORALAB_PROFILE", str(folder / "class.toml"))
    for source in build.sources()[1:7][lessons]:  # the others use no data of one's own
        path = folder / f"{source.stem}.ipynb"
        assert execute.execute(build.build(source, "es"), path) is None
        assert f"{classes.partition('?')[0]} · " in path.read_text(encoding="utf-8")


def reported(folder):
    """The report of the profile in force, as Markdown; it has no path of this machine."""
    profile = start("es")
    write_report([gather(profile), gather(profile.generation)], results_dir() / profile.name)
    page = (results_dir() / profile.name / "report.md").read_text(encoding="utf-8")
    assert str(folder) not in page
    return page


# The same in two parts: make test runs the first alone.


def test_the_first_lesson_on_five_classes_and_questions_with_bases_in_folders(tmp_path, monkeypatch, results):
    teach(tmp_path, monkeypatch, "productos.csv", "preguntas.jsonl", slice(0, 1), bases(tmp_path))


@pytest.mark.slow
def test_the_last_lessons_and_the_report(tmp_path, monkeypatch, results):
    teach(tmp_path, monkeypatch, "productos.csv", "preguntas.jsonl", slice(1, None), bases(tmp_path))
    page = reported(tmp_path)
    assert "productos.csv · encoder" in page and "preguntas.jsonl · decoder" in page and "macro-F1" in page


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "pairs"), [
    ("productos.csv", "alpaca.jsonl"),
    ("opiniones.csv", "chat.jsonl"),
    ("opiniones.csv?labels=queja,elogio", "preguntas.jsonl"),
])  # fmt: skip
def test_what_somebody_brings_goes_through_lessons_and_report(tmp_path, monkeypatch, results, classes, pairs):
    teach(tmp_path, monkeypatch, classes, pairs, slice(None))
    page = reported(tmp_path)
    assert f"{classes.partition('?')[0]} · minilm-l6" in page and f"{pairs} · smollm2-135m" in page
    assert ("macro-F1" in page) == (classes == "productos.csv")
