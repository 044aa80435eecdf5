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
# - explicar por qué el mejor de varios suele parecer mejor de lo que es;
# - leer un intervalo, y saber cuánto cuesta tener pocas semillas.
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
# - explain why the best of several tends to look better than it is;
# - read an interval, and know what few seeds cost.
#
# You need lessons 3 and 4.

# %%
from loralab import hand_over, start

LANGUAGE = "es"
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)

# %% [markdown] lang="es"
# Estos son los rangos que vas a comparar, con la $\alpha$ del perfil. Fíjate en la última columna: cambia con el rango.

# %% [markdown] lang="en"
# These are the ranks that you will compare, with the profile's $\alpha$. Look at the last column: it changes with the
# rank.

# %% tags=["nbval-check-output"]
import pandas as pd

experiments = profile.rank_comparison()
firsts = [e for e in experiments if e.seed == profile.seeds[0]]
pd.DataFrame([{"r": e.rank, "alpha": e.alpha, "alpha/r": e.scale} for e in firsts])

# %% [markdown] lang="es"
# ## La regla de la escala
#
# La actualización es $\frac{\alpha}{r} BA$. Si cambias $r$ tienes que decir qué haces con $\alpha$, y hay tres
# convenciones:
#
# - **$\alpha$ fija**, la del artículo de LoRA ([Hu et al., 2021](https://arxiv.org/abs/2106.09685));
# - **$\alpha$ proporcional a $r$** (por ejemplo $\alpha = 2r$): el factor no cambia;
# - **$\alpha$ proporcional a $\sqrt{r}$**, o LoRA *rank-stabilized* ([Kalajdzievski,
#   2023](https://arxiv.org/abs/2312.03732)): el factor baja como $1/\sqrt{r}$.
#
# ¿Con cuál influye menos el rango en el primer paso? Lo probamos en unos segundos: un solo paso de AdamW, con la cabeza
# congelada y un solo lote, y miramos cuánto baja la pérdida. Las tres reglas coinciden en $r = 8$.

# %% [markdown] lang="en"
# ## The scale rule
#
# The update is $\frac{\alpha}{r} BA$. If you change $r$ you have to say what you do with $\alpha$, and there are three
# conventions:
#
# - **$\alpha$ fixed**, that of the LoRA paper ([Hu et al., 2021](https://arxiv.org/abs/2106.09685));
# - **$\alpha$ proportional to $r$** ($\alpha = 2r$, say): the factor does not change;
# - **$\alpha$ proportional to $\sqrt{r}$**, or *rank-stabilized* LoRA ([Kalajdzievski,
#   2023](https://arxiv.org/abs/2312.03732)): the factor falls as $1/\sqrt{r}$.
#
# With which does the rank affect the first step least? We try it in a few seconds: a single step of AdamW, with the
# head frozen and a single batch, and see how far the loss falls. The three rules agree at $r = 8$.

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
from loralab.lessons import scale_rules

ranks = [1, 4, 16, 64]
falls = {
    "fixed": [fall_of_loss(r, 16) for r in ranks],
    "proportional": [fall_of_loss(r, 2 * r) for r in ranks],
    "root": [fall_of_loss(r, 16 * (r / 8) ** 0.5) for r in ranks],
}
scale_rules(ranks, falls)

# %% [markdown] lang="es"
# ¿Por qué? En el primer paso de AdamW los dos promedios salen del mismo gradiente y su cociente es ±1: cada número de
# $B$ se mueve justo la tasa, en el sentido que baja la pérdida. Cada uno la baja en proporción a su gradiente, que
# lleva el factor $s = \alpha / r$, y hay $r$ por fila. En total, en proporción a $s \cdot r = \alpha$. Con $\alpha$
# fija, por tanto, el rango no cambia el tamaño del primer paso, salvo el azar de $A$: si los rangos acaban distintos,
# no será porque unos dieran pasos mayores al empezar. Con las otras reglas, subir el rango es también, en ese primer
# paso, subir la tasa a escondidas. Eso no hace neutral a $\alpha$ fija: a lo largo del entrenamiento, el factor $\alpha
# / r$ puede frenar los rangos altos (es lo que defiende Kalajdzievski), así que lo que veamos vale para esta regla.
# Aquí **$\alpha$ es fija**, y lo dirá el título de la figura que compara los rangos. La tasa tampoco cambia: la del
# perfil `cpu` se eligió con $r = 8$ y los datos del curso, y eso puede favorecer a ese rango.

