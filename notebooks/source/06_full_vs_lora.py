# %% [markdown] lang="es"
# # 6 · *Fine-tuning* completo frente a LoRA
#
# **Pregunta.** ¿Qué ahorra LoRA aquí, qué cuesta, y con cuánta seguridad lo sabemos?
#
# Solo cambian el método y su tasa de aprendizaje: modelo, datos, lotes y cabeza inicial son los mismos. Al terminar
# sabrás:
#
# - comparar dos métodos por pares, con un margen fijado de antemano;
# - elegir entre cuatro veredictos, uno de los cuales es «no se puede decir»;
# - medir tiempo, memoria y olvido sin engañarte;
# - cambiar, sumar y fusionar adaptadores;
# - decidir cuándo usar LoRA y cuándo no.
#
# Hacen falta las lecciones 4 y 5.

# %% [markdown] lang="en"
# # 6 · Full fine-tuning versus LoRA
#
# **Question.** What does LoRA save here, what does it cost, and how sure are we?
#
# Only the method and its learning rate change: model, data, batches and initial head are the same. By the end you can:
#
# - compare two methods in pairs, against a margin fixed beforehand;
# - choose among four verdicts, one of which is “cannot tell”;
# - measure time, memory and forgetting without fooling yourself;
# - switch, add and merge adapters;
# - decide when to use LoRA and when not to.
#
# You need lessons 4 and 5.

# %%
from loralab import hand_over, start

LANGUAGE = "es"
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)

# %% [markdown] lang="es"
# ## Antes de mirar
#
# ¿Qué diferencia importaría? Con un examen lo bastante grande se acaba viendo cualquiera. Por eso hay que decidirlo
# antes (el curso lo hizo con resultados ya a la vista): por debajo de este **margen**, los dos métodos son equivalentes
# a efectos prácticos. Está en el perfil, como la tasa de cada método, que en el perfil `cpu` se eligió con un
# **barrido**: se prueban varias y se toma la de menor pérdida en validación.
#
# Además de los dos se examinan cuatro referencias: la clase mayoritaria, TF-IDF, el modelo congelado con una regresión
# logística sobre la media de sus vectores, y entrenar solo la cabeza.
#
# Tres apuestas. ¿En qué porcentaje de las frases del test darán respuestas distintas el completo y LoRA? ¿Qué
# porcentaje de la memoria máxima ahorrará LoRA? ¿Por cuánto se multiplica el tiempo de un paso si se pasa de LoRA al
# completo? (Una pista: con $N$ parámetros en las capas, cada *token* cuesta unas $2N$ operaciones hacia delante, $2N$
# para llevar el gradiente hacia atrás y $2N$ para los gradientes de los pesos ([Kaplan et al.,
# 2020](https://arxiv.org/abs/2001.08361)). LoRA se ahorra casi todo lo último.)

# %% [markdown] lang="en"
# ## Before we look
#
# Which difference would matter? With a large enough exam any difference shows in the end. So it should be decided
# beforehand (the course did so with results already in sight): below this **margin**, the two methods are equivalent
# for practical purposes. It is in the profile, and so is each method's rate, which in the `cpu` profile was chosen by a
# **sweep**: several are tried, and the one with the lowest validation loss is taken.
#
# Besides the two, four baselines are examined: the majority class, TF-IDF, the frozen model with logistic regression on
# the mean of its vectors, and training the head only.
#
# Three bets. On what percentage of the test sentences will full fine-tuning and LoRA give different answers? What
# percentage of the peak memory will LoRA save? How many times as long as a LoRA step will a full fine-tuning step take?
# (A hint: with $N$ parameters in the layers, each token costs about $2N$ operations forward, $2N$ to take the gradient
# back and $2N$ for the gradients of the weights ([Kaplan et al., 2020](https://arxiv.org/abs/2001.08361)). LoRA saves
# almost all of the last.)

# %%
from loralab import (
    detect,
    load_profile,
    load_splits,
    message,
    number,
    percent,
    plan,
    predict,
    run_all,
    run_folder,
)

margin = profile.margin
print("±", number(100 * margin, 1), message("unit_points"))
guess_apart = predict("judged_apart", None)
guess_memory = predict("memory_saved", None)
guess_time = predict("time_ratio", None)

# %%
results = run_all(profile.comparison())

# %% [markdown] lang="es"
# ## La tabla
#
# ¿Es una comparación justa? Mismo examen, mismos datos, misma versión del entrenamiento, mismas semillas. Primero se
# comprueba. El ± de la tabla solo cuenta la suerte del examen; el del título de la figura, si hay varias semillas,
# también la del entrenamiento. («Solo la cabeza» no da lo que el modelo congelado: lee `[CLS]` a través de una capa que
# empezó al azar: en MiniLM, el `pooler`.)

# %% [markdown] lang="en"
# ## The table
#
# Is it a fair comparison? Same exam, same data, same version of the training, same seeds. First that is checked. The ±
# of the table counts exam luck only; that of the figure's title, if there are several seeds, training luck too. (“Head
# only” differs from the frozen model: it reads `[CLS]` through a layer that began at random: in MiniLM, the `pooler`.)

# %%
from loralab.show import (
    compare,
    comparison_panel,
    comparison_table,
    difference,
    findings,
    forgetting,
    gained_and_forgotten,
    margin_verdict,
    ruler,
    samples_table,
    who_is_right,
)

full = [result for result in results if result.experiment.method == "full"]
lora = [result for result in results if result.experiment.method == "lora"]
assert all(result.labels == results[0].labels for result in results)
for name in ("data", "recipe"):
    assert len({result.provenance[name] for result in results}) == 1
assert [r.experiment.seed for r in full] == [r.experiment.seed for r in lora]
comparison_table(results)

# %%
comparison_panel(full, lora, compare(full, lora))

