# %% [markdown] lang="es"
# # 4 · Entrenar
#
# **Pregunta.** ¿Qué pasa durante el entrenamiento, y puedes fiarte del número que sale?
#
# Con `Trainer` y `peft`, paso a paso, entrenas un clasificador y después un modelo que escribe. Con cada uno compruebas
# que `run` hace lo mismo, y luego lo entrenas de verdad. Al terminar sabrás:
#
# - predecir la primera pérdida, y sospechar si no sale;
# - explicar por qué cada método necesita su tasa de aprendizaje, y con qué datos se elige;
# - interrumpir un entrenamiento y reanudarlo;
# - examinar un modelo que escribe, y usar lo entrenado fuera del curso.
#
# Hacen falta las lecciones 2 y 3.

# %% [markdown] lang="en"
# # 4 · Training
#
# **Question.** What happens during training, and can you trust the number that comes out?
#
# With `Trainer` and `peft`, step by step, you train a classifier and later a model that writes. With each you check
# that `run` does the same, and then train it for real. By the end you can:
#
# - predict the first loss, and be suspicious if it is something else;
# - explain why each method needs its own learning rate, and which data choose it;
# - interrupt training and resume it;
# - examine a model that writes, and use what was trained outside the course.
#
# You need lessons 2 and 3.

# %%
from loralab import hand_over, start

LANGUAGE = "es"
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)

# %% [markdown] lang="es"
# ## Un experimento pequeño
#
# `but` devuelve el mismo experimento con algunos campos cambiados. Para comparar `Trainer` con `run` bastan 64 frases y
# dos épocas. La **pérdida** es la media de $-\ln p$, donde $p$ es la probabilidad que el modelo da a la clase correcta.
# Una cabeza recién creada no sabe nada. ¿Qué pérdida tendrá con dos clases?

# %% [markdown] lang="en"
# ## A small experiment
#
# `but` returns the same experiment with some fields changed. 64 sentences and two epochs are enough to compare
# `Trainer` with `run`. The **loss** is the mean of $-\ln p$, where $p$ is the probability that the model gives to the
# right class. A fresh head knows nothing. What will its loss be, with two classes?

# %%
from loralab import (
    detect,
    load_splits,
    message,
    number,
    percent,
    predict,
    run,
    run_folder,
    scientific,
)
from loralab.data import label_names
from loralab.train import (
    BatchesByLength,
    encode,
    encode_pairs,
    head_modules,
    load_for,
    load_language_model,
    load_tokenizer,
    score,
    target_modules,
)

experiment = profile.experiment("lora")
classes = len(label_names(experiment.dataset))
rows = max(32, classes)
sizes = {"train_size": 2 * rows, "validation_size": rows, "test_size": rows}
plain = {"epochs": 2, "precision": "fp32", "gradient_accumulation_steps": 1}
small = experiment.but(**sizes, **plain)
splits = load_splits(small)
tokenizer = load_tokenizer(small.model)
train = encode(splits.train, tokenizer, small.max_length)
validation = encode(splits.validation, tokenizer, small.max_length)
guess_loss = predict("first_loss", None)

# %%
import math

import torch
from transformers import DataCollatorWithPadding

collate = DataCollatorWithPadding(tokenizer)
with torch.no_grad():
    fresh = load_for(small).to(detect().kind).eval()
    batch = collate(list(train.dataset)).to(detect().kind)
    first_loss = fresh(**batch).loss.item()
assert abs(first_loss - math.log(classes)) < 0.05
guess_loss.compare(first_loss, classes=classes, ln=number(math.log(classes), 3))

# %% [markdown] lang="es"
# Si un entrenamiento no empieza cerca de ahí, algo está mal montado: las etiquetas, la cabeza o la pérdida.
#
# ## Con `Trainer`, paso a paso
#
# `Trainer` repite lo que conoces: `loss = model(**batch).loss`, `loss.backward()`, `optimizer.step()` (antes recorta
# los gradientes demasiado grandes). El paso lo da AdamW ([Loshchilov y Hutter,
# 2019](https://arxiv.org/abs/1711.05101)), que divide un promedio de los gradientes de cada parámetro por el tamaño que
# suelen tener: así, el tamaño del paso no lo pone el gradiente, sino la **tasa de aprendizaje**. La tasa sube al
# principio (`warmup_steps`) y luego baja en línea recta hasta cero. Lo único que cambiamos son los lotes: usamos los de
# longitud parecida. `score` calcula las métricas con la biblioteca `evaluate` (con conexión,
# `evaluate.load("accuracy")`). La celda imprime la exactitud en validación tras cada época.