# %% [markdown] lang="en"
# Why? At AdamW's first step both averages come from the same gradient and their quotient is ±1: each number of $B$
# moves by exactly the rate, in the direction that lowers the loss. Each lowers it in proportion to its gradient, which
# carries the factor $s = \alpha / r$, and there are $r$ to a row. In all, in proportion to $s \cdot r = \alpha$. With
# $\alpha$ fixed, then, the rank does not change the size of the first step, apart from the luck of $A$: if the ranks
# end up different, it will not be because some took larger steps at the start. With the other rules, raising the rank
# also raises the rate, in that first step, by the back door. That does not make fixed $\alpha$ neutral: over a whole
# training run, the factor $\alpha / r$ may hold high ranks back (as Kalajdzievski argues), so what we see holds for
# this rule. Here **$\alpha$ is fixed**, and the title of the figure that compares the ranks will say so. The rate does
# not change either: the `cpu` profile's was chosen at $r = 8$ on the course's data, which may favour that rank.

# %% [markdown] lang="es"
# ## Entrenar cada rango
#
# Aquí usamos el test para describir los rangos, no para elegir uno. Antes de seguir, apuesta: ¿cuántos puntos de
# exactitud habrá, de media, entre el rango más alto y el más bajo? (Negativo, si crees que gana el bajo.)

# %% [markdown] lang="en"
# ## Train each rank
#
# Here we use the test to describe the ranks, not to choose one. Before you go on, bet: how many points of accuracy will
# there be, on average, between the highest rank and the lowest? (Negative, if you think the low one wins.)

# %%
from loralab import predict

guess_gain = predict("rank_gain", None)

# %% [markdown] lang="es"
# Cada rango se entrena con cada semilla. Si hiciste la lección 4 en esta misma máquina, los de $r = 8$ ya están hechos.
# (En Colab cada cuaderno tiene la suya: solo lo están si en los dos marcaste `DRIVE`.) En el perfil `cpu`, con los datos
# del curso, los demás tardan alrededor de un minuto cada uno en dos núcleos.

# %% [markdown] lang="en"
# Each rank is trained with each seed. If you did lesson 4 on this same machine, those of $r = 8$ are done already. (In
# Colab each notebook has a machine of its own: they are only if you ticked `DRIVE` in both.) In the `cpu` profile, on the
# course's data, the others take about a minute each on two cores.

# %%
from loralab import run_all

results = run_all(experiments)

# %% [markdown] lang="es"
# Empecemos como se hace tantas veces: con una sola semilla. ¿Qué rango gana? ¿Y con la semilla siguiente?

# %% [markdown] lang="en"
# Let us begin as is so often done: with a single seed. Which rank wins? And with the next seed?

# %%
from loralab import message, percent

for seed in profile.seeds:
    own = [result for result in results if result.experiment.seed == seed]
    order = sorted(own, key=lambda result: -result.test["accuracy"])
    print(
        f"{message('seed')} {seed}:",
        " > ".join(
            f"r={result.experiment.rank} ({percent(result.test['accuracy'], 2)})"
            for result in order
        ),
    )

# %% [markdown] lang="es"
# Quien solo hubiera entrenado una fila habría publicado esa. Ahora todas a la vez: cada punto es un entrenamiento, y
# una línea une los de la misma semilla. A la derecha, como escala, la suerte del examen de la lección 1.

# %% [markdown] lang="en"
# Whoever had trained one row only would have published that one. Now all at once: each dot is a training run, and a
# line joins those of one seed. On the right, as a scale, the exam luck of lesson 1.

# %%
from loralab.show import rank_verdict, score_against_rank

score_against_rank(results, rank_verdict(results, experiment.rank))

# %%
from loralab import number

low, high = min(profile.ranks), max(profile.ranks)
by_rank = {
    rank: [r.test["accuracy"] for r in results if r.experiment.rank == rank]
    for rank in profile.ranks
}
gains = [100 * (a - b) for a, b in zip(by_rank[high], by_rank[low], strict=True)]
guess_gain.compare(
    sum(gains) / len(gains), least=number(min(gains), 1), most=number(max(gains), 1)
)

