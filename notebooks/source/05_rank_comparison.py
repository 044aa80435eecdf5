# %% [markdown] lang="es"
# # 5 · ¿Qué rango?
#
# **Pregunta.** ¿Ayuda aquí un rango más alto, o solo lo parece?
#
# Entrenas LoRA con varios rangos y varias semillas, con los mismos datos, lotes y épocas, y decides qué se puede decir
# con un examen de este tamaño. Al terminar sabrás:
#
# - decir qué más cambia cuando cambias el rango;
# - leer varias semillas como puntos, y no como una media;
# - explicar por qué el mejor de varios suele parecer mejor de lo que es.
#
# Hacen falta las lecciones 3 y 4.

# %% [markdown] lang="en"
# # 5 · Which rank?
#
# **Question.** Does a higher rank help here, or does it only look as if it did?
#
# You train LoRA with several ranks and several seeds, with the same data, batches and epochs, and decide what an exam
# of this size allows you to say. By the end you can:
#
# - say what else changes when you change the rank;
# - read several seeds as dots, and not as a mean;
# - explain why the best of several tends to look better than it is.
#
# You need lessons 3 and 4.

# %%
from loralab import hand_over, start

LANGUAGE = "es"
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)

# %% [markdown] lang="es"
# ## La regla de la escala
#
# Estos son los rangos que vas a comparar. Fíjate en la última columna, el factor de $\frac{\alpha}{r} BA$: si cambias
# $r$ tienes que decir qué haces con $\alpha$, y hay tres convenciones:
#
# - **$\alpha$ fija**, la del artículo de LoRA ([Hu et al., 2021](https://arxiv.org/abs/2106.09685));
# - **$\alpha$ proporcional a $r$** (por ejemplo $\alpha = 2r$): el factor no cambia;
# - **$\alpha$ proporcional a $\sqrt{r}$**, o LoRA *rank-stabilized* ([Kalajdzievski,
#   2023](https://arxiv.org/abs/2312.03732)).

# %% [markdown] lang="en"
# ## The scale rule
#
# These are the ranks that you will compare. Look at the last column, the factor of $\frac{\alpha}{r} BA$: if you change
# $r$ you have to say what you do with $\alpha$, and there are three conventions:
#
# - **$\alpha$ fixed**, that of the LoRA paper ([Hu et al., 2021](https://arxiv.org/abs/2106.09685));
# - **$\alpha$ proportional to $r$** ($\alpha = 2r$, say): the factor does not change;
# - **$\alpha$ proportional to $\sqrt{r}$**, or *rank-stabilized* LoRA ([Kalajdzievski,
#   2023](https://arxiv.org/abs/2312.03732)).

# %% tags=["nbval-check-output"]
import pandas as pd

experiments = profile.rank_comparison()
firsts = [e for e in experiments if e.seed == profile.seeds[0]]
pd.DataFrame([{"r": e.rank, "alpha": e.alpha, "alpha/r": e.scale} for e in firsts])

# %% [markdown] lang="es"
# ¿Con cuál influye menos el rango en el primer paso? Lo probamos en unos segundos: un solo paso de AdamW, con la cabeza
# congelada y un solo lote, y miramos cuánto baja la pérdida. En $r = 8$, que no está en la figura, las tres reglas
# coinciden.

# %% [markdown] lang="en"
# With which does the rank affect the first step least? We try it in a few seconds: a single step of AdamW, with the
# head frozen and a single batch, and see how far the loss falls. At $r = 8$, which is not in the figure, the three
# rules agree.

# %%
from copy import deepcopy

import torch
from peft import LoraConfig, get_peft_model
from transformers import DataCollatorWithPadding

from loralab import detect, load_splits
from loralab.train import encode, load_for, load_tokenizer, target_modules

experiment = profile.experiment("lora")
tokenizer = load_tokenizer(experiment.model)
some = load_splits(experiment).train.head(8)
rows = encode(some, tokenizer, experiment.max_length).dataset
batch = DataCollatorWithPadding(tokenizer)(list(rows)).to(detect().kind)
untouched = load_for(experiment)
names = target_modules(untouched, "default")


def fall_of_loss(rank, alpha, draws=3):
    """How far one AdamW step on the adapter alone brings the loss down, on average."""
    falls = []
    for draw in range(draws):
        torch.manual_seed(draw)  # another A each time
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=names)
        model = get_peft_model(deepcopy(untouched), config)
        model = model.to(detect().kind).eval()  # eval: no dropout
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0)
        before = model(**batch).loss
        before.backward()
        optimizer.step()
        with torch.no_grad():
            falls.append((before - model(**batch).loss).item())
    return sum(falls) / draws