# %% [markdown] lang="es"
# ## El mismo examen, frase a frase
#
# (Aquí, los dos entrenamientos de la primera semilla.) Solo las frases en las que uno acierta y el otro falla mueven la
# diferencia: es exactamente (las que solo acierta el completo − las que solo acierta LoRA) / $n$.

# %% [markdown] lang="en"
# ## The same exam, sentence by sentence
#
# (Here, the two runs of the first seed.) Only the sentences that one gets right and the other wrong move the
# difference: it is exactly (those that only full gets right − those that only LoRA does) / $n$.

# %%
import numpy as np
import pandas as pd

truth = np.array(full[0].labels)
full_right, lora_right = (np.equal(r.predictions, truth) for r in (full[0], lora[0]))
only_full, only_lora = sum(full_right & ~lora_right), sum(lora_right & ~full_right)
gap = full[0].test["accuracy"] - lora[0].test["accuracy"]
assert abs(gap - (only_full - only_lora) / len(truth)) < 1e-12


def apart(a, b):
    """The share of test sentences that two runs judge differently."""
    return np.not_equal(a.predictions, b.predictions).mean()


between = percent(apart(lora[0], lora[1])) if len(lora) > 1 else "–"
guess_apart.compare(100 * apart(full[0], lora[0]), seeds=between)
names = [message("short_full"), message("lora")]
who_is_right(full[0], lora[0], names)

# %% [markdown] lang="es"
# ## El veredicto
#
# La figura pone la diferencia sobre una regla graduada, con el margen sombreado. La barra gruesa es el intervalo del 90
# %; la fina, el del 95 %. Para el margen basta el 90 %: la diferencia verdadera solo puede salirse por un lado, y por
# cada lado la barra falla un 5 % de las veces. Hay cuatro veredictos:
#
# - la gruesa cabe entera en el margen: **equivalentes**;
# - la fina deja fuera el cero: **distintos**;
# - las dos cosas: distintos, pero en algo que no importa;
# - ninguna: **no se puede decir**. No haber encontrado una diferencia no es haber demostrado que no la hay.
#
# De dónde sale cada barra, y qué dice un estudio con más semillas, está en la [lección 8](08_evidence.ipynb).

# %% [markdown] lang="en"
# ## The verdict
#
# The figure lays the difference on a ruler, with the margin shaded. The thick bar is the 90% interval, the thin one the
# 95%. For the margin 90% is enough: the true difference can lie beyond it on one side only, and on each side the bar
# errs 5% of the time. There are four verdicts:
#
# - the thick one lies wholly within the margin: **equivalent**;
# - the thin one leaves out zero: **different**;
# - both: different, but by something that does not matter;
# - neither: **cannot tell**. Not having found a difference is not having shown that there is none.
#
# Where each bar comes from, and what a study with more seeds says, stands in [lesson 8](08_evidence.ipynb).

# %%
ruler(difference(full, lora), margin, margin_verdict(full, lora, margin))

# %% [markdown] lang="es"
# ## El tiempo, intercalado
#
# Los segundos de la tabla se midieron en momentos distintos, en una máquina que quizá hacía otras cosas. Medimos mejor,
# **intercalando**: un paso del completo, uno de LoRA, y vuelta a empezar, sobre el mismo lote, cambiando cada vez quién
# va primero. De cada pareja sale un cociente. La celda imprime entre qué valores queda el 80 % central: cuanto más
# juntos, más de fiar. Si la media no es el cociente de las operaciones, es que estas no lo explican todo.

# %% [markdown] lang="en"
# ## Time, interleaved
#
# The seconds in the table were taken at different moments, on a machine that may have been doing other things. We
# measure better by **interleaving**: a step of full fine-tuning, one of LoRA, and so on in turn, on the same batch,
# with the order changed each time. Each pair gives a ratio. The cell prints the values that the middle 80% lie between:
# the closer together, the more you can trust them. If the mean is not the ratio of the operations, these do not
# explain everything.

# %%
import time

import torch
from transformers import DataCollatorWithPadding

from loralab.train import (
    apply_method,
    batches_by_length,
    conversation,
    encode,
    encode_pairs,
    generate,
    load_for,
    load_language_model,
    load_tokenizer,
    load_trained,
    prompt_ids,
)