# %% [markdown] lang="es"
# ## La suerte del ganador
#
# Supón que el rango no importara nada: cinco rangos **idénticos**, todos con la misma exactitud verdadera, y una
# desviación típica de 0,5 puntos entre entrenamientos. Entrenas cada uno una vez y te quedas con el mejor. ¿Cuántos
# puntos por encima de la exactitud verdadera quedará su nota, de media?

# %% [markdown] lang="en"
# ## Winner's luck
#
# Suppose that the rank did not matter at all: five **identical** ranks, all with the same true accuracy, and a standard
# deviation of 0.5 points between training runs. You train each once and keep the best. How many points above the true
# accuracy will its score lie, on average?

# %%
guess_luck = predict("winner_luck", None)

# %%
import numpy as np

from loralab.lessons import winners_luck

studies = np.random.default_rng(0).normal(0, 0.5, size=(20_000, 5))
leads = studies.max(axis=1)
assert abs(leads.mean() - 0.5 * 1.163) < 0.01
guess_luck.compare(leads.mean())
winners_luck(leads, ranks=5)

# %% [markdown] lang="es"
# **Hazlo mal a propósito.** Con nuestros propios resultados: partimos el test en dos mitades al azar, elegimos el mejor
# entrenamiento con una mitad y miramos su nota en la otra. Lo repetimos 500 veces, con los papeles cambiados también.
# La nota con la que se elige sale hinchada, de media.

# %% [markdown] lang="en"
# **Break it.** With our own results: we cut the test into two random halves, choose the best run on one half and look
# at its score on the other. We repeat it 500 times, with the roles swapped too. The score by which one chooses comes
# out inflated on average.

# %%
right = np.array([np.equal(r.predictions, r.labels) for r in results])
random = np.random.default_rng(0)
chosen_on, then_on = [], []
for _ in range(500):
    halves = np.array_split(random.permutation(right.shape[1]), 2)
    for one, other in (halves, halves[::-1]):
        best = right[:, one].mean(axis=1).argmax()
        chosen_on.append(right[best, one].mean())
        then_on.append(right[best, other].mean())
inflated = np.mean(chosen_on) - np.mean(then_on)
assert inflated >= 0
print(percent(np.mean(chosen_on)), "→", percent(np.mean(then_on)))

# %% [markdown] lang="es"
# Por eso el test no elige. La solución es elegir en validación y mirar el test una vez, con lo ya elegido. La celda da
# la pérdida de cada rango (menos es mejor) y, después, la exactitud en test del elegido.

# %% [markdown] lang="en"
# That is why the test does not choose. The fix is to choose on validation, and to look at the test once, with the
# choice made. The cell gives the loss of each rank (less is better) and then the test accuracy of the chosen one.

# %%
validation = {
    rank: np.mean([r.epochs[-1]["loss"] for r in results if r.experiment.rank == rank])
    for rank in profile.ranks
}
chosen = min(validation, key=validation.get)
losses = " · ".join(f"r={r}: {number(x, 3)}" for r, x in validation.items())
print(message("loss_axis"), losses)
print(f"r={chosen}:", percent(np.mean(by_rank[chosen])))

# %% [markdown] lang="es"
# ## ¿Cuántas semillas?
#
# Si la pérdida baja siempre al subir el rango, es un indicio a favor del rango, aunque la exactitud no lo recoja; pero
# son pocas semillas y no le hemos puesto ningún ±. Y si gana el rango más alto de los probados, habría que probar el
# siguiente.
#
# En la lección 1 sabíamos la verdad y mirábamos dónde caían las notas. Ahora es al revés: tenemos unas notas y buscamos
# la verdad. Un **intervalo del 95 %** sale de una receta que, repetida en muchos estudios, atrapa el valor verdadero en
# el 95 % de ellos; si el nuestro es uno de esos, no se sabe.
#
# La media de $k$ entrenamientos se mueve menos que uno solo: su desviación típica es $SD / \sqrt{k}$, con SD la de un
# entrenamiento. Si conociéramos la SD, el intervalo sería la media ± $1{,}96\,SD / \sqrt{k}$. Pero la SD sale de esas
# mismas $k$ notas (dividiendo entre $k - 1$: `ddof=1`), y con tan pocas puede salir muy corta. Por eso el factor que
# multiplica a la SD es mayor cuantas menos hay ([Student, 1908](https://doi.org/10.1093/biomet/6.1.1)).