# %%
from loralab.lessons import scale_rules, winners_luck

ranks = [1, 4, 16, 64]
falls = {
    "fixed": [fall_of_loss(r, 16) for r in ranks],
    "proportional": [fall_of_loss(r, 2 * r) for r in ranks],
    "root": [fall_of_loss(r, 16 * (r / 8) ** 0.5) for r in ranks],
}
scale_rules(ranks, falls)

# %% [markdown] lang="es"
# En el primer paso de AdamW, cada número de $B$ se mueve lo que vale la tasa, o casi. Cada uno baja la pérdida en
# proporción a $s = \alpha / r$, y hay $r$ por fila: en total, en proporción a $\alpha$. Con $\alpha$ fija, el rango no
# cambia cuánto baja la pérdida en el primer paso; con las otras reglas, subir el rango es también subir la tasa a
# escondidas. Eso no hace neutral a $\alpha$ fija: a lo largo del entrenamiento, el factor puede frenar los rangos altos
# (es lo que defiende Kalajdzievski). Aquí **$\alpha$ es fija**, y lo dirá el título de la figura. Tampoco cambia la
# tasa: la del perfil `cpu` se eligió con $r = 8$, y eso puede favorecer a ese rango.
#
# ## Entrenar cada rango
#
# Usamos el test para describir los rangos, no para elegir uno. ¿Cuántos puntos de exactitud habrá, de media, entre el
# rango más alto y el más bajo? (Negativo, si crees que gana el bajo.)

# %% [markdown] lang="en"
# At AdamW's first step each number of $B$ moves by the rate, or hardly less. Each lowers the loss in proportion to
# $s = \alpha / r$, and there are $r$ to a row: in all, in proportion to $\alpha$. With $\alpha$ fixed, the rank does
# not change how far the first step lowers the loss; with the other rules, raising the rank also raises the rate by the
# back door. That does not make fixed $\alpha$ neutral: over a whole training run, the factor may hold high ranks back
# (as Kalajdzievski argues). Here **$\alpha$ is fixed**, and the figure's title will say so. The rate does not change
# either: the `cpu` profile's was chosen at $r = 8$, which may favour that rank.
#
# ## Train each rank
#
# We use the test to describe the ranks, not to choose one. How many points of accuracy will there be, on average,
# between the highest rank and the lowest? (Negative, if you think the low one wins.)

# %%
from loralab import message, number, percent, predict, run_all

guess_gain = predict("rank_gain", None)

# %%
results = run_all(experiments)

# %% [markdown] lang="es"
# Empecemos como se hace tantas veces: con una sola semilla. ¿Qué rango gana? ¿Y con la semilla siguiente?

# %% [markdown] lang="en"
# Let us begin as is so often done: with a single seed. Which rank wins? And with the next seed?

# %%
for seed in profile.seeds:
    own = [result for result in results if result.experiment.seed == seed]
    order = sorted(own, key=lambda result: -result.test["accuracy"])
    places = [
        f"r={r.experiment.rank} ({percent(r.test['accuracy'], 2)})" for r in order
    ]
    print(f"{message('seed')} {seed}:", " > ".join(places))

# %% [markdown] lang="es"
# Quien solo hubiera entrenado una fila habría publicado esa. ¿Y si las tres coinciden? Mira por cuánto, y no solo
# quién. Si dos rangos fueran iguales, que el mismo ganara las tres veces pasaría una de cada cuatro; y las tres
# semillas hacen el mismo examen, así que su suerte se repite. Ahora todas a la vez: cada punto es un entrenamiento, y
# una línea une los de la misma semilla. A la derecha, como escala, la suerte del examen de la lección 1. (Esa mueve
# todos los puntos casi igual, porque hacen el mismo examen: cuánto distan dos se juzga por pares, más abajo.)

# %% [markdown] lang="en"
# Anyone who had trained only one row would have published that one. And if all three agree? Look at by how much, and
# not only at who. If two ranks were equal, the same one would win all three times one time in four; and the three seeds
# sit the same exam, so that its luck is repeated. Now all at once: each dot is a training run, and a line joins those
# of one seed. On the right, as a scale, the exam luck of lesson 1. (It moves all dots nearly alike, for they sit the
# same exam: how far apart two are is judged in pairs, below.)

# %%
from loralab.show import compare, comparison_table, rank_verdict, score_against_rank