# %% [markdown] lang="en"
# If training does not start near there, something is set up wrong: the labels, the head or the loss.
#
# ## With `Trainer`, step by step
#
# `Trainer` repeats what you know: `loss = model(**batch).loss`, `loss.backward()`, `optimizer.step()` (clipping
# gradients that are too large first). The step is AdamW's ([Loshchilov and Hutter,
# 2019](https://arxiv.org/abs/1711.05101)), which divides an average of each parameter's gradients by the size that they
# usually have: so it is not the gradient that sets the size of the step, but the **learning rate**. It rises at first
# (`warmup_steps`) and then falls linearly to zero. All we change is the batches: we use those of similar length.
# `score` takes the metrics from the library `evaluate` (online, `evaluate.load("accuracy")`). The cell prints the
# validation accuracy after each epoch.

# %%
import tempfile

from peft import LoraConfig, get_peft_model
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments


class PlainTrainer(Trainer):
    def get_train_dataloader(self):
        lengths = [len(row["input_ids"]) for row in self.train_dataset]
        size = self.args.per_device_train_batch_size
        batches = BatchesByLength(lengths, size, self.args.seed)
        data, collate = self.train_dataset, self.data_collator
        loader = DataLoader(data, batch_sampler=batches, collate_fn=collate)
        return self.accelerator.prepare(loader)


def lora(experiment, **task):
    """The experiment's base with a LoRA adapter on it."""
    model = load_for(experiment)
    config = LoraConfig(
        r=experiment.rank,
        lora_alpha=experiment.alpha,
        lora_dropout=experiment.dropout,
        target_modules=target_modules(model, experiment.target_modules),
        **task,
    )
    return get_peft_model(model, config)


def losses(model, experiment, train_dataset, collate, **more):
    """Train; print the accuracy after each epoch, if asked, and return every loss."""
    arguments = TrainingArguments(
        tempfile.mkdtemp(),
        num_train_epochs=experiment.epochs,
        per_device_train_batch_size=experiment.batch_size,
        learning_rate=experiment.learning_rate,
        weight_decay=experiment.weight_decay,
        warmup_steps=experiment.warmup_ratio,  # below 1: a share of the steps
        seed=experiment.seed,
        logging_steps=1,
        save_strategy="no",
        eval_strategy="epoch" if more else "no",
        disable_tqdm=True,
        use_cpu=detect().kind == "cpu",
    )
    trainer = PlainTrainer(
        model, arguments, train_dataset=train_dataset, data_collator=collate, **more
    )
    trainer.remove_callback(PrinterCallback)  # it prints every step's loss
    trainer.train()
    log = trainer.state.log_history
    if more:
        print([round(x["eval_accuracy"], 3) for x in log if "eval_accuracy" in x])
    return [entry["loss"] for entry in log if "loss" in entry]


# %%
def compute_metrics(output):
    return score(output.predictions.argmax(axis=1), output.label_ids, classes)


model = lora(small, task_type="SEQ_CLS", modules_to_save=head_modules(load_for(small)))
judged = {"eval_dataset": validation.dataset, "compute_metrics": compute_metrics}
by_trainer = losses(model, small, train.dataset, collate, **judged)

# %% [markdown] lang="es"
# ## Con `run`, lo mismo
#
# `run` recibe el experimento y devuelve su resultado. En una CPU las pérdidas coinciden hasta la última cifra; en una
# GPU, salvo por el redondeo. No tienen por qué bajar, porque son muy pocos pasos.
#
# Y en Colab las sesiones se cortan: `run` guarda un punto de control al final de cada época. Desenchufamos en el paso 6
# y volvemos a llamar: la curva tiene que ser la misma. Si lo pedimos otra vez, se carga: nada se entrena dos veces.