# %% [markdown] lang="en"
# ## How many seeds?
#
# If the loss falls all the way as rank rises, that is a hint in favour of rank, even if accuracy does not show it; but
# the seeds are few and we gave it no ±. And if the highest rank tried wins, one should try the next.
#
# In lesson 1 we knew the truth and watched where the scores fell. Now it is the other way round: we have scores and
# want the truth. A **95% interval** comes from a recipe that, repeated over many studies, catches the true value in 95%
# of them; whether ours is one of those, we do not know.
#
# The mean of $k$ runs wanders less than one run: its standard deviation is $SD / \sqrt{k}$, with SD that of one run. If
# we knew the SD, the interval would be the mean ± $1.96\,SD / \sqrt{k}$. But the SD comes from those same $k$ scores
# (dividing by $k - 1$: `ddof=1`), and with so few it can come out far too small. So the factor that multiplies the SD
# is larger the fewer there are ([Student, 1908](https://doi.org/10.1093/biomet/6.1.1)).

# %% tags=["nbval-check-output"]
from loralab.show import seed_factor

for k in (2, 3, 5, 10):
    print(f"k = {k:2}: ±", number(seed_factor(k), 2), "SD")
assert round(seed_factor(3), 2) == 2.48 and round(seed_factor(5), 2) == 1.24

# %% [markdown] lang="es"
# ¿Cumple lo que promete? Simulamos 2000 estudios de 3 semillas cuyo valor verdadero conocemos, y contamos cuántos
# intervalos lo contienen. Al lado, lo mismo con $1{,}96/\sqrt{3}$, que toma la SD por conocida.

# %% [markdown] lang="en"
# Does it keep its promise? We simulate 2,000 studies of 3 seeds whose true value we know, and count how many intervals
# hold it. Beside it, the same with $1.96/\sqrt{3}$, which takes the SD as known.

# %%
runs = np.random.default_rng(1).normal(80, 0.5, size=(2000, 3))
off, spread = np.abs(runs.mean(axis=1) - 80), runs.std(axis=1, ddof=1)
caught = (off < seed_factor(3) * spread).mean()
naive = (off < 1.96 / np.sqrt(3) * spread).mean()
assert abs(caught - 0.95) < 0.02 and naive < 0.9
print(percent(caught), "·", percent(naive))

# %% [markdown] lang="es"
# ## El veredicto
#
# Comparamos cada rango con el del perfil (8, en los del curso) **por pares**: misma semilla, mismas frases. Solo
# cuentan las frases en las que uno acierta y el otro falla, y eso afina más que mirar si dos barras se tocan. El ±
# reúne la suerte del examen y, si hay varias semillas, la del entrenamiento (la lección 6 explica cómo). Y como miramos
# varias veces, a cada comparación le exigimos más: con dos comparaciones, el intervalo de cada una es del 97,5 %, para
# que entre las dos se equivoquen como mucho un 5 % de las veces (corrección de Bonferroni).

# %% [markdown] lang="en"
# ## The verdict
#
# We compare each rank with the profile's (8, in the course's) **in pairs**: same seed, same sentences. Only the
# sentences that one gets right and the other wrong count, which is sharper than checking whether two bars touch. The ±
# has exam luck in it and, if there are several seeds, training luck (lesson 6 explains how). And as we look several
# times, we ask more of each look: with two comparisons, each one's interval is at 97.5%, so that both together err 5%
# of the time at most (Bonferroni's correction).

# %%
from IPython.display import Markdown

from loralab.show import compare

groups = {
    rank: [r for r in results if r.experiment.rank == rank] for rank in profile.ranks
}
base = groups.pop(experiment.rank)
level = 1 - 0.05 / max(1, len(groups))
lines = [compare(group, base, level) for group in groups.values()]
Markdown("\n".join(f"- {line}" for line in lines))