low, high = min(profile.ranks), max(profile.ranks)
by_rank = {
    rank: [r.test["accuracy"] for r in results if r.experiment.rank == rank]
    for rank in profile.ranks
}
gains = [100 * (a - b) for a, b in zip(by_rank[high], by_rank[low], strict=True)]
least, most = number(min(gains), 1), number(max(gains), 1)
guess_gain.compare(sum(gains) / len(gains), least=least, most=most)
score_against_rank(results, rank_verdict(results, experiment.rank))

# %% [markdown] lang="es"
# ## La suerte del ganador
#
# Supón que el rango no importara nada: cinco rangos **idénticos**, todos con la misma exactitud verdadera, y una
# desviación típica de 0,5 puntos entre entrenamientos. Entrenas cada uno una vez y te quedas con el mejor. ¿Cuántos
# puntos por encima de la verdad quedará su nota, de media?

# %% [markdown] lang="en"
# ## Winner's luck
#
# Suppose that the rank did not matter at all: five **identical** ranks, all with the same true accuracy, and a standard
# deviation of 0.5 points between training runs. You train each once and keep the best. How many points above the truth
# will its score lie, on average?

# %%
guess_luck = predict("winner_luck", None)

# %%
import numpy as np

studies = np.random.default_rng(0).normal(0, 0.5, size=(20_000, 5))
leads = studies.max(axis=1)
assert abs(leads.mean() - 0.5 * 1.163) < 0.01
guess_luck.compare(leads.mean())
winners_luck(leads, ranks=5)

# %% [markdown] lang="es"
# Por eso el test no elige: se elige en validación, y se mira el test una vez, con lo ya elegido.
#
# ## El veredicto
#
# Comparamos cada rango con el del perfil **por pares**: misma semilla, mismas frases. Solo cuentan las frases en las
# que uno acierta y el otro falla. El ± reúne la suerte del examen y, si hay varias semillas, la del entrenamiento. Y
# como miramos varias veces, a cada comparación le exigimos más: si son dos, su intervalo es del 97,5 %, para que el
# riesgo de que falle alguna no pase del 5 %. «No se puede decir» no significa «son iguales»: significa que este examen,
# con estas semillas, no basta para distinguirlos.

# %% [markdown] lang="en"
# That is why the test does not choose: one chooses on validation, and looks at the test once, with the choice made.
#
# ## The verdict
#
# We compare each rank with the profile's **in pairs**: same seed, same sentences. Only the sentences that one gets
# right and the other wrong count. The ± has exam luck in it and, if there are several seeds, training luck. And as we
# look several times, we ask more of each look: with two, its interval is at 97.5%, so that the risk of any going wrong
# is 5% at most. “Cannot tell” does not mean “they are equal”: it means that this exam, with these seeds, is not enough
# to tell them apart.

# %%
groups = {
    rank: [r for r in results if r.experiment.rank == rank] for rank in profile.ranks
}
base = groups.pop(experiment.rank)
level = 1 - 0.05 / max(1, len(groups))
for group in groups.values():
    print("-", compare(group, base, level))

# %% [markdown] lang="es"
# Los dos ± pueden ser muy distintos: con tan pocas semillas pesa mucho cuánto se parecen entre sí sus diferencias. La
# lección 8 lo estudia con más rangos y más semillas.
#
# ## Lo que cuesta
#
# Los parámetros del adaptador son proporcionales al rango; la cabeza es siempre la misma. ¿Los siguen el tiempo y la
# memoria?

# %% [markdown] lang="en"
# The two ± may be quite different: with so few seeds it matters much how alike their differences are. Lesson 8 studies
# it with more ranks and more seeds.
#
# ## What it costs
#
# The adapter's parameters are proportional to the rank; the head is always the same. Do time and memory follow them?

# %%
per_rank = {r.parameters["adapter"] / r.experiment.rank for r in results}
assert len(per_rank) == len({r.parameters["head"] for r in results}) == 1
comparison_table(results)

# %% [markdown] lang="es"
# La memoria la manda la base. De los segundos no te fíes: se midieron en momentos distintos (la lección 6 mide mejor).
#
# ## ¿Y en la otra tarea?
#
# Los mismos rangos para don Quijote, con la $\alpha$ del perfil (su rango de partida es 16, y para ese se eligió la
# tasa del perfil `cpu`). ¿Cuántos nats por *token* cambiará la pérdida al pasar del rango más bajo al más alto?
# (Negativo, si crees que baja.)