# %% [markdown] lang="en"
# ## With `run`, the same
#
# `run` takes the experiment and returns its result. On a CPU the losses agree to the last digit; on a GPU, except for
# rounding. They need not fall, because the steps are very few.
#
# And in Colab, sessions get cut off: `run` saves a checkpoint at the end of each epoch. We pull the plug at step 6 and
# call again: the curve has to be the same. If we ask once more, it is loaded: nothing is trained twice.

# %%
import shutil

from transformers import TrainerCallback


class PullThePlug(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):  # after each step
        if state.global_step == 6:
            raise KeyboardInterrupt


def agree(ours, theirs, tolerance):
    pairs = zip(ours, theirs, strict=True)
    return all(abs(one - other) <= tolerance for one, other in pairs)


shutil.rmtree(run_folder(small), ignore_errors=True)
try:
    run(small, callbacks=(PullThePlug(),))
except KeyboardInterrupt:
    print("\nKeyboardInterrupt")
result = run(small)
exact = 0 if detect().kind == "cpu" else 1e-3
assert agree(by_trainer, result.loss_by_step, exact)
assert run(small) == result
list(zip(by_trainer, result.loss_by_step, strict=True))

# %% [markdown] lang="es"
# ## Ahora de verdad, y con la tasa de otro
#
# Entrenamos LoRA y el *fine-tuning* completo (en adelante, «el completo») con todos los datos del perfil, cada uno con
# su tasa. ¿Por qué no usar la misma para los dos? Parece lo justo. **Hazlo mal a propósito:** intercambiamos las tasas,
# y así vemos los dos métodos con la baja y los dos con la alta. ¿Qué exactitud en **validación** tendrá cada uno?

# %% [markdown] lang="en"
# ## Now for real, and at the other's rate
#
# We train LoRA and full fine-tuning on all the profile's data, each at its own rate. Why not use the same one for both?
# It looks fair. **Break it:** we swap the rates, and so see both methods at the low one and both at the high. What
# **validation** accuracy will each have?

# %% tags=["nbval-check-output"]
low, high = profile.learning_rates["full"], profile.learning_rates["lora"]
print(scientific(low), "↔", scientific(high))
guess_lora = predict("lora_low_rate", None)
guess_full = predict("full_high_rate", None)

# %%
from loralab.show import accuracy_against_rate, loss_curves, samples_table, who_is_right

by_lora, full = run(experiment), run(profile.experiment("full"))
lora_low = run(profile.experiment("lora", learning_rate=low))
full_high = run(profile.experiment("full", learning_rate=high))
loss_curves([full, by_lora])


# %%
def filled_in(wrong, own):
    """What the two messages are filled in with."""
    last = wrong.epochs[-1]
    numbers = {"loss": number(last["loss"], 3), "mcc": number(last["mcc"], 2)}
    numbers |= {"classes": classes, "ln": number(math.log(classes), 3)}
    return numbers | {"own": percent(own.epochs[-1]["accuracy"])}


guess_lora.compare(
    100 * lora_low.epochs[-1]["accuracy"], **filled_in(lora_low, by_lora)
)
guess_full.compare(100 * full_high.epochs[-1]["accuracy"], **filled_in(full_high, full))
accuracy_against_rate([full, full_high, by_lora, lora_low])

# %% [markdown] lang="es"
# Quien compare los dos métodos con una sola tasa elige al ganador al elegir la tasa. La solución es buscar la de cada
# uno, con el mismo esfuerzo y **en validación**. Las del perfil `cpu` se buscaron así (`profiles.toml`). La nota de
# validación es de otras frases, y menos: no tiene por qué ser la del test. En otros modelos se ha visto que la de LoRA
# es unas diez veces la del completo ([Schulman et al., 2025](https://thinkingmachines.ai/blog/lora/)).
#
# ## La suerte del entrenamiento
#
# La semilla decide los números al azar de la cabeza y de $A$, el orden de los lotes y el *dropout*. Entrenamos LoRA con
# todas las semillas del perfil. ¿En qué porcentaje de las frases del test darán respuestas distintas las dos primeras?