experiment = lora[0].experiment
tokenizer = load_tokenizer(experiment.model)
train = encode(load_splits(experiment).train, tokenizer, experiment.max_length)
batches = batches_by_length(train.lengths, experiment.batch_size, seed=0, epoch=0)
typical = sorted(batches, key=lambda rows: max(train.lengths[i] for i in rows))
rows = [train.dataset[i] for i in typical[len(batches) // 2]]
batch = DataCollatorWithPadding(tokenizer)(rows).to(detect().kind)
half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(experiment.precision)


class Racer:
    """One method's model and optimizer, ready to take steps on one batch."""

    def __init__(self, method):
        chosen = profile.experiment(method)
        model = apply_method(load_for(chosen), chosen)
        self.model = model.to(detect().kind).train()
        self.trained = [p for p in model.parameters() if p.requires_grad]
        rate = chosen.learning_rate
        self.optimizer = torch.optim.AdamW(self.trained, lr=rate, fused=True)
        self.seconds(steps=3)  # the first steps set things up: not timed

    def seconds(self, steps):
        started = time.perf_counter()
        for _ in range(steps):
            self.optimizer.zero_grad()
            with torch.autocast(detect().kind, dtype=half, enabled=half is not None):
                loss = self.model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.trained, 1.0)  # as Trainer does
            self.optimizer.step()
        loss.item()  # on a GPU this waits until the work is done
        return time.perf_counter() - started


# %%
racers = {"full": Racer("full"), "lora": Racer("lora")}
order, ratios = ["full", "lora"], []
for _ in range(15):
    took = {name: racers[name].seconds(steps=1) for name in order}
    ratios.append(took["full"] / took["lora"])
    order.reverse()  # neither always goes first
low, high = np.quantile(ratios, [0.1, 0.9])
guess_time.compare(np.exp(np.mean(np.log(ratios))))  # a mean of ratios is one of logs
print(f"{percent(0.1, 0)} – {percent(0.9, 0)}: {number(low, 2)} – {number(high, 2)}")

# %% [markdown] lang="es"
# ## La memoria
#
# Al entrenar, cuatro cosas ocupan memoria. En `float32`, cada número ocupa 4 bytes.
#
# - **Pesos**: 4 bytes por cada uno, se entrene o no.
# - **Gradientes**: 4 por cada uno que se entrena.
# - **Promedios de AdamW**: dos por cada uno que se entrena, 8 bytes.
# - **Activaciones**: lo que la pasada hacia delante guarda para la pasada hacia atrás. Si $y = xW^\top$, el gradiente
#   de $W$ necesita $x$ y el de $x$ no: una capa congelada no guarda su entrada, salvo que lleve LoRA.
#
# Las tres primeras se calculan a mano. La cuarta crece con el lote y la longitud de los textos: `plan` la cuenta sin
# cargar nada. En la figura, las barras son el plan, y la línea, la medida.

# %% [markdown] lang="en"
# ## Memory
#
# Training takes memory for four things. In `float32` each number takes 4 bytes.
#
# - **Weights**: 4 bytes for each, trained or not.
# - **Gradients**: 4 for each one that is trained.
# - **AdamW's averages**: two for each one that is trained, 8 bytes.
# - **Activations**: what the forward pass keeps for the backward one. If $y = xW^\top$, the gradient of $W$ needs $x$
#   and that of $x$ does not: a frozen layer does not keep its input, unless it carries LoRA.
#
# The first three are worked out by hand. The fourth grows with the batch and the length of the texts: `plan` counts it
# without loading anything. In the figure the bars are the plan and the line is the measurement.

# %%
from loralab.memory import GPUS, crossover, fits, memory_bars, peaks, supports

both = {"full": full[0], "lora": lora[0]}
rows, longest = experiment.batch_size, max(train.lengths)
plans = {m: plan(r.experiment, detect(), rows, longest) for m, r in both.items()}
measured = {m: r.memory["peak_bytes"] / 2**20 for m, r in both.items()}
sizes = {m: r.parameters for m, r in both.items()}
static = {m: (4 * p["total"] + 8 * p["trainable"]) / 2**20 for m, p in sizes.items()}
told = {f"static_{m}": number(static[m], 0) for m in both}
told |= {f"rest_{m}": number(measured[m] - static[m], 0) for m in both}
guess_memory.compare(100 * (1 - measured["lora"] / measured["full"]), **told)
bytes_of = {
    name: both[m].memory["peak_bytes"] for name, m in zip(names, both, strict=True)
}
memory_bars(dict(zip(names, plans.values(), strict=True)), bytes_of)

# %% [markdown] lang="es"
# Donde casi no se ven gradientes, el pico llega al empezar la pasada hacia atrás (*backward*), con todas las
# activaciones guardadas; los gradientes aparecen a medida que ellas se liberan. LoRA se ahorra casi todos los
# promedios, y de las activaciones solo una parte. Con un *dropout* delante de cada adaptador, puede hasta gastar más.
# El mapa recorre lotes y longitudes con DistilBERT, y con LoRA de dos maneras: en consulta y valor, y en todas las
# capas lineales con *dropout*.

# %% [markdown] lang="en"
# Where hardly any gradients can be seen, the peak comes when the backward pass starts, with all activations kept;
# gradients are made while those disappear. LoRA saves nearly all of the averages, and of the activations only a part.
# With dropout before each adapter it may even take more. The map goes over batches and lengths with DistilBERT, and
# with LoRA in two ways: on query and value, and on all linear layers with dropout.

# %%
batches, lengths = (1, 8, 64), (64, 256, 512)
usual = {"precision": "fp32", "target_modules": "default", "dropout": 0.0}
encoder = profile.experiment("lora", model="distilbert-base-uncased", **usual)
everywhere = encoder.but(target_modules="all-linear", dropout=0.1)


def peak_map(chosen):
    """Peaks (bytes), a row for each batch, a column for each length."""
    return np.array([peaks(chosen, detect(), batches, length) for length in lengths]).T


adapters = {
    message("target_default"): peak_map(encoder),
    message("everywhere_dropping", dropout=number(everywhere.dropout, 1)): peak_map(
        everywhere
    ),
}
crossover(peak_map(encoder.but(method="full")), adapters, batches, lengths)

# %% [markdown] lang="es"
# Cada casilla es el ahorro frente al completo; donde es negativo, LoRA gasta más. «LoRA ahorra un 50 % de memoria» no
# dice bastante: falta decir con qué lote, con qué longitud y en qué capas.
#
# **¿Y si el completo no cabe?** Gemma 3, de 4300 millones de parámetros, es el modelo del cuaderno del que nació este
# curso. El plan cuenta un solo ejemplo de 512 *tokens* en una T4, sin guardar las activaciones internas de cada bloque,
# que se recalculan (*activation checkpointing*). Con los pesos congelados se puede ahorrar más: en `bf16`, que una T4
# no tiene, o en 4 bits (**QLoRA**, [Dettmers et al., 2023](https://arxiv.org/abs/2305.14314)). No lo hemos ejecutado en
# una T4.

# %% [markdown] lang="en"
# Each cell is what is saved against full fine-tuning; where it is negative, LoRA takes more. “LoRA saves 50% of the
# memory” does not say enough: it does not say with which batch, which length and on which layers.
#
# **And if full fine-tuning does not fit?** Gemma 3, of 4,300 million parameters, is the model of the notebook that this
# course grew out of. The plan counts a single example of 512 tokens on a T4, with the activations inside each block
# recomputed instead of kept (*activation checkpointing*). With frozen weights one can save more: in `bf16`, which a T4
# does not have, or in 4 bits (**QLoRA**, [Dettmers et al., 2023](https://arxiv.org/abs/2305.14314)). We have not run it
# on a T4.

# %% tags=["nbval-check-output"]
t4, large = GPUS[0], load_profile("large").generation
alone = {"batch_size": 1, "precision": "fp32", "activation_checkpointing": True}
asked = {message("gemma_full"): large.experiment("full", **alone)}
for weights in ("fp32", "bf16", "nf4"):
    name = message("gemma_lora", weights=weights)
    asked[name] = large.experiment("lora", weights=weights, **alone)
plans = {name: plan(chosen, t4) for name, chosen in asked.items()}
rows = [
    [
        number(sum(planned.static.values()) / 2**30, 1),
        number(planned.peak / 2**30, 1),
        message("yes" if fits(planned) and supports(asked[name], t4) else "no"),
    ]
    for name, planned in plans.items()
]
columns = [message("static_gib"), message("planned_gib"), message("fits_t4")]
pd.DataFrame(rows, index=list(plans), columns=columns)

# %% [markdown] lang="es"
# ## Pruébalo tú: tus propias frases
#
# Mira qué contestan a tres frases del test la base (con su cabeza al azar), el completo y LoRA, y con qué probabilidad.
# Cámbialas por otras tuyas.

# %% [markdown] lang="en"
# ## Try it yourself: your own sentences
#
# See what the base (with its random head), full fine-tuning and LoRA answer to three sentences of the test, and with
# what probability. Change them for some of yours.

# %%
from loralab.data import label_names, load_pairs

test = load_splits(experiment).test
my_texts = list(test["text"].head(3))  # or a list of yours
second = [list(test["text_pair"].head(3))] if "text_pair" in test else []

classes = label_names(experiment.dataset)
models = {message("not_tuned"): load_for(experiment)}
for name, result in zip(names, (full[0], lora[0]), strict=True):
    folder = run_folder(result.experiment)
    if any((folder / kept).exists() for kept in ("adapter", "model.safetensors")):
        models[name] = load_trained(result.experiment, folder)
    else:
        print(message("not_kept", name=name))
limit = {"truncation": True, "max_length": experiment.max_length}
mine = tokenizer(my_texts, *second, padding=True, return_tensors="pt", **limit)


@torch.no_grad()
def opinion(model):
    """The class that a model gives each text, and how probable it holds it."""
    shares, best = torch.softmax(model.eval()(**mine).logits, dim=1).max(dim=1)
    pairs = zip(shares.tolist(), best.tolist(), strict=True)
    return [f"{classes[label]}, {percent(share)}" for share, label in pairs]


pd.set_option("display.max_colwidth", None)
opinions = {name: opinion(model) for name, model in models.items()}
pd.DataFrame(opinions, index=my_texts)

# %% [markdown] lang="es"
# ## La otra tarea: don Quijote
#
# Ahora el modelo que escribe. Ojo al signo: en la pérdida, menos es mejor. Antes de sacar una conclusión, mira cuántas
# semillas trae tu perfil.
#
# Una apuesta más. La tabla lleva una fila con la pérdida en **editoriales de prensa**: frases sueltas, sin plantilla,
# con las que aquí no se ha entrenado nada. ¿Cuánto cambiará con LoRA respecto a la base?

# %% [markdown] lang="en"
# ## The other task: Don Quixote
#
# Now the model that writes. Mind the sign: in a loss, less is better. Before you conclude anything, see how many seeds
# your profile has.
#
# One more bet. The table has a row with the loss on **newspaper editorials**: bare sentences, without a template, which
# nothing here was trained on. How far will it move for LoRA, compared with the base?

# %%
persona = profile.generation
guess_forgetting = predict("forgetting", None)

# %%
answers = run_all(persona.comparison())
base, *_ = [r for r in answers if r.experiment.method == "base"]
full_voice = [r for r in answers if r.experiment.method == "full"]
lora_voice = [r for r in answers if r.experiment.method == "lora"]
comparison_table(answers)

# %% [markdown] lang="es"
# En la tabla, `distinct-1` y `distinct-2` dicen qué parte de las palabras, y de las parejas de palabras seguidas, son
# distintas. Y mira qué chrF tiene quien copia la respuesta de otra pregunta: por eso no decide.
#
# Enseñar a contestar así puede estropear lo demás. La figura cruza las dos pérdidas: cuanto más a la izquierda, mejor
# aprendidas las respuestas; cuanto más arriba, más inglés olvidado. Son pocas frases: no te fíes de un cambio pequeño.

# %% [markdown] lang="en"
# In the table, `distinct-1` and `distinct-2` say what share of the words, and of the pairs of consecutive words, are
# different. And see what chrF copying another question's answer has: that is why it does not decide.
#
# Teaching to answer like this can spoil the rest. The figure sets the two losses against each other: the further left,
# the better the answers are learnt; the higher up, the more English is forgotten. They are few sentences: do not trust
# a small change.


# %%
def rise(group):
    after = np.mean([result.test["other_loss"] for result in group])
    return after - base.test["other_loss"]


guess_forgetting.compare(rise(lora_voice), full=number(rise(full_voice), 3))
gained_and_forgotten(base, [*lora_voice, *full_voice])

# %% [markdown] lang="es"
# ## ¿Quién ha contestado?
#
# ¿Los distingues leyendo? Cada fila es una de las últimas preguntas del test, y las columnas A y B son el completo y
# LoRA en un orden sorteado. Escribe en `my_guess` qué columna crees que es LoRA, una letra por fila (por ejemplo,
# `"ABBA…"`). Acertar 9 o más de 10 al azar pasa más o menos una de cada cien veces. La celda que sigue te corrige.

# %% [markdown] lang="en"
# ## Who answered?
#
# Can you tell them apart by reading? Each row is one of the test's last questions, and columns A and B are full
# fine-tuning and LoRA in an order drawn by lot. Write in `my_guess` which column you think is LoRA, one letter per row
# (`"ABBA…"`, say). Getting 9 or more of 10 right by chance happens about once in a hundred tries. The next cell marks
# your answer.

# %%
last = range(len(base.questions))[-10:]
swapped = np.random.default_rng(0).integers(0, 2, len(last)) == 1
columns = {"A": [], "B": []}
for row, swap in zip(last, swapped, strict=True):
    pair = [full_voice[0].predictions[row], lora_voice[0].predictions[row]]
    for letter, text in zip("AB", pair[::-1] if swap else pair, strict=True):
        columns[letter].append(" ".join(text.split()))
pd.DataFrame(columns, index=[base.questions[row] for row in last])

# %%
import math

my_guess = None  # or a letter a row
key = "".join("A" if swap else "B" for swap in swapped)
by_chance = sum(math.comb(10, right) for right in (9, 10)) / 2**10
assert round(by_chance, 2) == 0.01
if my_guess is not None:
    assert len(my_guess) == len(key) and set(my_guess) <= {"A", "B"}, my_guess
    right = sum(mine == true for mine, true in zip(my_guess, key, strict=True))
    print(message("blind_score", right=right, all=len(key)), key)

# %% [markdown] lang="es"
# Los dos han leído los pares que dice el perfil. Al lado, el adaptador publicado con el curso, que leyó 448 dos veces,
# sobre SmolLM2, en cualquier perfil; sus respuestas llevan `repetition_penalty=1.2`. Encima de la tabla, las pérdidas:
# una pérdida mide lo bien que predicen, *token* a *token*, una respuesta ya escrita, y no lo que escriben ellos. ¿Los
# ordena como tú al leerlos? (Si tu base es otra, la del publicado no se compara: sus *tokens* son otros.)

# %% [markdown] lang="en"
# Both have read the pairs that the profile says. Beside them, the adapter published with the course, which read 448
# twice, on SmolLM2, in any profile; its answers have `repetition_penalty=1.2`. Above the table stand the losses: a loss
# measures how well they predict, token by token, an answer already written, not what they write. Does it rank them as
# you do when you read them? (If your base is another, the published one's does not compare: its tokens differ.)

# %%
from copy import deepcopy
from importlib.resources import files

from peft import PeftModel

from loralab.train.generation import answer_losses

published = files("loralab_data") / "adapters"
smollm2 = load_language_model("smollm2-135m").to(detect().kind)
chat = load_tokenizer("smollm2-135m")


def voice(name):
    """A published adapter over a copy of the base: PeftModel writes into the model that it gets."""
    return PeftModel.from_pretrained(deepcopy(smollm2), published / name)


questions = load_splits(full_voice[0].experiment).test
asked = encode_pairs(questions, chat, None)
nats, tokens = answer_losses(voice("quixote"), chat, asked).sum(axis=0)
firsts = [base, full_voice[0], lora_voice[0]]
loss = {r.experiment.method: r.test["loss"] for r in firsts}
loss["quixote"] = float(nats / tokens)
print({name: round(value, 2) for name, value in loss.items()})
how = {
    "max_new_tokens": full_voice[0].experiment.max_new_tokens,
    "repetition_penalty": 1.2,
}
table = samples_table(answers, 4)
table["quixote"] = generate(voice("quixote"), chat, questions.head(4), **how)
table

# %% [markdown] lang="es"
# ## Varios adaptadores, una base
#
# Si cada tarea es un adaptador, una sola base en memoria sirve para muchas. Ponemos dos de los publicados sobre la
# misma: el de don Quijote y el de Sancho Panza. Cambiar de uno a otro es cambiar un nombre; lo comprobamos con los
# *logits* de cada modelo por separado, y con la base sin ninguno.

# %% [markdown] lang="en"
# ## Several adapters, one base
#
# If each task is an adapter, a single base in memory serves many. We put two of the published ones on the same base:
# Don Quixote's and Sancho Panza's. To switch is to change a name; we check it with the logits of each model by itself,
# and with the base without either.

# %%
voices = {"quixote": "quixote-qa", "sancho": "sancho-qa"}
duo = PeftModel.from_pretrained(
    deepcopy(smollm2), published / "quixote", adapter_name="quixote"
)
duo.load_adapter(published / "sancho", adapter_name="sancho")
instructions = {
    name: load_pairs(pairs)[0]["instruction"].iloc[0] for name, pairs in voices.items()
}
turns = conversation(chat, instructions["quixote"], "Should I lend money to a friend?")
prompt = torch.tensor([prompt_ids(chat, turns)], device=detect().kind)


@torch.no_grad()
def next_logits(model):
    """The logits of the answer's first token."""
    return model.eval()(prompt).logits[0, -1].float().cpu()


by_itself = {name: next_logits(voice(name)) for name in voices}
for name in voices:
    duo.set_adapter(name)
    assert torch.allclose(next_logits(duo), by_itself[name], atol=1e-4)
with duo.disable_adapter():
    untouched = next_logits(duo)
assert torch.equal(untouched, next_logits(smollm2))

# %%
my_questions = ["Should I lend money to a friend?", "How do I stop being afraid?"]
spoken = {}
for name in voices:
    duo.set_adapter(name)
    asked = pd.DataFrame({"instruction": instructions[name], "input": my_questions})
    spoken[name] = generate(duo, chat, asked, **how)
pd.DataFrame(spoken, index=my_questions)

# %% [markdown] lang="es"
# ¿Y sumarlos? La suma de las dos actualizaciones es otra vez un adaptador: se ponen las $A$, cada una multiplicada por
# su $\alpha/r$, una debajo de otra, y las $B$ una al lado de otra. Es lo que `peft` llama `cat`. Sumar las $A$ por su
# lado y las $B$ por el suyo (`linear`) no es lo mismo, porque $(B_1 + B_2)(A_1 + A_2)$ tiene dos términos de más: la
# celda imprime el rango de cada adaptador y cuánto se aparta `linear` de la suma. Al final guardamos la suma y la
# cargamos, y fusionamos el de don Quijote.

# %% [markdown] lang="en"
# And can they be added? The sum of the two updates is an adapter again: put the $A$s, each times its $\alpha/r$, one
# below the other, and the $B$s side by side. That is what `peft` calls `cat`. Adding the $A$s and adding the $B$s
# (`linear`) is not the same, for $(B_1 + B_2)(A_1 + A_2)$ has two terms too many: the cell prints each adapter's rank
# and how far `linear` is from the sum. At the end we save the sum and load it, and merge Don Quixote's.

# %%
import tempfile
from pathlib import Path

for name, way in (("both", "cat"), ("mixed", "linear")):
    duo.add_weighted_adapter(
        list(voices), [1.0, 1.0], adapter_name=name, combination_type=way
    )
layer = next(module for module in duo.modules() if hasattr(module, "lora_A"))
updates = {name: layer.get_delta_weight(name) for name in (*voices, "both", "mixed")}
summed = updates["quixote"] + updates["sancho"]
assert torch.allclose(updates["both"], summed, atol=1e-5)
off = torch.dist(updates["mixed"], summed) / summed.norm()
print({name: layer.r[name] for name in updates}, percent(off.item(), 0))

folder = tempfile.mkdtemp()
duo.set_adapter("both")
duo.save_pretrained(folder, selected_adapters=["both"], save_embedding_layers=False)
reloaded = PeftModel.from_pretrained(deepcopy(smollm2), Path(folder) / "both")
assert torch.allclose(next_logits(reloaded), next_logits(duo), atol=1e-4)

merged = voice("quixote").merge_and_unload(safe_merge=True)
assert not any("lora_" in name for name, _ in merged.named_modules())
assert torch.allclose(next_logits(merged), by_itself["quixote"], atol=1e-3)

# %% [markdown] lang="es"
# ## Lo que dicen los números
#
# El código escoge y rellena cada frase según los resultados.

# %% [markdown] lang="en"
# ## What the numbers say
#
# The code picks each sentence and fills it in by the results.

# %%
from IPython.display import Markdown

answering = [*findings(full_voice, lora_voice), compare(lora_voice, [base])]
answering += [forgetting(base, full_voice), forgetting(base, lora_voice)]
said = {"classification": findings(full, lora, ratios), "generation": answering}
parts = [
    f"**{message(title)}**\n\n" + "\n".join(f"- {line}" for line in lines)
    for title, lines in said.items()
]
Markdown("\n\n".join(parts))

# %% [markdown] lang="es"
# ## Resumen
#
# De la lección 3 y de esta:
#
# | | *fine-tuning* completo | LoRA |
# |---|---|---|
# | qué entrena | todos los pesos | $r(d_{in} + d_{out})$ por matriz, y la cabeza |
# | pesos y promedios | 12 bytes por parámetro | 4 por parámetro y 8 por cada entrenable |
# | operaciones por *token* ([Kaplan et al., 2020](https://arxiv.org/abs/2001.08361)) | $6N$ | unas $4N$ |
# | qué se guarda por tarea | el modelo entero | el adaptador y la cabeza |
# | al usarlo | un modelo corriente | lo mismo, una vez fusionado |
#
# ## Los hiperparámetros que deciden
#
# | | valores habituales | qué hace | de dónde sale |
# |---|---|---|---|
# | `r` | 4, 8, 16 | tamaño del adaptador | lección 5 |
# | `lora_alpha` | 16, 32, 64 | multiplica lo que se suma, por $\alpha / r$ | lecciones 3 y 5 |
# | `target_modules` | consulta y valor, o todas las lineales | dónde se suma | [Hu et al., 2021](https://arxiv.org/abs/2106.09685), 7.1; todas: [Dettmers et al., 2023](https://arxiv.org/abs/2305.14314) |
# | tasa de aprendizaje | 1e-4 o 2e-4 en modelos grandes; en el perfil `cpu`, más | tamaño del paso | [Dettmers et al., 2023](https://arxiv.org/abs/2305.14314); lección 4 |
# | `lora_dropout` | de 0 a 0,1 | apaga entradas al azar | aquí 0, como en `peft` si no dices nada |
# | `modules_to_save` | la cabeza | qué más se entrena y se guarda | lección 3 |
#
# ## Cuándo usar LoRA, y cuándo no
#
# - **Sí**, si el entrenamiento completo no cabe, o si vas a tener muchas tareas sobre una base: cada una cuesta un
#   adaptador, no un modelo.
# - **Quizá**, si quieres que el modelo olvide menos: en modelos grandes se ha medido que con LoRA conservan mejor lo
#   que ya sabían ([Biderman et al., 2024](https://arxiv.org/abs/2405.09673)).
# - **No hace falta**, si el modelo es pequeño y cabe.
# - **Con cuidado**, si la tarea está lejos de lo que el modelo vio (código, matemáticas): ahí, según el mismo artículo,
#   aprende menos.
# - **No esperes** que sea más rápido al usarlo, ni que el ahorro de memoria sea el de parámetros.
#
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - Qué ahorra LoRA aquí en memoria y en tiempo: lo dicen la figura y los pasos intercalados.
# - Qué cuesta en exactitud: lo dice la regla graduada, con su margen.
# - Todo ello, para el modelo, los datos, las tasas y la máquina con que se midió.
#
# ## Qué viene después
#
# Tu propio modelo, con tus datos: la [lección 7](07_your_model.ipynb). Y **QLoRA**; variantes como DoRA ([Liu et al.,
# 2024](https://arxiv.org/abs/2402.09353)) o PiSSA ([Meng et al., 2024](https://arxiv.org/abs/2404.02948)); otros
# métodos: adaptadores en serie ([Houlsby et al., 2019](https://arxiv.org/abs/1902.00751)), *prefix tuning* ([Li y
# Liang, 2021](https://arxiv.org/abs/2101.00190)), *prompt tuning* ([Lester et al.,
# 2021](https://arxiv.org/abs/2104.08691)), IA³ ([Liu et al., 2022](https://arxiv.org/abs/2205.05638)). Casi todos están
# en `peft`.

# %% [markdown] lang="en"
# ## Summary
#
# From lesson 3 and this one:
#
# | | full fine-tuning | LoRA |
# |---|---|---|
# | what it trains | all the weights | $r(d_{in} + d_{out})$ per matrix, and the head |
# | weights and averages | 12 bytes per parameter | 4 per parameter and 8 for each trainable one |
# | operations per token ([Kaplan et al., 2020](https://arxiv.org/abs/2001.08361)) | $6N$ | about $4N$ |
# | what is kept for a task | the whole model | the adapter and the head |
# | in use | a plain model | the same, once merged |
#
# ## The hyperparameters that decide
#
# | | usual values | what it does | where it comes from |
# |---|---|---|---|
# | `r` | 4, 8, 16 | size of the adapter | lesson 5 |
# | `lora_alpha` | 16, 32, 64 | multiplies what is added, by $\alpha / r$ | lessons 3 and 5 |
# | `target_modules` | query and value, or all linear layers | where it is added | [Hu et al., 2021](https://arxiv.org/abs/2106.09685), 7.1; all: [Dettmers et al., 2023](https://arxiv.org/abs/2305.14314) |
# | learning rate | 1e-4 or 2e-4 in large models; in the `cpu` profile, more | size of the step | [Dettmers et al., 2023](https://arxiv.org/abs/2305.14314); lesson 4 |
# | `lora_dropout` | 0 to 0.1 | switches inputs off at random | 0 here, as in `peft` if you say nothing |
# | `modules_to_save` | the head | what else is trained and kept | lesson 3 |
#
# ## When to use LoRA, and when not
#
# - **Yes**, if full training does not fit, or if you are going to have many tasks on one base: each costs an adapter,
#   not a model.
# - **Perhaps**, if you want the model to forget less: large models have been found to keep more of what they knew
#   with LoRA ([Biderman et al., 2024](https://arxiv.org/abs/2405.09673)).
# - **No need**, if the model is small and fits.
# - **With care**, if the task is far from what the model has seen (code, mathematics): there, by the same paper, it
#   learns less.
# - **Do not expect** it to be faster in use, nor memory to fall as parameters do.
#
# ## What you may now claim, and on what evidence
#
# - What LoRA saves here in memory and in time: the figure and the interleaved steps say so.
# - What it costs in accuracy: the ruler says so, with its margin.
# - All of it for the model, the data, the rates and the machine it was measured with.
#
# ## What comes next
#
# A model of your own, on your data: [lesson 7](07_your_model.ipynb). And **QLoRA**; variants such as DoRA ([Liu et al.,
# 2024](https://arxiv.org/abs/2402.09353)) or PiSSA ([Meng et al., 2024](https://arxiv.org/abs/2404.02948)); other
# methods: serial adapters ([Houlsby et al., 2019](https://arxiv.org/abs/1902.00751)), *prefix tuning* ([Li and Liang,
# 2021](https://arxiv.org/abs/2101.00190)), *prompt tuning* ([Lester et al., 2021](https://arxiv.org/abs/2104.08691)),
# IA³ ([Liu et al., 2022](https://arxiv.org/abs/2205.05638)). Nearly all are in `peft`.

# %% [markdown] lang="es"
# ## Ejercicios
#
# Escribe tu respuesta en lugar de `...` o de `None` y ejecuta la celda: `check` te dice si es correcta y, si no, qué
# error has cometido. Antes de calcular, predice. Las soluciones están en `notebooks/source`, junto a cada ejercicio;
# `make solutions` las pone en cuadernos.

# %% [markdown] lang="en"
# ## Exercises
#
# Write your answer in place of `...` or `None` and run the cell: `check` tells you whether it is right and, if not,
# which mistake you have made. Before you compute, predict. The solutions are in `notebooks/source`, beside each
# exercise; `make solutions` puts them into notebooks.

# %% [markdown] lang="es"
# ### Cuatro veredictos
#
# Escribe `judge`, la función que da el veredicto de la regla graduada. Recibe los extremos de la barra gruesa (`low90`,
# `high90`), los de la fina (`low95`, `high95`) y el margen, todo en puntos. Devuelve `"equivalent"`, `"different"`,
# `"negligible"` (distintos, pero en algo que no importa) o `"cannot_tell"`.
#
# **Predice.** La barra gruesa va de −0,2 a 0,9; la fina, de −0,4 a 1,1; el margen es 1. ¿Qué veredicto toca?

# %% [markdown] lang="en"
# ### Four verdicts
#
# Write `judge`, the function that gives the ruler's verdict. It takes the ends of the thick bar (`low90`, `high90`),
# those of the thin one (`low95`, `high95`) and the margin, all in points. It returns `"equivalent"`, `"different"`,
# `"negligible"` (different, but by something that does not matter) or `"cannot_tell"`.
#
# **Predict.** The thick bar runs from −0.2 to 0.9, the thin one from −0.4 to 1.1; the margin is 1. Which verdict is it?

# %% exercise="four_verdicts"
from loralab import check


def judge(low90, high90, low95, high95, margin):
    """Return "equivalent", "different", "negligible" or "cannot_tell"."""
    ### BEGIN SOLUTION
    within = -margin < low90 and high90 < margin
    apart = low95 > 0 or high95 < 0
    if within:
        return "negligible" if apart else "equivalent"
    return "different" if apart else "cannot_tell"
    ### END SOLUTION


check("four_verdicts", judge)

# %% [markdown] lang="es"
# ### Con todos los datos
#
# ¿Mejora la exactitud con muchos más ejemplos? ¿Cuánto más se tarda? ¿Sigue valiendo la pena LoRA? Entrena el completo
# y LoRA con los dos tamaños de `TRAIN_SIZES` y lo demás como en el perfil. `"all"` es todo lo que dejan la validación y
# el test. Entrega:
#
# - `runs`: el resultado de cada pareja de método y tamaño;
# - `steps`: los pasos del optimizador con el grande, divididos entre los del pequeño (`loss_by_step` tiene una pérdida
#   por paso);
# - `times`: para cada método, los segundos de entrenamiento con el grande, divididos entre los del pequeño;
# - `gain`: para cada método, los dos extremos del intervalo del 95 % de lo que gana la exactitud, por pares y en
#   puntos;
# - `outcome`: con el grande, el veredicto sobre el completo menos LoRA, con el margen del perfil: uno de los cuatro de
#   `judge`, y puede dártelo `stats.verdict`.
#
# Son cuatro entrenamientos. Con los datos del curso, el grande son unas 6000 frases en el perfil `cpu` y unas 24 000
# críticas en el `t4`: calcula antes cuánto tardarán. El ± no recoge la suerte del entrenamiento.
#
# **Predice.** ¿Cuántos puntos ganará cada método? Con las mismas épocas, más datos son también más pasos.

# %% [markdown] lang="en"
# ### With all the data
#
# Does accuracy improve with many more examples? How much longer does it take? Is LoRA still worth it? Train full
# fine-tuning and LoRA with the two sizes in `TRAIN_SIZES` and the rest as in the profile. `"all"` is everything that
# validation and test leave. Hand in:
#
# - `runs`: the result of each pair of method and size;
# - `steps`: the optimizer's steps with the large one, divided by those with the small one (`loss_by_step` has one loss
#   a step);
# - `times`: for each method, the training seconds with the large one, divided by those with the small one;
# - `gain`: for each method, both ends of the 95% interval of what accuracy gains, in pairs and in points;
# - `outcome`: with the large one, the verdict on full fine-tuning minus LoRA, with the profile's margin: one of
#   `judge`'s four, and `stats.verdict` can give it to you.
#
# It takes four runs. With the course's data the large one is about 6,000 sentences in the `cpu` profile and about
# 24,000 reviews in `t4`: work out beforehand how long they will take. The ± leaves out training luck.
#
# **Predict.** How many points will each method gain? At the same number of epochs more data also means more steps.

# %% exercise="more_data"
from loralab import check, run
from loralab.show import difference, stats, training_seconds

size = profile.settings["train_size"]
few = 1000 if size == "all" or size >= 1000 else size // 2
TRAIN_SIZES = {"small": few, "large": "all"}
if profile.name == "smoke":
    TRAIN_SIZES = {"small": 64, "large": 256}

runs = None  # {("full", "small"): result, ("lora", "large"): …}: four of them
steps = None  # large / small
times = None  # {"full": large / small, "lora": …}
gain = None  # {"full": (low, high), "lora": …}, points
outcome = None  # "equivalent", "different", "negligible" or "cannot_tell"
### BEGIN SOLUTION
runs, times, gain = {}, {}, {}
for method in ("full", "lora"):
    for size, rows in TRAIN_SIZES.items():
        runs[method, size] = run(profile.experiment(method, train_size=rows))
    small, large = runs[method, "small"], runs[method, "large"]
    times[method] = training_seconds(large) / training_seconds(small)
    found = difference([large], [small])
    middle, half = 100 * found.mean, 100 * found.half()
    gain[method] = (middle - half, middle + half)
steps = len(large.loss_by_step) / len(small.loss_by_step)
found = difference([runs["full", "large"]], [runs["lora", "large"]])
outcome = stats.verdict(found, profile.margin)
### END SOLUTION

check("more_data", profile, TRAIN_SIZES, runs, steps, times, gain, outcome)

# %% [markdown] lang="es"
# ### La memoria fija de SmolLM2
#
# `SmolLM2-135M` tiene 134 515 008 parámetros, y LoRA con $r = 16$ en sus siete proyecciones le añade 4 884 480 (lección
# 3). Todo está en `float32`. ¿Cuántos MiB ocupan los pesos, los gradientes y los dos promedios de AdamW, sin contar
# ninguna activación? Da el número del completo (`full_mib`) y el de LoRA (`lora_mib`).
#
# **Predice.** LoRA entrena menos del 4 % de los parámetros. ¿Ocupará también menos del 4 % de la memoria?

# %% [markdown] lang="en"
# ### SmolLM2's fixed memory
#
# `SmolLM2-135M` has 134,515,008 parameters, and LoRA with $r = 16$ on its seven projections adds 4,884,480 (lesson 3).
# Everything is in `float32`. How many MiB do the weights, the gradients and AdamW's two averages take, leaving out all
# activations? Give the number for full fine-tuning (`full_mib`) and that for LoRA (`lora_mib`).
#
# **Predict.** LoRA trains less than 4% of the parameters. Will it also take less than 4% of the memory?

# %% exercise="static_memory"
from loralab import check

full_mib = lora_mib = None
### BEGIN SOLUTION
frozen, adapter = 134_515_008, 4_884_480
full_mib = 16 * frozen / 2**20
lora_mib = (4 * frozen + 16 * adapter) / 2**20
### END SOLUTION

check("static_memory", full_mib, lora_mib)