# %% [markdown] lang="en"
# Memory is ruled by the base. Do not trust the seconds: they were taken at different moments (lesson 6 measures
# better).
#
# ## And in the other task?
#
# The same ranks for Don Quixote, with the profile's $\alpha$ (its own rank is 16, and the `cpu` profile's rate was
# chosen for that one). How many nats per token will the loss change by from the lowest rank to the highest? (Negative,
# if you think that it falls.)

# %%
persona = profile.generation
guess_persona = predict("persona_gain", None)

# %%
spoken = run_all(persona.rank_comparison())
losses = {rank: [] for rank in persona.ranks}
for result in spoken:
    losses[result.experiment.rank].append(result.test["loss"])
mean = {rank: sum(each) / len(each) for rank, each in losses.items()}
guess_persona.compare(mean[max(mean)] - mean[min(mean)])
score_against_rank(spoken, rank_verdict(spoken, persona.experiment("lora").rank))

# %% [markdown] lang="es"
# Si tu perfil trae una sola semilla para esta tarea (así es en una CPU), el ± no recoge la suerte del entrenamiento: el
# título da la diferencia de pérdida (positiva, peor) entre **estos** modelos, no qué rango es mejor. Además, el ± toma
# las preguntas por independientes, y son de pocos temas: con otros, la diferencia podría moverse más.

# %% [markdown] lang="en"
# If your profile has a single seed for this task (as on a CPU), the ± leaves out training luck: the title gives the
# difference in loss (positive is worse) between **these** models, not which rank is better. Besides, the ± takes the
# questions as independent, and they are on few topics: with others the difference might move further.

# %% [markdown] lang="es"
# ## ¿Y fuera de aquí?
#
# En el artículo de LoRA, GPT-3 con LoRA tiene en WikiSQL (preguntas que hay que pasar a SQL) esta exactitud de
# validación, en % ([Hu et al., 2021](https://arxiv.org/abs/2106.09685), tablas 5 y 6):
#
# | $r$ | 1 | 2 | 4 | 8 | 64 |
# |---|---|---|---|---|---|
# | *query* y *value* | 73,4 | 73,3 | 73,7 | 73,8 | 73,5 |
# | solo *query* | 68,8 | 69,6 | 70,5 | 70,4 | 70,0 |
#
# El artículo da una desviación típica entre semillas de unos 0,5 puntos: es lo que varía la nota entre entrenamientos,
# no un intervalo del 95 % como nuestro ±. En la primera fila, ninguna diferencia pasa de ahí; en la segunda,
# $r = 1$ queda por debajo.

# %% [markdown] lang="en"
# ## And elsewhere?
#
# In the LoRA paper, GPT-3 with LoRA on WikiSQL (questions to be turned into SQL) has this validation accuracy, in %
# ([Hu et al., 2021](https://arxiv.org/abs/2106.09685), tables 5 and 6):
#
# | $r$ | 1 | 2 | 4 | 8 | 64 |
# |---|---|---|---|---|---|
# | *query* and *value* | 73.4 | 73.3 | 73.7 | 73.8 | 73.5 |
# | *query* only | 68.8 | 69.6 | 70.5 | 70.4 | 70.0 |
#
# The paper gives a standard deviation between seeds of about 0.5 points: that is how much the score varies from run to
# run, not a 95% interval like our ±. In the first row, no difference is larger than that; in the second, $r = 1$ lies
# below.

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - Lo que dice el título de la figura, en este examen y con estas semillas. Nada más.
# - El orden de los rangos con una sola semilla no es un resultado.
# - Doblar el rango dobla el adaptador: eso no depende de la suerte.
# - El mejor de varios lleva premio sin merecerlo; por eso se elige en validación.
#
# Siguiente lección: el *fine-tuning* completo, por fin, al lado de LoRA.

# %% [markdown] lang="en"
# ## What you may now claim, and on what evidence
#
# - What the figure's title says, on this exam and with these seeds. Nothing more.
# - The order of the ranks with a single seed is no result.
# - Doubling the rank doubles the adapter: that owes nothing to luck.
# - The best of several gets a bonus it has not earned; that is why one chooses on validation.
#
# Next lesson: full fine-tuning, at last, beside LoRA.

# %% [markdown] lang="es"
# ## Ejercicios
#
# Escribe tu respuesta en lugar de `None` y ejecuta la celda: `check` te dice si es correcta y, si no, qué error has
# cometido. Antes de calcular, predice. Las soluciones están en `notebooks/source`, junto a cada ejercicio;
# `make solutions` las pone en cuadernos. Los que entrenan dicen cuántos entrenamientos son; `run_all` carga los ya hechos.