# %% [markdown] lang="en"
# Whoever compares the two methods at one rate chooses the winner by choosing the rate. The fix is to search for each
# one's own, with equal effort and **on validation**. Those of the `cpu` profile were found like this (`profiles.toml`).
# The validation score is of other sentences, and fewer: it need not be that of the test. In other models LoRA's has
# been found to be about ten times that of full fine-tuning ([Schulman et al.,
# 2025](https://thinkingmachines.ai/blog/lora/)).
#
# ## Training luck
#
# The seed decides the random numbers of the head and of $A$, the order of the batches and the dropout. We train LoRA
# with all the profile's seeds. On what percentage of the test sentences will the first two give different answers?

# %%
guess_seeds = predict("seed_disagreement", None)

# %%
seeds = [run(experiment.but(seed=seed)) for seed in profile.seeds]
scores = [result.test["accuracy"] for result in seeds]
print(" · ".join(percent(value) for value in scores))
picture = None
if len(seeds) == 1:
    print(message("one_seed_only"))
else:
    first, second = seeds[:2]
    pairs = zip(first.predictions, second.predictions, strict=True)
    apart = sum(a != b for a, b in pairs) / len(first.labels)
    named = {"first": percent(scores[0]), "second": percent(scores[1])}
    guess_seeds.compare(100 * apart, **named)
    names = [f"{message('seed')} {r.experiment.seed}" for r in (first, second)]
    picture = who_is_right(first, second, names)
picture

# %% [markdown] lang="es"
# Dos notas casi iguales pueden esconder dos modelos que se equivocan en sitios distintos.
#
# ## La otra tarea: un modelo que escribe
#
# Se entrena igual, con `Trainer`: cambian la base, el *collator* y la tarea. Comprobamos con unos pocos pares que `run`
# da lo mismo, salvo redondeo. Luego, el experimento entero y dos referencias sin entrenar: la base tal cual y con tres
# preguntas contestadas delante (*few-shot*). Su pérdida es por *token* de respuesta, y la **perplejidad** es su
# exponencial: entre cuántos *tokens* igual de probables duda el modelo, de media. ¿Cuánto valdrá en la base? ¿Y después
# de entrenar con LoRA?

# %% [markdown] lang="en"
# Two scores that are almost equal can hide two models that err in different places.
#
# ## The other task: a model that writes
#
# It is trained the same way, with `Trainer`: the base, the collator and the task differ. We check on a few pairs that
# `run` gives the same, except for rounding. Then the whole experiment, and two references without training: the base as
# it is, and with three answered questions in front (*few-shot*). Its loss is per token of the answer, and
# **perplexity** is its exponential: how many equally likely tokens the model hesitates between, on average. How much
# will it be for the base? And after training with LoRA?

# %%
guess_base = predict("base_perplexity", None)
guess_persona = predict("lora_perplexity", None)

# %%
from transformers import DataCollatorForSeq2Seq, set_seed

persona = profile.generation
chosen = persona.experiment("lora")
pairs = {"train_size": 4 * chosen.batch_size, "validation_size": 1, "test_size": 1}
few = chosen.but(**pairs, **plain | {"epochs": 1}, weights="fp32", examined=False)
chat = load_tokenizer(few.model)
talk = encode_pairs(load_splits(few).train, chat, few.max_length).dataset
set_seed(few.seed)  # A is random
writer = lora(few, task_type="CAUSAL_LM")
by_trainer = losses(writer, few, talk, DataCollatorForSeq2Seq(chat))
assert agree(by_trainer, run(few).loss_by_step, 1e-3)

# %%
base, shots = run(persona.experiment("base")), run(persona.experiment("few-shot"))
spoken = run(chosen)
before, after = base.test["perplexity"], spoken.test["perplexity"]
assert math.isclose(after, math.exp(spoken.test["loss"]))
guess_base.compare(before, vocabulary=number(len(chat), 0))
told = {"base": number(before, 1), "shots": number(shots.test["perplexity"], 1)}
guess_persona.compare(after, **told, fall=percent(1 - after / before, 0))

# %% [markdown] lang="es"
# La perplejidad no dice si la respuesta es buena: para eso hay que leer. El *few-shot* no entrena nada, y es lo primero
# que habría que probar. Al lado, el adaptador publicado con el curso, que estudió 448 pares dos veces, sobre SmolLM2,
# en cualquier perfil. (Si tu base es otra, su pérdida no se puede comparar con las demás: los *tokens* son otros.) Sus
# respuestas van dos veces: eligiendo siempre el *token* más probable (**decodificación voraz**, *greedy*), y
# penalizando además los *tokens* que ya han aparecido, también en la pregunta (`repetition_penalty=1.2`).

