# %% [markdown] lang="es"
# # 8 · Las pruebas
#
# **Pregunta.** ¿Por qué habría que creer lo que dicen las demás lecciones?
#
# Esta lección es opcional: es para quien duda. Cada apartado empieza por una duda y termina con lo que se puede decir.

# %% [markdown] lang="en"
# # 8 · The evidence
#
# **Question.** Why should one believe what the other lessons say?
#
# This lesson is optional: it is for those who doubt. Each section opens with a doubt and ends with what may be said.

# %%
from loralab import hand_over, start

LANGUAGE = "es"
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)

# %% [markdown] lang="es"
# ## «Esa nota ha sido suerte»
#
# Imagina un modelo que acierta de verdad el 83 % de las frases. Lo examinamos 1000 veces, cada vez con 2000 frases
# nuevas. El modelo no cambia; la nota sí. Quitamos el 2,5 % de los exámenes con peor nota y el 2,5 % con mejor. ¿A
# cuántos puntos de 83 llegan, como mucho, los demás? (Un punto: de 83 % a 84 %.)

# %% [markdown] lang="en"
# ## “That score was luck”
#
# Imagine a model that truly gets 83% of all sentences right. We examine it 1,000 times, each time on 2,000 new
# sentences. The model does not change; the score does. We take away the 2.5% of exams with the worst score and the 2.5%
# with the best. How many points from 83 do the others reach at most? (One point: from 83% to 84%.)

# %%
from loralab import predict

guess_width = predict("exam_half_width", None)

# %%
import numpy as np

from loralab.lessons import exam_luck

true_accuracy, questions = 0.83, 2000
exams = np.random.default_rng(0).binomial(questions, true_accuracy, 1000) / questions
exam_luck(exams, true_accuracy, questions)

# %% [markdown] lang="es"
# (`binomial` cuenta los aciertos de un examen en el que cada frase se acierta con esa probabilidad; `quantile` da la
# nota que deja por debajo esa parte de los exámenes.) No hace falta simular. Una frase vale 1, con probabilidad $p$, o
# 0: su desviación típica es $\sqrt{p(1-p)}$. La media de $n$ frases se desvía $\sqrt{n}$ veces menos. Y en una campana
# de Gauss el 95 % queda a menos de 1,96 desviaciones del centro. En total, $1{,}96\sqrt{p(1-p)/n}$. La simulación lo
# confirma.

# %% [markdown] lang="en"
# (`binomial` counts the hits of an exam in which each sentence is got right with that probability; `quantile` gives the
# score below which that share of the exams lies.) There is no need to simulate. A sentence counts 1, with probability
# $p$, or 0: its standard deviation is $\sqrt{p(1-p)}$. The mean of $n$ sentences deviates $\sqrt{n}$ times less. And in
# a bell curve 95% lies within 1.96 deviations of the centre. In all, $1.96\sqrt{p(1-p)/n}$. The simulation agrees.

# %% tags=["nbval-check-output"]
from loralab.show import half_width

low, high = np.quantile(exams, [0.025, 0.975])
formula = half_width(true_accuracy, questions)
assert abs((high - low) / 2 - formula) < 0.001
guess_width.compare(100 * formula)

# %% [markdown] lang="es"
# Se puede decir: ese es el ± de las tablas del curso, lo que cambiaría la nota con otras frases del mismo tipo. No dice
# lo que cambiaría con otro entrenamiento, que es otra suerte.

# %% [markdown] lang="en"
# One may say: that is the ± in the course's tables, how much the score would change with other sentences of the same
# kind. It does not say how much it would change with another training run, which is another kind of luck.

# %% [markdown] lang="es"
# ## «La receta original también servía»
#
# El cuaderno del que nació este curso rellenaba cada fila hasta 512 *tokens* y copiaba la entrada entera como etiqueta:
# entrenaba también con la pregunta y con el relleno. Es el experimento `original` del perfil. (El perfil `smoke` rellena
# menos, para que no tarde.) Contamos los *tokens* de un lote: los que se calculan, los que se juzgan y los que son
# respuesta.