# %% [markdown] lang="en"
# ## Exercises
#
# Write your answer in place of `None` and run the cell: `check` tells you whether it is right and, if not, which
# mistake you have made. Before you compute, predict. The solutions are in `notebooks/source`, beside each exercise;
# `make solutions` puts them into notebooks. Those that train say how many runs it takes; `run_all` loads the ones
# already done.

# %% [markdown] lang="es"
# ### Los rangos, con otra regla
#
# En la lección, $\alpha$ era fija. Repite la comparación con $\alpha = 2r$: entrena $r = 4$, 8 y 16, cada uno con todas
# las semillas del perfil y lo demás igual. Entrega:
#
# - `results`: todos los resultados, en una lista;
# - `table`: para cada rango, tres medias sobre sus semillas: la exactitud en test (de 0 a 1), los segundos de
#   entrenamiento (sin la evaluación) y la memoria máxima, en MiB;
# - `gap`: para 4 y para 16, los dos extremos del intervalo de su exactitud menos la de $r = 8$, por pares y en puntos,
#   con el nivel que toca cuando se hacen dos comparaciones;
# - `against_8`: para 4 y para 16, lo que dice ese intervalo: `"better"`, `"worse"` o `"cannot tell"`.
#
# La celda trae las funciones del curso: `difference(a, b)` es la diferencia por pares de dos grupos de resultados;
# `.mean` da su media y `.half(level)`, la mitad de su intervalo, en tanto por uno. Es un entrenamiento por rango y
# semilla; los de $r = 8$ ya están hechos, porque ahí las dos reglas coinciden.
#
# **Predice.** Con esta regla, subir el rango agranda también el primer paso. ¿Se separarán los rangos más que con
# $\alpha$ fija? ¿Y cambiará lo que cuesta cada uno?

# %% [markdown] lang="en"
# ### The ranks, under another rule
#
# In the lesson $\alpha$ was fixed. Repeat the comparison with $\alpha = 2r$: train $r = 4$, 8 and 16, each with all the
# profile's seeds and the rest as it was. Hand in:
#
# - `results`: all the results, in a list;
# - `table`: for each rank, three means over its seeds: test accuracy (0 to 1), training seconds (without evaluation)
#   and peak memory, in MiB;
# - `gap`: for 4 and for 16, both ends of the interval of its accuracy minus that of $r = 8$, in pairs and in points, at
#   the level that goes with two comparisons;
# - `against_8`: for 4 and for 16, what that interval says: `"better"`, `"worse"` or `"cannot tell"`.
#
# The cell brings the course's functions: `difference(a, b)` is the paired difference of two groups of results; `.mean`
# gives its mean and `.half(level)` half of its interval, as shares. It takes one run for each rank and seed;
# those of $r = 8$ are done already, because there the two rules agree.
#
# **Predict.** Under this rule, raising the rank also enlarges the first step. Will the ranks lie further apart than
# with $\alpha$ fixed? And will what each costs change?

# %% exercise="rank_study"
from loralab import check, run_all
from loralab.show import difference, peak_bytes, training_seconds

results = None  # every result, in a list
table = None  # {rank: (test accuracy, training seconds, peak MiB)}
gap = None  # {rank: (low, high)}, points
against_8 = None  # {rank: "better", "worse" or "cannot tell"}
### BEGIN SOLUTION
results = run_all(
    [
        profile.experiment("lora", rank=r, alpha=2 * r, seed=seed)
        for r in (4, 8, 16)
        for seed in profile.seeds
    ]
)
groups = {r: [x for x in results if x.experiment.rank == r] for r in (4, 8, 16)}


def mean(values):
    return sum(values) / len(values)


table = {
    r: (
        mean([x.test["accuracy"] for x in group]),
        mean([training_seconds(x) for x in group]),
        mean([peak_bytes(x) for x in group]) / 2**20,
    )
    for r, group in groups.items()
}
gap, against_8 = {}, {}
for r in (4, 16):
    found = difference(groups[r], groups[8])
    half = found.half(1 - 0.05 / 2)
    low, high = 100 * (found.mean - half), 100 * (found.mean + half)
    gap[r] = (low, high)
    against_8[r] = "better" if low > 0 else "worse" if high < 0 else "cannot tell"
### END SOLUTION

check("rank_study", profile, results, table, gap, against_8)