# %% [markdown] lang="en"
# Perplexity does not tell whether an answer is good: for that one has to read. *Few-shot* trains nothing, and is the
# first thing that one should try. Beside them, the adapter published with the course, which studied 448 pairs twice, on
# SmolLM2, in any profile. (If your base is another, its loss cannot be compared with the others: the tokens differ.)
# Its answers come twice: always taking the most likely token (**greedy decoding**), and penalising besides tokens that
# have appeared already, in the question too (`repetition_penalty=1.2`).

# %%
from importlib.resources import files

import pandas as pd
from peft import PeftModel

from loralab.train.generation import answer_losses, generate

quixote = load_language_model("smollm2-135m")
adapter = files("loralab_data") / "adapters" / "quixote"
quixote = PeftModel.from_pretrained(quixote, adapter).to(detect().kind)
its_chat = load_tokenizer("smollm2-135m")
questions = load_splits(chosen).test
asked = encode_pairs(questions, its_chat, None)
nats, tokens = answer_losses(quixote, its_chat, asked).sum(axis=0)

shown, length = questions.head(4), chosen.max_new_tokens
table = samples_table([base, shots, spoken], 4)
for penalty in (1.0, 1.2):
    table[f"quixote, {penalty}"] = generate(
        quixote, its_chat, shown, max_new_tokens=length, repetition_penalty=penalty
    )
pd.set_option("display.max_colwidth", None)
loss = {r.experiment.method: round(r.test["loss"], 2) for r in (base, spoken)}
print(loss | {"quixote": round(float(nats / tokens), 2)})
table

# %% [markdown] lang="es"
# Las dos últimas columnas son del mismo modelo, con la misma pérdida, y no se leen igual: la pérdida no ve cómo se
# elige lo que se escribe.
#
# ## Fuera del curso
#
# El adaptador no necesita este paquete. Estas líneas lo cargan sobre la base y clasifican lo que escribas en `my_text`.
# Después comparamos 32 respuestas con las del examen.

# %% [markdown] lang="en"
# The last two columns are of one model, with one loss, and do not read alike: the loss does not see how what is written
# is chosen.
#
# ## Outside the course
#
# The adapter does not need this package. These lines load it onto the base and classify what you write in `my_text`.
# Then we compare 32 answers with those of the exam.

# %%
import transformers
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

folder = run_folder(experiment) / "adapter"
test = load_splits(experiment).test
columns = [name for name in ("text", "text_pair") if name in test]
my_text = test["text"].iloc[0]  # or one of yours, in quotes

transformers.logging.set_verbosity_error()
config = AutoConfig.from_pretrained(folder)
loaded = AutoModelForSequenceClassification.from_pretrained(ENCODER, config=config)
loaded = PeftModel.from_pretrained(loaded, folder).eval()
words = AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def shares(*texts):
    limit = {"truncation": True, "max_length": experiment.max_length}
    batch = words(*texts, padding=True, return_tensors="pt", **limit)
    return loaded(**batch).logits.softmax(dim=1)


print(my_text)
for label, share in enumerate(shares([my_text])[0].tolist()):
    print(f"{config.id2label[label]}: {percent(share)}")
again = shares(*(list(test[name].head(32)) for name in columns)).argmax(dim=1).tolist()
differing = sum(a != b for a, b in zip(again, by_lora.predictions[:32], strict=True))
assert differing <= (0 if detect().kind == "cpu" else 1)

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - La pérdida empieza donde la pone una cabeza que no sabe nada; `run` da las mismas pérdidas que `Trainer`, también si
#   se interrumpe.
# - Cada método pide su propia tasa, y se elige en validación.
# - En una nota influyen dos suertes: la del examen y la del entrenamiento.
# - Cuánto cambia la perplejidad lo dice la celda; que la respuesta sea buena solo se ve leyendo.
#
# Siguiente lección: ¿importa el rango?