# %% [markdown] lang="en"
# ## “The original recipe would do as well”
#
# The notebook that this course grew out of padded each row to 512 tokens and copied the whole input as labels: it
# trained on the question and on the padding too. It is the profile's experiment `original`. (The `smoke` profile pads
# less, to be quick.) We count the tokens of a batch: those computed, those judged, and those that are the answer.

# %%
import pandas as pd

from loralab import detect, load_splits, message, number, run
from loralab.train import IGNORED, PairCollator, encode_pairs, load_tokenizer

persona = profile.generation.experiment("lora")
original = profile.generation.variant("original")
chat = load_tokenizer(persona.model)
dialogues = encode_pairs(load_splits(persona).train, chat, persona.max_length)
some = [dialogues.dataset[int(i)] for i in np.argsort(dialogues.lengths)[:4]]
counts = {}
for recipe, pad_to in ((original, original.max_length), (persona, None)):
    batch = PairCollator(chat, recipe.loss_on, pad_to)(some)
    counts[f"{recipe.padding}, {recipe.loss_on}"] = [
        batch["input_ids"].numel(),
        (batch["labels"] != IGNORED).sum().item(),
        sum(label != IGNORED for row in some for label in row["labels"]),
    ]
columns = ("tokens_computed", "tokens_judged", "tokens_of_answers")
pd.DataFrame(counts, index=[message(name) for name in columns]).T

# %% [markdown] lang="es"
# Se puede decir: la primera fila paga por *tokens* que no dicen nada y, además, le pide al modelo que los escriba. Su
# pérdida puede bajar solo con eso, sin que mejore ninguna respuesta.

# %% [markdown] lang="en"
# One may say: the first row pays for tokens that say nothing and, besides, asks the model to write them. Its loss can
# fall through that alone, with no answer any better.

# %% [markdown] lang="es"
# El experimento `original` rellena todo hasta su `max_length` y entrena con todo. ¿Por cuánto se multiplica el tiempo
# de un paso, con los mismos ejemplos? Medimos por turnos la pasada hacia delante y hacia atrás de dos ejemplos, sin el
# optimizador. Las demás diferencias están en la tabla. Solo hemos medido dos: esta y los *tokens* que se juzgan
# (lección 2). De su tasa, su *dropout* y sus épocas no afirmamos nada.

# %% [markdown] lang="en"
# The experiment `original` pads everything to its `max_length` and trains on everything. How many times as long as a
# step of ours will one of its steps take, on the same examples? We time in turns the forward and backward pass of two
# examples, without the optimizer. The other differences are in the table. We have measured only two: this one and the
# tokens judged (lesson 2). About its rate, its dropout and its epochs we claim nothing.

# %%
guess_cost = predict("original_cost", None)

# %%
import time

import torch
from accelerate.utils import send_to_device

from loralab.train import apply_method, load_for, objective_of

limit = min(persona.max_length or original.max_length, original.max_length)
talk = encode_pairs(load_splits(persona).train.head(2), chat, limit)
racer = apply_method(load_for(persona), persona).to(detect().kind)


def step(recipe):
    """Seconds of one forward and backward pass, and the tokens computed in it."""
    objective = objective_of(recipe)
    batch = objective.collator(recipe, chat)(list(talk.dataset))
    batch = send_to_device(batch, detect().kind)
    labels, started = batch.pop("labels"), time.perf_counter()
    objective.loss(racer(**batch), labels, labels.numel()).backward()
    if detect().kind == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, batch["input_ids"].numel()


step(persona)  # the first sets things up: not timed
turns = [(step(original), step(persona)) for _ in range(3)]
slower = sorted(theirs[0] / ours[0] for theirs, ours in turns)
guess_cost.compare(slower[1], tokens=number(turns[0][0][1] / turns[0][1][1], 1))
ours, theirs = persona.identity(), original.identity()
fields = [name for name in ours if ours[name] != theirs[name]]
recipes = {"original": theirs, "lora": ours}
pd.DataFrame(recipes).loc[fields].astype(str)

# %% [markdown] lang="es"
# ## «La pérdida depende de cómo se formen los lotes»
#
# Dos respuestas: una de 2 *tokens*, con pérdida media 4,0, y otra de 20, con pérdida
# media 1,0. La media por filas es 2,5; la media por *tokens*, 1,27. ¿Cuál es la pérdida? La segunda: si no, una
# respuesta corta pesaría como una larga, y el resultado dependería de cómo se formen los lotes. Con acumulación pasa lo
# mismo, y por eso `run` divide entre los *tokens* del paso entero. La celda hace las dos medias con el test: por filas
# y, tras la flecha, por *tokens*, que es la de la tabla.