# %% [markdown] lang="es"
# ### Más matrices o más rango
#
# Con el mismo número de parámetros puedes poner $r = 8$ en dos matrices de cada bloque, consulta y valor, o $r = 4$ en
# las cuatro de la atención: consulta, clave, valor y salida. ¿Qué conviene más aquí? Entrena las dos opciones con todas
# las semillas del perfil, con su $\alpha$ y lo demás igual. Entrega:
#
# - `few`: los resultados con dos matrices, que son los de la lección;
# - `many`: los resultados con las cuatro, un entrenamiento por semilla;
# - `gap`: los dos extremos del intervalo del 95 % de la exactitud de `many` menos la de `few`, por pares y en puntos;
# - `outcome`: lo que dice ese intervalo de `many`: `"better"`, `"worse"` o `"cannot tell"`.
#
# Las matrices se piden con `target_modules`, por el final de su nombre. Míralos con `named_modules()` en la base del
# perfil, que da `load_base`. En un BERT hay que fijarse bien: la de salida comparte la última palabra con otras capas.
# Comprueba en `parameters["adapter"]` que los dos adaptadores tienen el mismo tamaño.
#
# **Predice.** ¿Qué ganará: llegar a más matrices o tener más rango en cada una?

# %% [markdown] lang="en"
# ### More matrices or more rank
#
# With the same number of parameters you can put $r = 8$ on two matrices of each block, query and value, or $r = 4$ on
# all four of the attention: query, key, value and output. Which is better here? Train both options with all the
# profile's seeds, with its $\alpha$ and the rest as it is. Hand in:
#
# - `few`: the results with two matrices, which are the lesson's;
# - `many`: the results with all four, one run for each seed;
# - `gap`: both ends of the 95% interval of the accuracy of `many` minus that of `few`, in pairs and in points;
# - `outcome`: what that interval says of `many`: `"better"`, `"worse"` or `"cannot tell"`.
#
# Matrices are asked for with `target_modules`, by the end of their name. Look at the names with `named_modules()` in
# the profile's base, which `load_base` gives. In a BERT one has to look closely: the output matrix shares its last word
# with other layers. Check in `parameters["adapter"]` that both adapters are of the same size.
#
# **Predict.** Which will win, reaching more matrices or having more rank in each?

# %% exercise="modules_study"
from loralab import check, run_all
from loralab.show import difference
from loralab.train import models

few = None  # results with query and value, r = 8
many = None  # results with all four, r = 4
gap = None  # (low, high), points
outcome = None  # "better", "worse" or "cannot tell"
### BEGIN SOLUTION
base = models.load_base(profile.experiment("lora").model, seed=0)
names = ("query", "key", "value", "attention.output.dense")  # a BERT's, a RoBERTa's
if base.config.model_type == "distilbert":
    names = ("q_lin", "k_lin", "v_lin", "out_lin")


def seeded(**changes):
    seeds = profile.seeds
    return run_all([profile.experiment("lora", seed=s, **changes) for s in seeds])


few = seeded(rank=8)
many = seeded(rank=4, target_modules=names)
found = difference(many, few)
low, high = 100 * (found.mean - found.half()), 100 * (found.mean + found.half())
gap = (low, high)
outcome = "better" if low > 0 else "worse" if high < 0 else "cannot tell"
### END SOLUTION

check("modules_study", profile, few, many, gap, outcome)

# %% [markdown] lang="es"
# ### El premio al mejor de tres
#
# Ahora son tres rangos idénticos, y la desviación típica entre entrenamientos es de 0,8 puntos. Entrenas cada uno una
# vez y te quedas con el mejor. ¿Cuántos puntos por encima de la exactitud verdadera quedará su nota, de media? Puedes
# simularlo.
#
# **Predice.** Hay menos candidatos que en la lección, pero cada nota se mueve más. ¿Será el premio mayor o menor que
# aquel?

# %% [markdown] lang="en"
# ### The bonus of the best of three
#
# Now there are three identical ranks, and the standard deviation between runs is 0.8 points. You train each once and
# keep the best. How many points above the true accuracy will its score lie, on average? You may simulate it.
#
# **Predict.** There are fewer candidates than in the lesson, but each score moves further. Will the bonus be larger or
# smaller than that one?

# %% exercise="winner_bonus"
import numpy as np

from loralab import check

bonus = None  # points
### BEGIN SOLUTION
scores = np.random.default_rng(0).normal(0, 0.8, size=(100_000, 3))
bonus = scores.max(axis=1).mean()
### END SOLUTION

check("winner_bonus", bonus)