# %% [markdown] lang="es"
# «No se puede decir» no significa «son iguales»: significa que este examen, con estas semillas, no basta para
# distinguirlos. Y este ± no es el de la tabla: es de una diferencia, pide más (el 97,5 %, con dos comparaciones) y, si
# hay varias semillas, cuenta también la suerte de los entrenamientos.
#
# ## Lo que dice el estudio
#
# Para afinar más hacen falta más semillas, y esos entrenamientos ya están hechos: el curso trae los resultados de un
# **estudio** con más rangos y más semillas, en `data/reference`. La tabla tiene una fila por rango: su nota, la de cada
# semilla, y la diferencia con $r = 8$ por pares, con un ± del 95 % sin corregir: son varias comparaciones, así que con
# que una deje fuera el cero no basta. (Se hizo con la versión 1 del entrenamiento, en la que LoRA dejaba el `pooler`
# como estaba; los tuyos son de la 2.)

# %% [markdown] lang="en"
# “Cannot tell” does not mean “they are equal”: it means that this exam, with these seeds, is not enough to tell them
# apart. And this ± is not the table's: it belongs to a difference, asks for more (97.5%, with two comparisons) and, if
# there are several seeds, counts the luck of the runs too.
#
# ## What the study says
#
# To see finer differences one needs more seeds, and those runs have been done: the course comes with the results of a
# **study** with more ranks and more seeds, in `data/reference`. The table has a row a rank: its score, that of each
# seed, and the difference from $r = 8$ in pairs, with a ± at 95%, uncorrected: there are several comparisons, so that
# one of them leaves out zero is not enough. (It was done with version 1 of the training, in which LoRA left the `pooler`
# as it was; yours are of version 2.)

# %%
from loralab.evidence import group_table, rank_groups, reference

study, persona_study = reference()
theirs = study.of("lora")[0].experiment
print(
    theirs.dataset, theirs.model, theirs.train_size, theirs.test_size, study.track.seeds
)
group_table(rank_groups(study), beside=f"r = {theirs.rank}")

# %% [markdown] lang="es"
# En lugar de mirar los rangos de dos en dos, se puede preguntar a todos a la vez: ¿sube la nota, en promedio, cada vez
# que el rango se dobla? Se ajusta una recta a la nota frente a $\log_2 r$ y se mira cuánto sube del rango más bajo al
# más alto. Es la primera fila: se confirma si todo el intervalo de esa subida llega al margen, se refuta si no llega
# ninguna parte, y queda sin decidir si llega solo una. La segunda mira si con $r = 4$ y con $r = 8$ se llega a lo que da
# el más alto, con una diferencia menor que el margen. Aquí el ± es el del 90 %, que es el que juzga un margen, y
# «depende» querría decir que en un sitio se confirma y en otro se refuta. Si los resultados guardan la pérdida de cada
# frase, también se juzga por ella, y se escribe cuando dice otra cosa.

# %% [markdown] lang="en"
# Instead of looking at ranks two by two, one can ask all of them at once: does the score rise, on average, each time
# that the rank doubles? One fits a line to the score over $\log_2 r$ and looks at how far it rises from the lowest rank
# to the highest. That is the first row: it is confirmed if the whole interval of that rise reaches the margin, refuted
# if no part of it does, and undecided if only a part does. The second looks at whether $r = 4$ and $r = 8$ reach what
# the highest gives, to within the margin. Here the ± is at 90%, which is the one that judges a margin, and “it depends”
# would mean that it is confirmed at one place and refuted at another. If the results keep each sentence's loss, that is
# judged too, and written where it says something else.

# %%
from loralab.evidence import claims_table, judge_claims

claims_table(
    [claim for claim in judge_claims(study) if claim.name in ("rank", "enough")]
)

# %% [markdown] lang="es"
# **¿Y más módulos?** En lugar de subir el rango se puede poner LoRA en más matrices. Aquí el rango no cambia, de modo
# que más módulos son también más parámetros (con los mismos parámetros, lo comparas tú en un ejercicio). Son tres
# semillas, con la tasa que se eligió para consulta y valor, y el ± de las diferencias está sin corregir. En el estudio,
# «todas las capas lineales» incluía el `pooler`, que en las otras dos filas se quedó sin entrenar.

# %% [markdown] lang="en"
# **And more modules?** Instead of raising the rank one can put LoRA on more matrices. Here the rank does not change, so
# more modules also mean more parameters (at equal parameters, you compare them in an exercise). There are three seeds,
# at the rate chosen for query and value, and the ± of the differences is uncorrected. In the study, “all linear layers”
# included the `pooler`, which in the other two rows stayed untrained.