# %% [markdown] lang="en"
# ## “The loss depends on how batches are made”
#
# Two answers: one of 2 tokens, with mean loss 4.0, and one of 20, with mean loss 1.0.
# The mean over rows is 2.5; the mean over tokens, 1.27. Which is the loss? The second: otherwise a short answer would
# weigh as much as a long one, and the result would depend on how batches are made. The same happens with accumulation,
# and so `run` divides by the tokens of the whole step. The cell takes both means on the test: over rows and, after the
# arrow, over tokens, which is the one in the table.

# %%
import math

spoken = run(persona)
nats, tokens = pd.Series(spoken.answer_nats), pd.Series(spoken.answer_tokens)
assert round((2 * 4 + 20 * 1) / 22, 2) == 1.27
assert math.isclose(nats.sum() / tokens.sum(), spoken.test["loss"])
print(number((nats / tokens).mean(), 3), "→", number(nats.sum() / tokens.sum(), 3))

# %% [markdown] lang="es"
# ## «Si hubiera un fallo, saldría un error»
#
# Tres fallos que no avisan, con el clasificador.
#
# **1. Las métricas desaparecen.** `Trainer` averigua cómo se llaman las etiquetas leyendo la firma de `forward`. En un
# `PeftModel` mira dentro; si lo envuelves tú, no mira, y no calcula ni pérdida ni métricas. Nadie avisa. El arreglo:
# decirlo con `label_names`.

# %% [markdown] lang="en"
# ## “If something failed, there would be an error”
#
# Three failures that give no warning, with the classifier.
#
# **1. The metrics vanish.** `Trainer` finds out what the labels are called by reading the signature of `forward`. In a
# `PeftModel` it looks inside; if you wrap the model yourself it does not, and then it computes neither loss nor
# metrics. Nobody says so. The fix: name them with `label_names`.

# %%
import tempfile

from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import (
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from loralab.data import label_names
from loralab.train import encode, head_modules, target_modules

experiment = profile.experiment("lora")
rows = max(32, len(label_names(experiment.dataset)))
sizes = {"train_size": 2 * rows, "validation_size": rows, "test_size": rows}
small = experiment.but(**sizes, epochs=2, precision="fp32")
tokenizer = load_tokenizer(small.model)
splits = load_splits(small)
train = encode(splits.train, tokenizer, small.max_length)
validation = encode(splits.validation, tokenizer, small.max_length)
collate = DataCollatorWithPadding(tokenizer)


def lora_model():
    base = load_for(small)
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=small.rank,
        lora_alpha=small.alpha,
        target_modules=target_modules(base, small.target_modules),
        modules_to_save=head_modules(base),
    )
    return get_peft_model(base, config)


def arguments(**changes):
    settings = {
        "output_dir": tempfile.mkdtemp(),
        "learning_rate": small.learning_rate,
        "seed": small.seed,
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": detect().kind == "cpu",
    }
    return TrainingArguments(**settings | changes)