# %% [markdown] lang="en"
# ## What you may now claim, and on what evidence
#
# - The loss starts where a head that knows nothing puts it; `run` gives the same losses as `Trainer`, even when
#   interrupted.
# - Each method asks for a rate of its own, and it is chosen on validation.
# - A score holds two kinds of luck: exam luck and training luck.
# - The cell says how far the perplexity changes; only reading shows whether an answer is good.
#
# Next lesson: does the rank matter?

# %% [markdown] lang="es"
# ## Ejercicios
#
# Escribe tu respuesta en lugar de `...` o de `None` y ejecuta la celda: `check` te dice si es correcta y, si no, qué
# error has cometido. Antes de calcular, predice. Las soluciones están en `notebooks/source`, junto a cada ejercicio;
# `make solutions` las pone en cuadernos. Los que entrenan dicen cuántos entrenamientos son; `run` carga los ya hechos.

# %% [markdown] lang="en"
# ## Exercises
#
# Write your answer in place of `...` or `None` and run the cell: `check` tells you whether it is right and, if not,
# which mistake you have made. Before you compute, predict. The solutions are in `notebooks/source`, beside each
# exercise; `make solutions` puts them into notebooks. Those that train say how many runs it takes; `run` loads the ones
# already done.

# %% [markdown] lang="es"
# ### Tres clases
#
# A dos clases, «favorable» y «desfavorable», les añades una tercera: «ni una cosa ni la otra». La base es la misma, con
# una cabeza nueva de tres salidas. ¿Cuánto valdrá, más o menos, la pérdida antes del primer paso, en nats?
#
# **Predice.** ¿Será mayor o menor que con dos clases?

# %% [markdown] lang="en"
# ### Three classes
#
# To two classes, “favourable” and “unfavourable”, you add a third: “neither”. The base is the same, with a fresh head
# of three outputs. About how large will the loss be before the first step, in nats?
#
# **Predict.** Larger or smaller than with two classes?

# %% exercise="first_loss_three"
import math

from loralab import check

loss = None
### BEGIN SOLUTION
loss = math.log(3)
### END SOLUTION

check("first_loss_three", loss)

# %% [markdown] lang="es"
# ### RoBERTa, sin descargarla
#
# `roberta-base` tiene 12 bloques, y sus matrices de consulta y de valor son de 768 × 768. Vas a poner LoRA en las dos,
# con $r = 16$. Calcula con la fórmula de la lección 3 cuántos parámetros añade a una matriz (`matrix`), a un bloque
# (`block`) y al modelo entero (`adapter`), sin la cabeza. Después cuéntalos (`counted`): pon LoRA en `model` con
# `get_peft_model` y suma los parámetros que llevan `lora_` en el nombre. La celda crea el modelo a partir de su
# configuración en el dispositivo `meta`, que apunta los tamaños y no guarda ningún peso.
#
# **Predice.** ¿Qué tendrá más parámetros, el adaptador o la cabeza, que en RoBERTa tiene dos capas?

# %% [markdown] lang="en"
# ### RoBERTa, without downloading it
#
# `roberta-base` has 12 blocks, and its query and value matrices are 768 × 768. You are going to put LoRA on both, with
# $r = 16$. Work out with lesson 3's formula how many parameters it adds to one matrix (`matrix`), to a block (`block`)
# and to the whole model (`adapter`), without the head. Then count them (`counted`): put LoRA on `model` with
# `get_peft_model` and add up the parameters with `lora_` in their name. The cell makes the model from its configuration
# on the `meta` device, which records sizes and keeps no weights.
#
# **Predict.** Which will have more parameters, the adapter or the head, which in RoBERTa has two layers?

# %% exercise="roberta_adapter"
import peft
import torch
from transformers import RobertaConfig, RobertaForSequenceClassification

from loralab import check

with torch.device("meta"):
    model = RobertaForSequenceClassification(RobertaConfig(num_labels=2))

matrix = block = adapter = None  # by the formula
counted = None  # in peft's model
### BEGIN SOLUTION
matrix = 16 * (768 + 768)
block = 2 * matrix
adapter = 12 * block
modules = ["query", "value"]
config = peft.LoraConfig(task_type="SEQ_CLS", r=16, target_modules=modules)
with torch.device("meta"):
    tuned = peft.get_peft_model(model, config)