# %%
from loralab.evidence import target_groups

group_table(target_groups(study), beside=message("target_default"))

# %% [markdown] lang="es"
# ## Lo que cuesta
#
# Los parámetros del adaptador son proporcionales al rango; la cabeza es siempre la misma. Mira tú si el tiempo y la
# memoria los siguen.

# %% [markdown] lang="en"
# ## What it costs
#
# The adapter's parameters are proportional to the rank; the head is always the same. See for yourself whether time and
# memory follow them.

# %%
from loralab.show import comparison_table

per_rank = {r.parameters["adapter"] / r.experiment.rank for r in results}
assert len(per_rank) == 1
assert len({r.parameters["head"] for r in results}) == 1
comparison_table(results)

# %% [markdown] lang="es"
# ## Dentro del cambio
#
# Hasta aquí hemos mirado notas. Miremos los pesos: ¿qué le suma el entrenamiento a cada matriz? Ese cambio es $\Delta
# W$, la matriz entrenada menos la de la base, y se calcula igual para LoRA y para el *fine-tuning* completo. Toda
# matriz es una suma de matrices de rango 1, $\sigma_i u_i v_i^\top$: una columna por una fila, las dos de longitud 1, y
# delante un tamaño. Las columnas $u_i$ son perpendiculares entre sí, y las filas también. Los tamaños, en orden
# ($\sigma_1 \ge \sigma_2 \ge \dots$), son los **valores singulares**. Aquí llamamos direcciones a las $u_i$: dicen
# hacia dónde puede moverse la salida de la capa.
#
# El cambio de LoRA tiene como mucho $r$ valores singulares distintos de cero; el del completo, hasta 384. La figura usa
# los modelos del estudio, cada método con su tasa, y hace la media de las matrices de consulta y de valor de todos los
# bloques y de todas las semillas.

# %% [markdown] lang="en"
# ## Inside the update
#
# So far we have looked at scores. Let us look at the weights: what does training add to each matrix? That update is
# $\Delta W$, the trained matrix minus that of the base, computed in the same way for LoRA and for full fine-tuning.
# Every matrix is a sum of matrices of rank 1, $\sigma_i u_i v_i^\top$: a column times a row, both of length 1, with a
# size in front. The columns $u_i$ are perpendicular to one another, and so are the rows. The sizes, in order ($\sigma_1
# \ge \sigma_2 \ge \dots$), are the **singular values**. Here the directions are the $u_i$: they say which way the
# layer's output can move.
#
# LoRA's update has at most $r$ singular values other than zero; that of full fine-tuning, up to 384. The figure uses
# the study's models, each method at its own rate, and averages the query and value matrices of all blocks and all
# seeds.

# %%
from loralab.evidence import captured_by_rank, intruders, singular_values

singular_values(study.updates)

# %% [markdown] lang="es"
# ¿Cuánto del cambio del completo cabría en una matriz de rango $r$? La mejor que hay se queda con los $r$ mayores
# valores singulares ([Eckart y Young, 1936](https://doi.org/10.1007/BF02288367)). El tamaño al cuadrado de una matriz
# es la suma de los cuadrados de sus números, que es también la de sus valores singulares al cuadrado. De él, la mejor
# recoge esta parte: $\sum_{i \le r} \sigma_i^2 / \sum_i \sigma_i^2$. La banda gris va de la matriz que menos recoge a
# la que más.

# %% [markdown] lang="en"
# How much of full fine-tuning's update would fit into a matrix of rank $r$? The best there is keeps the $r$ largest
# singular values ([Eckart and Young, 1936](https://doi.org/10.1007/BF02288367)). The squared size of a matrix is the
# sum of the squares of its numbers, which is also that of its squared singular values. Of it the best holds this share:
# $\sum_{i \le r} \sigma_i^2 / \sum_i \sigma_i^2$. The grey band goes from the matrix with the smallest share to the one
# with the largest.

# %%
captured_by_rank(study.updates)

# %% [markdown] lang="es"
# Cuidado con esta figura: mide tamaño, no utilidad. Lo que no cabe en $r$ direcciones puede no servirle de nada a la
# tarea, y LoRA no busca esa aproximación: baja la pérdida. ¿Cambia las mismas direcciones que el completo? La celda da
# qué parte del cambio de LoRA (también del tamaño al cuadrado) cae en las $r$ direcciones principales del completo y,
# al lado, cuánta caería en otras tantas al azar: $r / 384$. Falta una referencia: no hemos medido cuánto comparten dos
# entrenamientos completos con semillas distintas.