# %%
class Wrapped(nn.Module):
    """A PeftModel in a wrapper, as one writes it to log something, say."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, **inputs):
        return self.model(**inputs)


def accuracy(output):
    right = output.predictions.argmax(axis=1) == output.label_ids
    return {"accuracy": right.mean()}


def measured(model, **changes):
    trainer = Trainer(
        model=model,
        args=arguments(**changes),
        eval_dataset=validation.dataset,
        data_collator=collate,
        compute_metrics=accuracy,
    )
    trainer.remove_callback(PrinterCallback)
    scores = trainer.evaluate()
    return sorted(set(scores) & {"eval_loss", "eval_accuracy"})


# %%
print("PeftModel           ", measured(lora_model()))
keep = {"remove_unused_columns": False}  # the wrapper's signature names no column
print("Wrapped             ", measured(Wrapped(lora_model()), **keep))
named = measured(Wrapped(lora_model()), label_names=["labels"], **keep)
print("Wrapped, label_names", named)
assert measured(Wrapped(lora_model()), **keep) == []
assert named == ["eval_accuracy", "eval_loss"]

# %% [markdown] lang="es"
# **2. La acumulación multiplica el gradiente.** Si un lote de 16 no cabe en memoria, se procesan 4 de 4 y se
# **acumulan** sus gradientes: el paso debería ser el mismo. Con un clasificador no lo es. `Trainer` cree que el modelo
# divide la pérdida entre los ejemplos de los 4 lotes, y el modelo no lo hace; el gradiente sale 4 veces mayor. AdamW lo
# disimula, porque divide cada gradiente por su tamaño habitual; pero `Trainer` recorta los gradientes grandes
# (`max_grad_norm`), y con un optimizador más sencillo el paso sería 4 veces mayor. Medimos su norma (la raíz de la suma
# de los cuadrados) en el primer paso, sin *dropout*, que no dejaría comparar.

# %% [markdown] lang="en"
# **2. Accumulation multiplies the gradient.** If a batch of 16 does not fit into memory, one processes 4 of 4 and
# **accumulates** their gradients: the step should be the same. With a classifier it is not. `Trainer` believes that the
# model divides the loss by the examples of all 4 batches, and the model does not; the gradient comes out 4 times too
# large. AdamW hides it, because it divides each gradient by its usual size; but `Trainer` clips large gradients
# (`max_grad_norm`), and with a simpler optimizer the step would be 4 times too large. We measure its norm (the root of
# the sum of squares) at the first step, without dropout, which would spoil the comparison.


# %%
def gradient_norm(batch_size, steps, mend=False):
    model = lora_model()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    settings = arguments(
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=steps,
        max_steps=1,
    )
    trainer = Trainer(
        model=model,
        args=settings,
        train_dataset=train.dataset.select(range(16)),
        data_collator=collate,
    )
    trainer.remove_callback(PrinterCallback)
    if mend:
        trainer.model_accepts_loss_kwargs = False
    trainer.train()
    return trainer.state.log_history[0]["grad_norm"]


one_batch = gradient_norm(16, 1)
accumulated, mended = gradient_norm(4, 4), gradient_norm(4, 4, mend=True)
print(
    "4 × 4 / 16:", round(accumulated / one_batch, 4), "→", round(mended / one_batch, 4)
)
assert abs(accumulated / one_batch - 4) < 0.01
assert abs(mended / one_batch - 1) < 0.01

# %% [markdown] lang="es"
# Una línea lo arregla: decirle a `Trainer` que el modelo no divide (`model_accepts_loss_kwargs = False`). El paquete
# calcula su propia pérdida, ya dividida, y así acierta también con lotes desiguales.
#
# **3. Pesos en media precisión.** En una GPU se entrena más deprisa con números de 16 bits. La tentación es convertir
# el modelo entero a `float16`. Justo por debajo de 1, entre un `float16` y el siguiente hay casi media milésima: un
# paso de menos de la mitad de eso no mueve el peso.

# %% [markdown] lang="en"
# One line fixes it: telling `Trainer` that the model does not divide (`model_accepts_loss_kwargs = False`). The package
# computes its own loss, already divided, and so is right for uneven batches too.
#
# **3. Weights in half precision.** On a GPU, training is faster with 16-bit numbers. The temptation is to turn the
# whole model into `float16`. Just below 1, neighbouring `float16` numbers are almost half a thousandth apart: a step of
# less than half of that does not move the weight.

# %% tags=["nbval-check-output"]
for kind in (torch.float16, torch.bfloat16, torch.float32):
    weight = torch.ones(1, dtype=kind)
    for _ in range(1000):
        weight -= 1e-4
    print(kind, "1 − 1000 × 0.0001 =", weight.item())
    assert (weight.item() == 1) == (kind != torch.float32)

# %% [markdown] lang="es"
# Mil pasos de una diezmilésima deberían dejar el peso en 0,9; en media precisión (16 bits) sigue en 1. Por eso existe
# la **precisión mixta**: los pesos se guardan en `float32`, y solo las operaciones se hacen en 16 bits. Para que los
# gradientes pequeños no se queden en cero, un `GradScaler` multiplica la pérdida por un número grande y, después,
# divide los gradientes por ese número; si encuentra pesos en `float16`, se niega. Aquí lo vemos en la CPU, con una sola
# capa; en la GPU es igual.

# %% [markdown] lang="en"
# A thousand steps of a ten-thousandth should leave the weight at 0.9; in half precision (16 bits) it is still 1. Hence
# **mixed precision**: weights are kept in `float32`, and only the operations are done in 16 bits. So that small
# gradients do not become zero, a `GradScaler` multiplies the loss by a large number and later divides the gradients by
# that number; if it finds weights in `float16`, it refuses. We see it here on the CPU, with a single layer; on the GPU
# it is the same.


# %%
def scaled_step(layer, kind):
    """One step of mixed precision on a CPU; returns the layer's precision."""
    optimizer = torch.optim.AdamW(layer.parameters())
    scaler = torch.amp.GradScaler("cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(torch.ones(3, 4, dtype=kind)).float()
    scaler.scale(output.sum()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    return layer.weight.dtype


try:
    scaled_step(nn.Linear(4, 2).half(), torch.float16)
    raise AssertionError("half-precision weights were accepted")
except ValueError as error:
    print("float16:", error)
assert scaled_step(nn.Linear(4, 2), torch.float32) == torch.float32

# %% [markdown] lang="es"
# ## «Promediar dos adaptadores es promediar lo que saben»
#
# Con cualquier matriz invertible $M$, $(BM)(M^{-1}A) = BA$. Dos adaptadores pueden ser el mismo y tener números
# distintos.

# %% [markdown] lang="en"
# ## “Averaging two adapters averages what they know”
#
# For any invertible matrix $M$, $(BM)(M^{-1}A) = BA$. Two adapters can be the same and hold different numbers.

# %%
torch.manual_seed(1)
a, b, m = torch.randn(8, 384).double(), torch.randn(384, 8).double(), torch.randn(8, 8)
m = m.double()
assert torch.allclose((b @ m) @ (m.inverse() @ a), b @ a)
average = (b + b @ m) / 2 @ ((a + m.inverse() @ a) / 2)
assert not torch.allclose(average, b @ a, rtol=0.1)

# %% [markdown] lang="es"
# Se puede decir: promediar las $A$ y las $B$ de dos entrenamientos no es promediar lo que aprendieron.

# %% [markdown] lang="en"
# One may say: averaging the $A$s and $B$s of two training runs is not averaging what they learnt.

# %% [markdown] lang="es"
# ## «La memoria no se puede saber de antemano»
#
# Antes de cargar un modelo conviene saber si habrá memoria para entrenarlo. Hay cuatro cosas que contar. En `float32`
# cada número ocupa 4 bytes.
#
# 1. **Pesos**: 4 bytes por cada uno, se entrene o no.
# 2. **Gradientes**: 4 por cada uno que se entrena.
# 3. **Promedios de AdamW**: por cada número que entrena, AdamW guarda un promedio de sus gradientes y otro de sus
#    cuadrados: 8 bytes.
# 4. **Activaciones**: lo que la pasada hacia delante guarda para la de vuelta, que calcula los gradientes. Si
#    $y = xW^\top$ y $g = \partial L/\partial y$ (en filas), $\partial L/\partial W = g^\top x$ necesita $x$;
#    $\partial L/\partial x = gW$, no. Así que una capa congelada no guarda su entrada, salvo que lleve LoRA: $A$ necesita
#    esa $x$. La normalización, la función de activación y la atención guardan lo que piden sus derivadas, aun
#    congeladas.
#
# Las tres primeras no dependen de los textos. La cuarta crece con el tamaño del lote y la longitud de los textos.
#
# **Predice.** MiniLM con el LoRA de la lección 3: ¿cuántos MiB suman las tres primeras? Usa las cuentas que imprime la
# celda, cuyo `total` ya incluye adaptador y cabeza (1 MiB son $2^{20}$ bytes). De la cabeza, `peft` conserva además el
# original, congelado.

# %% [markdown] lang="en"
# ## “Memory cannot be known beforehand”
#
# Before you load a model it is good to know whether there will be memory to train it. There are four things to count.
# In `float32` each number takes 4 bytes.
#
# 1. **Weights**: 4 bytes for each, trained or not.
# 2. **Gradients**: 4 for each one that is trained.
# 3. **AdamW's averages**: for each number it trains, AdamW keeps an average of its gradients and one of their squares:
#    8 bytes.
# 4. **Activations**: what the forward pass keeps for the backward one, which computes the gradients. If $y = xW^\top$
#    and $g = \partial L/\partial y$ (in rows), $\partial L/\partial W = g^\top x$ needs $x$; $\partial L/\partial x =
#    gW$ does not. So a frozen layer does not keep its input, unless it carries LoRA: $A$ needs that $x$. Normalization,
#    activation function and attention keep what their derivatives need, even when frozen.
#
# The first three do not depend on the texts. The fourth grows with batch size and text length.
#
# **Predict.** MiniLM with the LoRA of lesson 3: how many MiB do the first three add up to? Use the counts that the cell
# prints, whose `total` already includes adapter and head (1 MiB is $2^{20}$ bytes). Of the head, `peft` also keeps the
# original, frozen.

# %%
from loralab.train import count_parameters, load_base

usual = {"target_modules": "default", "dropout": 0.0, "rank": 8, "alpha": 16}
experiment = profile.experiment("lora", model="minilm-l6", **usual)
parameters = count_parameters(apply_method(load_base("minilm-l6", seed=0), experiment))
print(parameters)
guess_static = predict("paper_memory", None)

# %% [markdown] lang="es"
# `plan` hace esa cuenta y también la cuarta, sin cargar nada: da el paso con tensores que tienen forma y no tienen
# contenido, y lleva la cuenta de la memoria que se reserva y se libera. La celda compara tu cuenta con la suya.

# %% [markdown] lang="en"
# `plan` does that sum and the fourth as well, without loading anything: it takes the step with tensors that have a
# shape and no content, and notes what is made and what is freed. The cell compares your sum with its own.

# %%
from loralab import plan

device, rows, length = detect(), 16, 64
full_name, lora_name = message("full"), message("lora")
methods = {full_name: experiment.but(method="full"), lora_name: experiment}
plans = {name: plan(chosen, device, rows, length) for name, chosen in methods.items()}
there = parameters["total"] + parameters["head"]  # its original too
on_paper = 4 * there + 12 * parameters["trainable"]
planned = sum(plans[lora_name].static.values())
assert abs(planned / on_paper - 1) < 0.001
guess_static.compare(
    on_paper / 2**20,
    total=number(there, 0),
    trainable=number(parameters["trainable"], 0),
    full=number(sum(plans[full_name].static.values()) / 2**20, 0),
)

# %% [markdown] lang="es"
# ¿Acierta el plan? La prueba es dar de verdad los dos pasos, con 16 textos de 64 *tokens*, cada uno en un proceso propio,
# y medir su memoria máxima. La celda tarda unos segundos.

# %% [markdown] lang="en"
# Is the plan right? The test is to take both steps for real, on 16 texts of 64 tokens, each in a process of its own,
# and to measure its peak memory. The cell takes some seconds.

# %%
from loralab.memory import measure_apart, memory_bars

measured = {
    name: measure_apart(chosen, rows, length).peak for name, chosen in methods.items()
}
for name, planned in plans.items():
    assert abs(planned.peak / measured[name] - 1) < 0.2
memory_bars(plans, measured)

# %% [markdown] lang="es"
# La línea es la medida y las barras son el plan. Casi no se ven gradientes, y no es un descuido: el pico llega al
# empezar la pasada hacia atrás (*backward*), con todas las activaciones guardadas; los gradientes van naciendo mientras
# ellas desaparecen. Por eso el máximo no es la suma de las cuatro cosas. LoRA se ahorra casi todos los promedios de
# AdamW, que en el completo ocupan el doble que los pesos. De las activaciones se ahorra solo una parte. Cuándo
# compensa, y cuándo no, se ve en la lección 6.

# %% [markdown] lang="en"
# The line is the measurement and the bars are the plan. Hardly any gradients can be seen, and that is no oversight: the
# fullest moment comes when the backward pass starts, with all activations kept; gradients are made while those
# disappear. So the peak is not the sum of all four. LoRA saves nearly all of AdamW's averages, which in full
# fine-tuning take twice what the weights do. Of the activations it saves only a part. When that pays, and when it does
# not, is for lesson 6.