counted = sum(p.numel() for name, p in tuned.named_parameters() if "lora_" in name)
### END SOLUTION

check("roberta_adapter", matrix, block, adapter, counted)

# %% [markdown] lang="es"
# ### Otro modelo
#
# ¿Sirve la misma receta para otro modelo? Entrena LoRA en cada uno de los de `MODELS`, con todo lo demás como en el
# perfil: los mismos datos, el mismo rango, la misma tasa, la misma semilla. Guarda en `results` el resultado de cada
# modelo, y en `adapters` los parámetros de su adaptador según la fórmula, sin la cabeza. MiniLM tiene 6 bloques de 384;
# `bert-base-uncased` y `roberta-base`, 12 de 768. LoRA va en consulta y valor; cómo se llaman en cada arquitectura lo
# sabe `run`.
#
# Sin conexión, deja `MODELS` como está: en el perfil `cpu` es el entrenamiento de la lección, y `run` lo carga. Con
# conexión, y mejor con una GPU, pon `MODELS = ["bert-base-uncased", "roberta-base"]`: un entrenamiento por modelo. Ten
# cuidado con lo que concluyes: la tasa es la del modelo del perfil, y puede no convenir a los otros.
#
# **Predice.** BERT tiene casi cinco veces los parámetros de MiniLM. ¿Será también casi cinco veces mayor su adaptador?
# ¿Y cuántos puntos más sacará?

# %% [markdown] lang="en"
# ### Another model
#
# Does the same recipe do for another model? Train LoRA on each of `MODELS`, with everything else as in the profile: the
# same data, the same rank, the same rate, the same seed. Put each model's result into `results`, and the parameters of
# its adapter by the formula, without the head, into `adapters`. MiniLM has 6 blocks of 384; `bert-base-uncased` and
# `roberta-base`, 12 of 768. LoRA goes on query and value; what they are called in each architecture, `run` knows.
#
# Offline, leave `MODELS` as it is: in the `cpu` profile it is the lesson's run, and `run` loads it. Online, and better
# with a GPU, set `MODELS = ["bert-base-uncased", "roberta-base"]`: one run for each model. Be careful what you
# conclude: the rate is that of the profile's model, and may not suit the others.
#
# **Predict.** BERT has almost five times as many parameters as MiniLM. Will its adapter be almost five times as large,
# too? And how many points more will it score?

# %% exercise="another_model"
from loralab import check, run

MODELS = ["minilm-l6"]  # online: ["bert-base-uncased", "roberta-base"]
adapters = None  # {model: parameters of its adapter, by the formula}
results = None  # {model: its result}
### BEGIN SOLUTION
shapes = {"minilm-l6": (6, 384)}  # blocks, width
shapes |= dict.fromkeys(["bert-base-uncased", "roberta-base"], (12, 768))
adapters, results = {}, {}
for name in MODELS:
    chosen = profile.experiment("lora", model=name)
    blocks, width = shapes[name]
    adapters[name] = blocks * 2 * chosen.rank * (width + width)
    results[name] = run(chosen)
### END SOLUTION

check("another_model", profile, MODELS, adapters, results)

# %% [markdown] lang="es"
# ### Dos textos en una fila
#
# Hay tareas en las que cada ejemplo son dos textos: ¿dicen lo mismo?, ¿se deduce uno del otro? Escribe `encode_pair`,
# que recibe un tokenizador y los dos textos y devuelve los `input_ids` de la única fila que leerá el modelo. `check` la
# prueba con dos tokenizadores pequeños, uno que separa los textos como BERT y otro que los separa como RoBERTa, y no lo
# hacen igual.
#
# **Predice.** Si unes los dos textos con un espacio, ¿qué deja de saber el modelo?

# %% [markdown] lang="en"
# ### Two texts in a row
#
# There are tasks in which each example is two texts: do they say the same? does one follow from the other? Write
# `encode_pair`, which takes a tokenizer and the two texts and returns the `input_ids` of the one row that the model
# will read. `check` tries it with two small tokenizers, one that sets texts apart as BERT does and one that does so as
# RoBERTa does, and they do not do it alike.
#
# **Predict.** If you join the two texts with a space, what does the model no longer know?