# %% [markdown] lang="en"
# Careful with this figure: it measures size, not use. What does not fit into $r$ directions may be of no use to the
# task, and LoRA does not look for that approximation: it lowers the loss. Does it change the same directions as full
# fine-tuning? The cell gives which share of LoRA's update (of the squared size too) lies in full fine-tuning's $r$ main
# directions and, beside it, which share would lie in as many random ones: $r / 384$. One reference is missing: we have
# not measured how much two full runs with different seeds share.

# %%
shared = np.mean([update.shared for update in study.updates])
by_chance = np.mean([update.by_chance for update in study.updates])
print(percent(shared), "·", percent(by_chance))

# %% [markdown] lang="es"
# Una pregunta más: ¿aparecen direcciones nuevas entre las principales de la matriz entera, y no solo en su cambio? Se
# toman las 16 primeras de la matriz **ya entrenada** y cada una se compara con todas las de la base. El coseno con la
# más parecida es 1 si son la misma, y menor cuanto menos se parecen; la banda va del 10 al 90 % de las matrices. A las
# que no se parecen a ninguna, [Shuttleworth et al. (2024)](https://arxiv.org/abs/2410.21228) las llaman **intrusas**;
# las encontraron en modelos mayores ajustados con LoRA, y apenas con el completo. La raya, en 0,6, es una elección
# nuestra: mira las curvas enteras y no solo la cuenta del título.

# %% [markdown] lang="en"
# One more question: do new directions appear among the main ones of the whole matrix, and not only in its update? We
# take the first 16 of the matrix **as trained** and compare each with all of the base's. The cosine with the most
# similar is 1 if they are the same, and smaller the less alike they are; the band goes from 10 to 90% of the matrices.
# Those that resemble none are called **intruders** by [Shuttleworth et al. (2024)](https://arxiv.org/abs/2410.21228),
# who found them in larger models tuned with LoRA, and hardly any with full fine-tuning. The line, at 0.6, is our
# choice: look at the whole curves, and not only at the count in the title.

# %%
intruders(study.updates)

# %% [markdown] lang="es"
# ¿Qué se puede decir? Si el completo y LoRA cambian estas matrices en las mismas direcciones o en otras. No dice cuál
# acierta más: eso es la lección 6. Y es un modelo pequeño: seis bloques, y dos matrices en cada uno. El artículo
# relaciona las intrusas con el olvido; aquí no lo hemos medido.

# %% [markdown] lang="en"
# What can be said? Whether full fine-tuning and LoRA change these matrices in the same directions or in others. It does
# not say which scores better: that is lesson 6. And it is a small model: six blocks, and two matrices in each. The
# paper links intruders to forgetting; here we have not measured that.

# %% [markdown] lang="es"
# ## ¿Y en la otra tarea?
#
# La misma pregunta para don Quijote: los mismos rangos, con la $\alpha$ del perfil (su rango de partida es 16, y para
# ese se eligió la tasa). Aquí no se cuentan aciertos, sino nats por *token* de respuesta. ¿Cuánto cambiará la pérdida
# al pasar del rango más bajo al más alto? (Un número negativo, si crees que baja.)

# %% [markdown] lang="en"
# ## And in the other task?
#
# The same question for Don Quixote: the same ranks, with the profile's $\alpha$ (its own rank is 16, and the rate was
# chosen for that one). Here one does not count hits, but nats per token of answer. How much will the loss change from
# the lowest rank to the highest? (A negative number, if you think that it falls.)

# %%
persona = profile.generation
guess_persona = predict("persona_gain", None)

# %%
spoken = run_all(persona.rank_comparison())
own_rank = persona.experiment("lora").rank
score_against_rank(spoken, rank_verdict(spoken, own_rank))

# %%
ends = {
    rank: np.mean([r.test["loss"] for r in spoken if r.experiment.rank == rank])
    for rank in (min(persona.ranks), max(persona.ranks))
}
guess_persona.compare(ends[max(persona.ranks)] - ends[min(persona.ranks)])
comparison_table(spoken).drop(message("other_loss"))