# %% exercise="pair_encoding"
from loralab import check


def encode_pair(tokenizer, first, second):
    """The ids, with their special tokens, of one row that holds both texts."""
    ### BEGIN SOLUTION
    return tokenizer(first, second)["input_ids"]
    ### END SOLUTION


check("pair_encoding", encode_pair)

# %% [markdown] lang="es"
# ### Tres tareas, cada una con su medida
#
# GLUE ([Wang et al., 2019](https://arxiv.org/abs/1804.07461)) reúne tareas de clasificación y fija cómo se mide cada
# una. `sst2` (¿es favorable esta crítica?) se mide con la exactitud; `mrpc` (¿dicen lo mismo estas dos frases?), con
# F1; `cola` (¿es gramatical esta frase?), con MCC. Sin conexión las sustituyen tres conjuntos de datos del curso, con
# las mismas medidas y en el mismo orden: `amazon-reviews`; `film-pairs` (¿es más favorable la primera crítica que la
# segunda?); y `tweets`, en los que abundan los favorables. Con conexión, pon `DATASETS = ["sst2", "mrpc", "cola"]`.
#
# Para cada uno, con los tamaños de `SPLIT_SIZES` y lo demás como en el perfil, entrena LoRA y examina también la clase
# mayoritaria (el método `majority`). En `results` van los dos resultados, primero el de LoRA. En `table`, tres valores:
# el nombre de la medida, que da `metric_of`; la nota de LoRA en test, y la de la clase mayoritaria, ambas con esa
# medida y sin pasarlas a porcentaje. Son tres entrenamientos.
#
# GLUE no publica las etiquetas de su test: todas valen −1. Por eso el curso examina con la validación de GLUE, y aparta
# su propia validación de los datos de entrenamiento.
#
# **Predice.** ¿En cuál de las tres sacará mejor nota la clase mayoritaria, que no lee nada? ¿Y en cuál no puede sacar
# más que un cero?

# %% [markdown] lang="en"
# ### Three tasks, each with its own measure
#
# GLUE ([Wang et al., 2019](https://arxiv.org/abs/1804.07461)) gathers classification tasks and fixes how each is
# measured. `sst2` (is this review favourable?) is measured by accuracy; `mrpc` (do these two sentences say the same?),
# by F1; `cola` (is this sentence grammatical?), by MCC. Offline, three data sets of the course stand in for them, with
# the same measures and in the same order: `amazon-reviews`; `film-pairs` (is the first review more favourable than the
# second?); and `tweets`, most of which are favourable. Online, set `DATASETS = ["sst2", "mrpc", "cola"]`.
#
# For each, with the sizes in `SPLIT_SIZES` and the rest as in the profile, train LoRA and examine the majority class
# too (the method `majority`). Both results go into `results`, LoRA's first. Into `table` go three values: the name of
# the measure, which `metric_of` gives; LoRA's score on the test; and that of the majority class, both by that measure
# and not turned into percentages. It takes three runs.
#
# GLUE does not publish its test labels: all of them are −1. So the course examines on GLUE's validation split, and
# takes its own from the training data.
#
# **Predict.** In which of the three will the majority class, which reads nothing, score best? And in which can it score
# no more than zero?

# %% exercise="glue_study"
from loralab import check, run
from loralab.lessons import metric_of

DATASETS = ["amazon-reviews", "film-pairs", "tweets"]
SPLIT_SIZES = {"train_size": 1000, "validation_size": 200, "test_size": 300}
if profile.settings["test_size"] < 100:  # a profile for tests, or few rows
    SPLIT_SIZES = {"train_size": 64, "validation_size": 32, "test_size": 64}

results = None  # {dataset: (LoRA's result, the majority's)}
table = None  # {dataset: (measure, LoRA's score, the majority's)}
### BEGIN SOLUTION
results, table = {}, {}
for name in DATASETS:
    methods = ("lora", "majority")
    both = [run(profile.experiment(m, dataset=name, **SPLIT_SIZES)) for m in methods]
    measure = metric_of(name)
    results[name] = both
    table[name] = (measure, *(result.test[measure] for result in both))
### END SOLUTION

check("glue_study", profile, SPLIT_SIZES, DATASETS, results, table)