# %% [markdown] lang="es"
# El ± de este veredicto sale, como antes, de comparar por pares: la misma respuesta con un rango y con otro. Pero si el
# perfil trae una sola semilla, como el de una CPU, la suerte del entrenamiento no está dentro: dice cuál de **estos**
# modelos predice mejor estas respuestas, no qué rango es mejor. Lo avisa el título. ¿Coincide con lo que has visto en
# clasificación? Una diferencia clara aquí, con una semilla, es un motivo para entrenar más, no una conclusión.

# %% [markdown] lang="en"
# The ± of this verdict comes, as before, from comparing in pairs: the same answer with one rank and with another. But
# if the profile has a single seed, as that of a CPU does, training luck is not in it: it tells which of **these**
# models predicts these answers better, not which rank is better. The title says so. Does it agree with what you saw in
# classification? A clear difference here, with one seed, is a reason to train more, not a conclusion.

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
# no un intervalo del 95 % como nuestro ±. En la primera fila, las diferencias caben en ese movimiento; en la segunda,
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
# The paper gives a standard deviation between seeds of about 0.5 points: that is how far one run moves, not a 95%
# interval like our ±. In the first row, the differences fit within that movement; in the second, $r = 1$ lies below.

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - Lo que dice el título de la figura que compara rangos con la misma $\alpha$, o la tabla del estudio, cada una en su
#   examen y con sus semillas. Nada más.
# - El orden de los rangos con una sola semilla no es un resultado; mira si las líneas de la figura se cruzan.
# - Doblar el rango dobla el adaptador: eso no depende de la suerte.
# - El mejor de varios lleva premio sin merecerlo; por eso se elige en validación.
#
# Siguiente lección: el *fine-tuning* completo, por fin, al lado de LoRA.

# %% [markdown] lang="en"
# ## What you may now claim, and on what evidence
#
# - What the title says of the figure that compares ranks at the same $\alpha$, or the study's table, each on its exam
#   and with its seeds. Nothing more.
# - The order of the ranks with a single seed is no result; see whether the lines of the figure cross.
# - Doubling the rank doubles the adapter: that owes nothing to luck.
# - The best of several gets a bonus it has not earned; that is why one chooses on validation.
#
# Next lesson: full fine-tuning, at last, beside LoRA.

# %% [markdown] lang="es"
# ## Ejercicios
#
# Escribe tu respuesta en lugar de `None` y ejecuta la celda: `check` te dice si es correcta y, si no, qué error has
# cometido. Puedes intentarlo tantas veces como quieras. Antes de calcular, haz la predicción que pide cada ejercicio,
# aunque sea a ojo. Si no dicen otra cosa, se hacen con los modelos y los datos de tu perfil. Los que entrenan dicen
# cuántos entrenamientos son; `run_all` carga los que ya estén hechos.

# %% [markdown] lang="en"
# ## Exercises
#
# Write your answer in place of `None` and run the cell: `check` tells you whether it is right and, if not, which
# mistake you have made. Try as often as you like. Before you compute, make the prediction that each exercise asks for,
# if only by eye. Unless they say otherwise, they work with your profile's models and data. Those that train say how
# many runs it takes; `run_all` loads the ones already done.

# %% [markdown] lang="es"
# ### Los rangos, con la otra regla
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
# ### The ranks, by the other rule
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
# **Predict.** By this rule, raising the rank also enlarges the first step. Will the ranks lie further apart than with
# $\alpha$ fixed? And will what each costs change?

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
# Con los mismos parámetros puedes poner $r = 8$ en dos matrices de cada bloque, consulta y valor, o $r = 4$ en las
# cuatro de la atención: consulta, clave, valor y salida. ¿Qué conviene más aquí? Entrena las dos opciones con todas las
# semillas del perfil, con su $\alpha$ y lo demás igual. Entrega:
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
# **Predice.** ¿Ganará quien llega a más matrices o quien tiene más rango en cada una?

# %% [markdown] lang="en"
# ### More matrices or more rank
#
# With the same parameters you can put $r = 8$ on two matrices of each block, query and value, or $r = 4$ on all four of
# the attention: query, key, value and output. Which is better here? Train both options with all the profile's seeds,
# with its $\alpha$ and the rest as it is. Hand in:
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
