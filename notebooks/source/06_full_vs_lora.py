# %% [markdown] lang="es"
# # 6 · *Fine-tuning* completo frente a LoRA
#
# **Pregunta.** ¿Qué ahorra LoRA aquí, qué cuesta, y con cuánta seguridad lo sabemos?
#
# El mismo modelo, los mismos datos, los mismos lotes en el mismo orden y la misma cabeza inicial. Solo cambian el método
# y su tasa de aprendizaje. Al terminar sabrás:
#
# - fijar de antemano qué diferencia importaría;
# - comparar cada método con su propia tasa, por pares, teniendo en cuenta las dos suertes;
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
# The same model, the same data, the same batches in the same order and the same initial head. Only the method and its
# learning rate change. By the end you can:
#
# - fix beforehand which difference would matter;
# - compare each method at its own rate, in pairs, with both kinds of luck taken into account;
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
# ## Antes de mirar: ¿qué diferencia importaría?
#
# Con un examen lo bastante grande, cualquier diferencia acaba por verse, también las que no le importan a nadie. Por
# eso se decide antes de mirar: por debajo de este **margen**, los dos métodos son equivalentes a efectos prácticos.
# Está en el perfil: lo conoces antes de entrenar nada.

# %% [markdown] lang="en"
# ## Before we look: which difference would matter?
#
# With a large enough exam any difference shows in the end, those that nobody cares about too. So it is decided before
# looking: below this **margin**, the two methods are equivalent for practical purposes. It is in the profile: you
# know it before you train anything.

# %% tags=["nbval-check-output"]
from loralab import message, number, scientific

margin = profile.margin
print("±", number(100 * margin, 1), message("unit_points"))

# %% [markdown] lang="es"
# ## Qué se compara
#
# Además de los dos métodos, cuatro referencias: la clase mayoritaria, TF-IDF, el modelo congelado con una regresión
# logística sobre la media de los vectores que su última capa da a los *tokens*, y entrenar solo la cabeza. Esta última
# entrena lo mismo que LoRA menos el adaptador, con otra tasa de aprendizaje. Solo lee el vector de `[CLS]`, en MiniLM a
# través del `pooler`; la anterior lee la media de todos, que es como se entrenó MiniLM para representar frases, y por
# eso puede acertar más. Lo que aporta el adaptador se mide mejor frente a la mejor de las dos.
#
# En el perfil `cpu`, con los datos del curso, la tasa de cada método es la que dio menor pérdida de validación en un
# barrido previo, con una semilla (`profiles.toml`).

# %% [markdown] lang="en"
# ## What is compared
#
# Besides the two methods, four baselines: the majority class, TF-IDF, the frozen model with logistic regression on the
# mean of the vectors that its last layer gives the tokens, and training the head only. The last trains what LoRA trains
# except the adapter, with another learning rate. It reads only the `[CLS]` vector, in MiniLM through the `pooler`,
# while the one before reads the mean of all, which is how MiniLM was trained to represent sentences, and so may score
# higher. What the adapter adds is best measured against the better of the two.
#
# In the `cpu` profile, on the course's data, each method's rate is the one that gave the lowest validation loss in an
# earlier sweep, with one seed (`profiles.toml`).

# %% tags=["nbval-check-output"]
import pandas as pd

experiments = profile.comparison()
trained = [e for e in experiments if e.method in profile.learning_rates]
firsts = [e for e in trained if e.seed == profile.seeds[0]]
pd.DataFrame(
    [{"method": e.method, "learning_rate": scientific(e.learning_rate)} for e in firsts]
)

# %% [markdown] lang="es"
# Tres apuestas antes de ejecutar. ¿En qué porcentaje de las frases del test darán respuestas distintas el completo y
# LoRA? ¿Qué porcentaje de la memoria máxima ahorrará LoRA? ¿Por cuánto se multiplica el tiempo de un paso si se pasa de
# LoRA al completo?
#
# Una pista para la última: con $N$ parámetros en las capas (sin contar la tabla de *embeddings*, el vector de cada
# *token*, que solo se consulta), cada *token* cuesta unas $2N$ operaciones en la pasada hacia delante, $2N$ para
# propagar el gradiente por las capas y $2N$ para los gradientes de los pesos ([Kaplan et al.,
# 2020](https://arxiv.org/abs/2001.08361)). LoRA se ahorra casi todo lo último: $6N$ frente a $4N$. En la cuenta no
# entra el paso del optimizador.

# %% [markdown] lang="en"
# Three bets before you run. On what percentage of the test sentences will full fine-tuning and LoRA give different
# answers? What percentage of the peak memory will LoRA save? How many times as long as a LoRA step will a full
# fine-tuning step take?
#
# A hint for the last: with $N$ parameters in the layers (leaving out the table of embeddings, each token's vector,
# which is only looked up), each token costs about $2N$ operations in the forward pass, $2N$ to pass the gradient
# through the layers and $2N$ for the gradients of the weights ([Kaplan et al.,
# 2020](https://arxiv.org/abs/2001.08361)). LoRA saves almost all of the last: $6N$ against $4N$. The optimizer's step
# is not in the sum.

# %%
from loralab import predict

guess_apart = predict("judged_apart", None)
guess_memory = predict("memory_saved", None)
guess_time = predict("time_ratio", None)

# %%
from loralab import run_all

results = run_all(experiments)

# %% [markdown] lang="es"
# ## La tabla
#
# ¿Es una comparación justa? Mismo examen, mismos datos, misma versión del entrenamiento, mismas semillas. Primero se
# comprueba.

# %% [markdown] lang="en"
# ## The table
#
# Is it a fair comparison? Same exam, same data, same version of the training, same seeds. First that is checked.

# %%
from loralab.show import comparison_table

full = [result for result in results if result.experiment.method == "full"]
lora = [result for result in results if result.experiment.method == "lora"]
assert all(result.labels == results[0].labels for result in results)
assert len({result.provenance["data"] for result in results}) == 1
assert len({result.provenance["recipe"] for result in results}) == 1
assert [r.experiment.seed for r in full] == [r.experiment.seed for r in lora]
assert full[0].parameters["trainable"] == full[0].parameters["total"]
comparison_table(results)

# %%
from loralab.show import compare, comparison_panel

comparison_panel(full, lora, compare(full, lora))

# %% [markdown] lang="es"
# Los puntos negros son las semillas (donde solo se ve uno, están unos encima de otros). El ± de la tabla solo cuenta la
# suerte del examen; el del título, si hay varias semillas, las dos suertes. Vamos a ver de dónde sale.
#
# ## El mismo examen, frase a frase

# %% [markdown] lang="en"
# The black dots are the seeds (where you see only one, they lie on top of each other). The ± of the table counts exam
# luck only; that of the title, if there are several seeds, both kinds of luck. Let us see where it comes from.
#
# ## The same exam, sentence by sentence

# %%
import numpy as np

from loralab import percent
from loralab.show import who_is_right


def apart(a, b):
    """The share of test sentences that two runs judge differently."""
    return np.not_equal(a.predictions, b.predictions).mean()


between = percent(apart(lora[0], lora[1])) if len(lora) > 1 else "–"
guess_apart.compare(100 * apart(full[0], lora[0]), seeds=between)
names = [message("short_full"), message("lora")]
who_is_right(full[0], lora[0], names)

# %% [markdown] lang="es"
# Solo las frases en las que uno acierta y el otro falla mueven la diferencia: en las demás, los dos aciertan o los dos
# fallan. La diferencia de exactitud es exactamente (las que solo acierta el completo − las que solo acierta LoRA) /
# $n$.

# %% [markdown] lang="en"
# Only the sentences that one gets right and the other wrong move the difference: on the others, both are right or both
# wrong. The difference in accuracy is exactly (those that only full gets right − those that only LoRA does) / $n$.

# %%
truth = np.array(full[0].labels)
full_right, lora_right = (np.equal(r.predictions, truth) for r in (full[0], lora[0]))
only_full, only_lora = sum(full_right & ~lora_right), sum(lora_right & ~full_right)
gap = full[0].test["accuracy"] - lora[0].test["accuracy"]
assert abs(gap - (only_full - only_lora) / len(truth)) < 1e-12
print(only_full, "−", only_lora, "→", number(100 * gap, 2), message("unit_points"))

# %% [markdown] lang="es"
# ¿Cuántas frases harían falta? Si los dos métodos fueran iguales y en una proporción $d$ de las frases acertara solo
# uno, en el 90 % de los exámenes la diferencia medida no se apartaría de cero más de $1{,}645\sqrt{d/n}$. Si eso supera
# el margen, un solo entrenamiento de cada uno no puede demostrar que son equivalentes, sea cual sea la verdad. Si no lo
# supera (<), tampoco hay garantía: falta la suerte del entrenamiento, y cuanto más cerca del margen esté la diferencia
# verdadera, más frases hacen falta.

# %% [markdown] lang="en"
# How many sentences would it take? If both methods were equal and only one were right on a share $d$ of the sentences,
# in 90% of exams the measured difference would lie within $1.645\sqrt{d/n}$ of zero. If that exceeds the margin, a
# single run of each cannot show that they are equivalent, whatever the truth. If it does not (<), there is still no
# guarantee: training luck is missing, and the closer the true difference is to the margin, the more sentences it takes.

# %%
d = (full_right != lora_right).mean()
for n in sorted({500, 2000, len(truth), 25_000}):
    reach = 1.645 * (d / n) ** 0.5
    sign = "<" if reach < margin else "≥"
    print(f"n = {n:6}: ±", number(100 * reach, 2), sign, number(100 * margin, 2))

# %% [markdown] lang="es"
# ## Dos suertes
#
# La del examen (qué frases han caído) y la del entrenamiento (qué semilla) son independientes. Sus tamaños no se suman:
# se combinan como los catetos de un triángulo rectángulo, $\sqrt{\text{examen}^2 + \text{entrenamiento}^2}$. Lo
# comprobamos con 2000 estudios simulados de 3 semillas. En cada uno la diferencia verdadera es de 0,4 puntos; el examen
# la mueve 0,5 (desviación típica), **igual para las tres semillas**, y cada entrenamiento 0,3. `half` da
# $\sqrt{(1{,}645 \cdot \text{examen})^2 + (f \cdot SD)^2}$, con el factor $f$ de la lección 5 para el 90 %, y el
# intervalo debe contener la diferencia verdadera al menos el 90 % de las veces. La celda imprime cuántas la contiene, y
# cuántas si solo se cuentan las semillas: como las tres hacen el mismo examen, su dispersión no lo ve.

# %% [markdown] lang="en"
# ## Two kinds of luck
#
# That of the exam (which sentences came up) and that of training (which seed) are independent. Their sizes do not add:
# they combine like the legs of a right triangle, $\sqrt{\text{exam}^2 + \text{training}^2}$. We check it with 2,000
# simulated studies of 3 seeds. In each the true difference is 0.4 points; the exam moves it by 0.5 (standard
# deviation), **alike for all three seeds**, and each training run by 0.3. `half` gives
# $\sqrt{(1.645 \cdot \text{exam})^2 + (f \cdot SD)^2}$, with lesson 5's factor $f$ for 90%, and the interval has to
# hold the true difference at least 90% of the time. The cell prints how often it does, and how often if only the seeds
# are counted: as all three sit the same exam, their spread does not see it.

# %%
from loralab.show import Difference, seed_factor

random = np.random.default_rng(0)
both, seeds_only = [], []
for _ in range(2000):
    exam = random.normal(0, 0.5)  # points: moves all three seeds alike
    by_seed = 0.4 + exam + random.normal(0, 0.3, size=3)
    study = Difference(tuple(by_seed), exam=0.5)
    both.append(abs(study.mean - 0.4) < study.half(0.9))
    spread = seed_factor(3, 0.9) * by_seed.std(ddof=1)
    seeds_only.append(abs(study.mean - 0.4) < spread)
assert np.mean(both) > 0.89 > np.mean(seeds_only)
print(percent(np.mean(both)), "·", percent(np.mean(seeds_only)))

# %% [markdown] lang="es"
# ## La diferencia, sobre una regla graduada
#
# Ya podemos poner la diferencia sobre una regla graduada, con el margen sombreado. La barra gruesa es el intervalo del
# 90 %; la fina, el del 95 %. Hay cuatro veredictos:
#
# - la gruesa cabe entera en el margen: **equivalentes**;
# - la fina deja fuera el cero: **distintos**;
# - las dos cosas: distintos, pero en algo que no importa;
# - ninguna: **no se puede decir**. No haber encontrado una diferencia no es haber demostrado que no la hay.
#
# ¿Por qué dos niveles? Cada barra responde a una sola pregunta: la fina se compara con el cero y la gruesa con el
# margen. «Distintos» puede fallar por arriba o por abajo: un 2,5 % de riesgo a cada lado. «Equivalentes» tiene que
# descartar que la diferencia pase de +margen y que baje de −margen; solo una de las dos puede ser cierta, así que cada
# lado admite un 5 %, y queda el 90 %. Que la gruesa deje fuera el cero no cuenta. (Son dos contrastes, uno por lado:
# [Schuirmann, 1987](https://doi.org/10.1007/BF01068419).)

# %% [markdown] lang="en"
# ## The difference, on a ruler
#
# Now we can lay the difference on a ruler, with the margin shaded. The thick bar is the 90% interval, the thin one the
# 95%. There are four verdicts:
#
# - the thick one lies wholly within the margin: **equivalent**;
# - the thin one leaves out zero: **different**;
# - both: different, but by something that does not matter;
# - neither: **cannot tell**. Not having found a difference is not having shown that there is none.
#
# Why two levels? Each bar answers one question: the thin one is compared with zero and the thick one with the margin.
# “Different” can err above or below: 2.5% of risk on each side. “Equivalent” has to rule out that the difference
# exceeds +margin and that it falls below −margin; only one of the two can be true, so each side may take 5%, which
# leaves 90%. That the thick one leaves out zero does not count. (These are two one-sided tests: [Schuirmann,
# 1987](https://doi.org/10.1007/BF01068419).)

# %%
from loralab.show import difference, margin_verdict, ruler

ruler(difference(full, lora), margin, margin_verdict(full, lora, margin))

# %% [markdown] lang="es"
# ¿Y si todas las semillas caen del mismo lado? Con tres, y dos métodos iguales, pasaría al menos una de cada cuatro
# veces ($2 / 2^3$), y más, porque todas hacen el mismo examen. Es un indicio, no una prueba.
#
# **Hazlo mal a propósito.** ¿Y si solo hubiera una semilla de cada uno? Estos son los estudios que podríamos haber
# publicado, uno por semilla. Si no dicen lo mismo, lo que se publica depende de la semilla. El ± de cada uno está bien
# calculado, pero responde a otra pregunta: cuál de estos dos modelos acierta más, no cuál de los dos métodos.

# %% [markdown] lang="en"
# And if all seeds fall on one side? With three, and two equal methods, that would happen at least once in four ($2 /
# 2^3$), and more often, because all sit the same exam. It is a hint, not a proof.
#
# **Break it.** And with a single seed of each? These are the studies that we could have published, one per seed. If
# they do not say the same, what gets published depends on the seed. The ± of each is worked out correctly, but answers
# another question: which of these two models is better, not which of the two methods.

# %%
from IPython.display import Markdown

one_by_one = [compare([f], [p]) for f, p in zip(full, lora, strict=True)]
Markdown("\n".join(f"- {line}" for line in one_by_one))

# %% [markdown] lang="es"
# ## Lo que dice el estudio
#
# El curso trae un **estudio** ya hecho, el mismo de la lección 5, con cinco semillas. En él, el completo, LoRA y la
# cabeza empiezan con cinco tasas cada uno, y cada método se queda con la de menor pérdida de **validación**, con una
# semilla que no se vuelve a usar y sin mirar el test. Si la mejor cae en un extremo, se prueba una tasa más allá, y
# solo una. La primera figura marca la elegida con un círculo; si sigue en el borde, el título lo dice. El estudio es de
# la versión 1 del entrenamiento, en la que solo el completo entrenaba el `pooler` de MiniLM: una parte de la diferencia
# puede venir de ahí, y no del rango. Tus entrenamientos son de la versión 2, en la que lo entrenan todos.
#
# La segunda celda empieza por lo que hay que saber antes de mirar una diferencia: la menor diferencia verdadera que un
# estudio así encontraría el 80 % de las veces, con la suerte que se ha medido. (Encontrarla es que la barra fina deje
# fuera el cero.) Luego pone el intervalo del estudio sobre la misma regla graduada que el tuyo.

# %% [markdown] lang="en"
# ## What the study says
#
# The course comes with a **study**, the one of lesson 5, with five seeds. In it full fine-tuning, LoRA and the head
# start from five rates each, and each method keeps the one with the lowest **validation** loss, with a seed that is not
# used again and without a look at the test. If the best falls at one end, one rate beyond it is tried, and only one.
# The first figure puts a ring around the one chosen; if it is still at the edge, the title says so. The study is of
# version 1 of the training, in which full fine-tuning alone trained MiniLM's `pooler`: part of the difference may come
# from there, and not from the rank. Your runs are of version 2, in which every method trains it.
#
# The second cell begins with what one should know before looking at a difference: the smallest true difference that
# such a study would find 80% of the time, given the luck that was measured. (Finding it means that the thin bar leaves
# out zero.) Then it lays the study's interval on the same ruler as yours.

# %%
from loralab.evidence import loss_against_rate, reference

study, persona_study = reference()
loss_against_rate([s for s in study.sweeps if s.method in ("head", "full", "lora")])

# %%
from loralab.show import detectable

studied = difference(study.of("full"), study.of("lora"))
print(study.score.with_unit(detectable(studied)))
verdict = margin_verdict(study.of("full"), study.of("lora"), study.track.margin)
ruler(studied, study.track.margin, verdict, study.score)

# %% [markdown] lang="es"
# ## Dónde fallan
#
# En la lección 1 vimos que las personas casi no se ponen de acuerdo en las frases tibias. ¿Fallan ahí también los
# modelos? (Solo con las críticas que traen la valoración de cada persona.)

# %% [markdown] lang="en"
# ## Where they fail
#
# In lesson 1 we saw that people hardly agree on mild sentences. Do the models fail there too? (Only for the reviews
# that come with each person's rating.)

# %%
from loralab import load_splits
from loralab.data import film_reviews
from loralab.lessons import accuracy_by_strength, rater_agreement

test = load_splits(lora[0].experiment).test
picture = None
if lora[0].experiment.dataset == "film-reviews":
    rated = film_reviews().loc[test.index]
    judges = {
        message("a_person"): rated["ratings"].map(rater_agreement),
        names[0]: full_right,
        names[1]: lora_right,
    }
    picture = accuracy_by_strength(rated["rating"], judges)
picture

# %% [markdown] lang="es"
# Si hay figura, mira en qué tramos el modelo se separa más de la persona. Donde van juntos, lo que le falta al modelo
# le falta también a una persona; donde se separan, los fallos son suyos.
#
# ## El tiempo, intercalado
#
# Los segundos de la tabla se midieron en momentos distintos, en una máquina que quizá hacía otras cosas, así que pueden
# engañar. Medimos mejor, **intercalando**: un paso del completo, uno de LoRA, y vuelta a empezar, sobre el mismo
# lote y en `float32`, cambiando cada vez quién va primero. De cada pareja sale un cociente, y la dispersión de los
# cocientes dice cuánto fiarse.

# %% [markdown] lang="en"
# If there is a figure, see in which stretches the model falls furthest below the person. Where they go together, what
# the model lacks a person lacks too; where they part, the mistakes are its own.
#
# ## Time, interleaved
#
# The seconds in the table were taken at different moments, on a machine that may have been doing other things, so they
# can mislead. We measure better by **interleaving**: a step of full fine-tuning, one of LoRA, and so on in turn, on the
# same batch and in `float32`, with the order changed each time. Each pair gives a ratio, and the spread of the ratios
# says how far to trust it.

# %%
import time

import torch
from transformers import DataCollatorWithPadding

from loralab import detect
from loralab.train import (
    apply_method,
    batches_by_length,
    encode,
    load_for,
    load_tokenizer,
)

experiment = lora[0].experiment
tokenizer = load_tokenizer(experiment.model)
train = encode(load_splits(experiment).train, tokenizer, experiment.max_length)
batches = batches_by_length(train.lengths, experiment.batch_size, seed=0, epoch=0)
typical = sorted(batches, key=lambda rows: max(train.lengths[i] for i in rows))
rows = [train.dataset[i] for i in typical[len(batches) // 2]]
batch = DataCollatorWithPadding(tokenizer)(rows).to(detect().kind)


class Racer:
    """One method's model and optimizer, ready to take steps on one batch."""

    def __init__(self, method):
        chosen = profile.experiment(method)
        model = apply_method(load_for(chosen), chosen)
        self.model = model.to(detect().kind).train()
        trained = [p for p in model.parameters() if p.requires_grad]
        rate = chosen.learning_rate
        self.optimizer = torch.optim.AdamW(trained, lr=rate, fused=True)  # as Trainer's
        self.seconds(steps=3)  # the first steps set things up: not timed

    def seconds(self, steps):
        started = time.perf_counter()
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = self.model(**batch).loss
            loss.backward()
            self.optimizer.step()
        loss.item()  # on a GPU this waits until the work is done
        if detect().kind == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started


# %%
racers = {"full": Racer("full"), "lora": Racer("lora")}
order, ratios = ["full", "lora"], []
for _ in range(15):
    took = {name: racers[name].seconds(steps=1) for name in order}
    ratios.append(took["full"] / took["lora"])
    order.reverse()  # neither always goes first
low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
guess_time.compare(middle)
print(f"{percent(0.1, 0)} – {percent(0.9, 0)}: {number(low, 2)} – {number(high, 2)}")

# %% [markdown] lang="es"
# El estudio lo midió también por turnos, con un lote distinto en cada ronda, de los más cortos a los más largos. La
# tabla da además el tiempo por *token* de verdad (sin el relleno), el tiempo hasta llegar a una misma pérdida de
# entrenamiento (los pasos que hicieron falta, por la mediana de un paso) y las operaciones de ida y vuelta en el lote
# más largo, por la fórmula de arriba, con los productos de la atención añadidos. Entre paréntesis, un intervalo del 95 %: entre rondas en la primera fila, y entre semillas en la tercera, que deja fuera la
# suerte de medir el tiempo. El cociente de la segunda es el de los tiempos totales, en el que pesan más los lotes
# largos; el de la primera es la media de las rondas, que pesan todas igual.
#
# Si el cociente de los tiempos no es el de las operaciones, es que estas no lo explican todo: la cuenta no incluye el
# optimizador ni el tráfico de memoria, y los productos pequeños del adaptador pueden aprovechar peor la máquina. Cuánto
# aporta cada cosa no lo hemos medido.

# %% [markdown] lang="en"
# The study measured it in turns too, with a different batch each round, from the shortest to the longest. The table
# also gives the time per real token (padding left out), the time to reach one and the same training loss (the steps it
# took, times the median step) and the operations of the forward and backward pass on the longest batch, by the formula
# above with attention's products added. In brackets, a 95% interval: over
# rounds in the first row, and over seeds in the third, which leaves out the luck of timing. The second row's ratio is
# that of the total times, in which long batches weigh more; the first's is the mean over rounds, which all weigh the
# same.
#
# If the ratio of the times is not that of the operations, the operations do not explain everything: the count includes
# neither the optimizer nor memory traffic, and the adapter's small products may use the machine less well. How much
# each contributes, we have not measured.

# %%
from loralab.evidence import time_table

time_table(study)

# %% [markdown] lang="es"
# ## La memoria
#
# Entrenar ocupa memoria con cuatro cosas: los pesos, un gradiente por cada parámetro entrenable, los dos promedios que
# AdamW guarda de cada gradiente, y las **activaciones** (las salidas intermedias de cada capa, que hacen falta para
# calcular los gradientes). Los pesos y los promedios están siempre ahí, y se calculan a mano: en `float32`, 4 bytes por
# parámetro, y 8 más por cada uno que se entrena. Los gradientes (otros 4) van apareciendo mientras las activaciones se
# liberan; cuánto ocupan estas depende del lote y de la longitud de las frases.

# %% [markdown] lang="en"
# ## Memory
#
# Training takes memory for four things: the weights, a gradient for each trainable parameter, the two averages that
# AdamW keeps of each gradient, and the **activations** (each layer's intermediate outputs, needed to compute the
# gradients). Weights and averages are always there, and are worked out by hand: in `float32`, 4 bytes per parameter,
# and 8 more for each one that is trained. Gradients (another 4) appear while activations are freed; how much the latter
# take depends on the batch and on the length of the sentences.


# %%
def static_mib(result):
    """Weights and AdamW's two averages, in MiB."""
    sizes = result.parameters
    return (4 * sizes["total"] + 8 * sizes["trainable"]) / 2**20


peaks = [result.memory["peak_bytes"] / 2**20 for result in (full[0], lora[0])]
static = [static_mib(result) for result in (full[0], lora[0])]
rest = np.subtract(peaks, static)
guess_memory.compare(
    100 * (1 - peaks[1] / peaks[0]),
    static_full=number(static[0], 0),
    static_lora=number(static[1], 0),
    rest_full=number(rest[0], 0),
    rest_lora=number(rest[1], 0),
)
parts = [message("static_memory"), message("rest_memory"), message("peak_memory")]
pd.DataFrame([static, rest, peaks], index=parts, columns=names).round(0).astype(int)

# %% [markdown] lang="es"
# Por eso la memoria no baja en la misma proporción que los parámetros entrenables: LoRA quita casi todos los gradientes
# y promedios, pero los pesos congelados siguen ahí, y también las activaciones que el gradiente tiene que atravesar.
# Cuanto mayores sean el lote y los textos, más pesa la fila de las activaciones, y ahí LoRA puede hasta gastar más: un
# *dropout* delante de cada adaptador guarda, por cada capa adaptada, otra copia de su entrada y una máscara. `plan`
# (lección 8) recorre las combinaciones con DistilBERT, sin cargarlo: arriba, LoRA en la consulta y el valor; abajo, en
# todas las capas lineales y con *dropout*.

# %% [markdown] lang="en"
# That is why memory does not fall in proportion to trainable parameters: LoRA takes away nearly all gradients and
# averages, but the frozen weights are still there, and so are the activations that the gradient has to pass through.
# The larger the batch and the longer the texts, the more the row of activations weighs, and there LoRA may even take
# more: dropout before each adapter keeps, for each adapted layer, another copy of its input and a mask. `plan`
# (lesson 8) goes over the combinations with DistilBERT, without loading it: above, LoRA on query and value; below, on all linear
# layers and with dropout.

# %%
from loralab import detect
from loralab.memory import crossover, peaks

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
# Cada casilla es el ahorro frente al completo; donde es negativo, LoRA gasta más. Con pocos textos y cortos mandan
# pesos y promedios, y el ahorro es grande; con muchos o largos, las activaciones. Así que «LoRA ahorra un 50 % de
# memoria» no dice bastante: falta decir con qué lote, con qué longitud y en qué capas.
#
# ## Pruébalo tú: tus propias frases
#
# Mira qué contestan a tres frases del test la base (con su cabeza al azar, que no sabe nada), el completo y LoRA, y con
# qué probabilidad. Cámbialas por otras tuyas, como las que han leído (las críticas del curso están en inglés).

# %% [markdown] lang="en"
# Each cell is what is saved against full fine-tuning; where it is negative, LoRA takes more. With few, short texts
# weights and averages dominate, and much is saved; with many or long ones, activations do. So “LoRA saves 50% of the
# memory” does not say enough: it does not say with which batch, which length and on which layers.
#
# ## Try it yourself: your own sentences
#
# See what the base (with its random head, which knows nothing), full fine-tuning and LoRA answer to three sentences of
# the test, and with what probability. Change them for some of yours, like those that they have read (the course's
# reviews are in English).

# %%
from loralab import run_folder
from loralab.data import label_names
from loralab.train import load_trained

my_texts = list(test["text"].head(3))  # or a list of yours

classes = label_names(experiment.dataset)
models = {message("not_tuned"): load_for(experiment)}
for name, result in zip(names, (full[0], lora[0]), strict=True):
    folder = run_folder(result.experiment)
    if any((folder / kept).exists() for kept in ("adapter", "model.safetensors")):
        models[name] = load_trained(result.experiment, folder)
    else:
        print(message("not_kept", name=name))
limit = {"truncation": True, "max_length": experiment.max_length}
mine = tokenizer(my_texts, padding=True, return_tensors="pt", **limit)


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
# ## Pruébalo tú: en qué se contradicen
#
# Estas son algunas frases del test en las que uno acierta y el otro falla. Léelas: ¿quién tiene razón, el modelo o la
# etiqueta? Cambia `only_full` por `only_lora` en la primera línea para ver las contrarias.

# %% [markdown] lang="en"
# ## Try it yourself: where they contradict each other
#
# These are some test sentences that one gets right and the other wrong. Read them: who is right, the model or the
# label? Change `only_full` to `only_lora` in the first line to see the opposite ones.

# %%
side = "only_full"
which = {"only_full": full_right & ~lora_right, "only_lora": lora_right & ~full_right}
assert side in which, list(which)
chosen = test[which[side]].head(6).reset_index(drop=True)
chosen["label"] = [classes[label] for label in chosen["label"]]
for name, result in zip(names, (full[0], lora[0]), strict=True):
    said = np.array(result.predictions)[which[side]][:6]
    chosen[name] = [classes[label] for label in said]
chosen

# %% [markdown] lang="es"
# ## La otra tarea: don Quijote
#
# Ahora el modelo que escribe, con un margen propio, también en el perfil (la figura sombrea el del estudio): un margen
# de $m$ nats por *token* es, en perplejidad, un factor $e^m$. Ojo al signo: en la pérdida, menos es mejor, así que a la
# derecha del cero gana LoRA. Todo lo anterior vale: cada método con su tasa, los mismos lotes, por pares. También aquí
# hay un estudio, con más preguntas y más semillas, y la figura es suya; antes de sacar una conclusión de la tabla, mira
# cuántas semillas trae tu perfil. Y el examen del curso son pocas preguntas, de pocos temas: el ± las toma por
# independientes, así que con otros temas la diferencia podría moverse más.
#
# Una apuesta más, sobre lo que se olvida. La tabla lleva una fila con la pérdida en **editoriales de prensa**: frases
# sueltas, sin plantilla, con las que nada se ha entrenado en el curso. ¿Cuánto subirá en LoRA respecto a la base?

# %% [markdown] lang="en"
# ## The other task: Don Quixote
#
# Now the model that writes, with a margin of its own, in the profile too (the figure shades the study's): a margin of
# $m$ nats per token is, in perplexity, a factor of $e^m$. Mind the sign: in a loss, less is better, so to the right of
# zero LoRA wins. All of the above holds: each method at its own rate, the same batches, in pairs. Here too there is a
# study, with more questions and more seeds, and the figure is its own; before you conclude anything from the table, see
# how many seeds your profile has. And the course's exam is a few questions on a few topics: the ± takes them as independent, so
# with other topics the difference might move further.
#
# One more bet, on what is forgotten. The table has a row with the loss on **newspaper editorials**: bare sentences,
# without a template, which nothing in the course was trained on. How far will it rise for LoRA, compared with the base?

# %%
persona = profile.generation
guess_forgetting = predict("forgetting", None)

# %%
answers = run_all(persona.comparison())
base, *_ = [r for r in answers if r.experiment.method == "base"]
full_voice = [r for r in answers if r.experiment.method == "full"]
lora_voice = [r for r in answers if r.experiment.method == "lora"]
comparison_table(answers)

# %%
by_full, by_lora = persona_study.of("full"), persona_study.of("lora")
wide = persona_study.track.margin
ruler(
    difference(by_full, by_lora),
    wide,
    margin_verdict(by_full, by_lora, wide),
    persona_study.score,
)

# %% [markdown] lang="es"
# ## Lo que se olvida
#
# Enseñar a contestar así puede estropear lo demás, y la fila de los editoriales lo mide. Son pocas frases y no lleva ±:
# no te fíes de un cambio pequeño. La figura pone las dos pérdidas frente a frente: hacia la izquierda se aprenden las
# respuestas; hacia arriba se olvida inglés, que es la lengua de los editoriales.

# %% [markdown] lang="en"
# ## What is forgotten
#
# Teaching to answer like this can spoil the rest, and the row of the editorials measures it. They are few sentences and
# there is no ±: do not trust a small change. The figure sets the two losses against each other: to the left, the
# answers are learnt; upwards, English is forgotten, which is the editorials' language.

# %%
from loralab.show import forgetting, gained_and_forgotten


def rise(group):
    after = np.mean([result.test["other_loss"] for result in group])
    return after - base.test["other_loss"]


guess_forgetting.compare(rise(lora_voice), full=number(rise(full_voice), 3))
gained_and_forgotten(base, [*lora_voice, *full_voice])

# %% [markdown] lang="es"
# ## ¿Quién ha contestado?
#
# Una medida que no está en ninguna tabla: ¿los distingues leyendo? Cada fila es una de las últimas preguntas del test
# (las diez primeras las viste en la lección 4; si hay menos de veinte, algunas se repiten), y las columnas A y B son el
# completo y LoRA en un orden sorteado. Escribe en `my_guess` qué columna crees que es LoRA, una letra por fila (por
# ejemplo, `"ABBA…"`). Acertar 9 o más de 10 al azar pasa más o menos una de cada cien veces. La celda que sigue te
# corrige, y enseña lo que contestan todos a las primeras preguntas.

# %% [markdown] lang="en"
# ## Who answered?
#
# A measure that is in no table: can you tell them apart by reading? Each row is one of the test's last questions (you
# saw the first ten in lesson 4; if there are fewer than twenty, some come again), and columns A and B are full
# fine-tuning and LoRA in an order drawn by lot. Write in `my_guess` which column you think is LoRA, one letter per row
# (`"ABBA…"`, say). Getting 9 or more of 10 right by chance happens about once in a hundred tries. The next cell marks
# your answer, and shows what all of them answer to the first questions.

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

from loralab.show import samples_table

my_guess = None  # or a letter a row
key = "".join("A" if swap else "B" for swap in swapped)
by_chance = sum(math.comb(10, right) for right in (9, 10)) / 2**10
assert round(by_chance, 2) == 0.01
if my_guess is not None:
    assert len(my_guess) == len(key) and set(my_guess) <= {"A", "B"}, my_guess
    right = sum(mine == true for mine, true in zip(my_guess, key, strict=True))
    print(message("blind_score", right=right, all=len(key)), key)
samples_table(answers)

# %% [markdown] lang="es"
# ## Varios adaptadores, una base
#
# Si cada tarea es un adaptador, una sola base en memoria sirve para muchas. Entrenamos otro, pequeño, con las
# respuestas de Sancho Panza, y ponemos los dos sobre la misma base. Cambiar de uno a otro es cambiar un nombre; lo
# comprobamos con los *logits* de cada modelo por separado, y con la base sin ninguno. Luego preguntamos lo mismo a los
# dos; cambia las preguntas por otras en la lengua de tus datos. Ojo: cada uno recibe además su propia instrucción, así
# que la diferencia no se debe solo al adaptador.

# %% [markdown] lang="en"
# ## Several adapters, one base
#
# If each task is an adapter, one base in memory serves many. We train another, a small one, on Sancho Panza's answers,
# and put both on the same base. Switching from one to the other is changing a name; we check it with the logits of each
# model on its own, and with the base without any. Then we ask both the same; change the questions for others in the
# language of your data. Mind that each also gets its own instruction, so the difference is not due to the adapter
# alone.

# %%
from copy import deepcopy

from peft import PeftModel

from loralab import run
from loralab.train import conversation, generate, load_for, prompt_ids

voices = {"first": lora_voice[0].experiment, "second": persona.variant("second")}
if voices["second"].rank == voices["first"].rank:  # the sum below is of two ranks
    voices["second"] = persona.variant("second", rank=2 * voices["first"].rank)
run(voices["second"])
folders = {name: str(run_folder(e) / "adapter") for name, e in voices.items()}
chat = load_tokenizer(voices["first"].model)
instructions = {
    name: load_splits(e).train["instruction"].iloc[0] for name, e in voices.items()
}


loaded = load_for(voices["first"]).to(detect().kind)


def unadapted():
    return deepcopy(loaded)


duo = PeftModel.from_pretrained(unadapted(), folders["first"], adapter_name="first")
duo.load_adapter(folders["second"], adapter_name="second")
question = base.questions[0]
turns = conversation(chat, instructions["first"], question)
prompt = torch.tensor([prompt_ids(chat, turns)], device=detect().kind)


@torch.no_grad()
def next_logits(model):
    """The logits of the answer's first token."""
    return model.eval()(prompt).logits[0, -1].float().cpu()


near = (
    1e-4 if voices["first"].weights == "fp32" else 0.5
)  # logits in 16 bits are coarse


def alone(name):
    return load_trained(voices[name], run_folder(voices[name])).to(detect().kind)


by_itself = {name: next_logits(alone(name)) for name in voices}
for name in voices:
    duo.set_adapter(name)
    assert torch.allclose(next_logits(duo), by_itself[name], atol=near)
with duo.disable_adapter():
    untouched = next_logits(duo)
assert torch.equal(untouched, next_logits(unadapted()))

# %%
my_questions = ["Should I lend money to a friend?", "How do I stop being afraid?"]
spoken = {}
for name in voices:
    duo.set_adapter(name)
    asked = pd.DataFrame({"instruction": instructions[name], "input": my_questions})
    limit = voices[name].max_new_tokens
    spoken[name] = generate(duo, chat, asked, max_new_tokens=limit)
pd.DataFrame(spoken, index=my_questions)

# %% [markdown] lang="es"
# ¿Y sumarlos? La suma de las dos actualizaciones, $\Delta W_1 + \Delta W_2$, es otra vez un adaptador: basta con poner
# las $A$, cada una multiplicada por su $\alpha/r$, una debajo de otra, y las $B$ una al lado de otra, y el rango es la
# suma de los dos. Es lo que `peft` llama `cat`. La tentación es sumar las $A$ por su lado y las $B$ por el suyo
# (`linear`), que no es lo mismo, porque $(B_1 + B_2)(A_1 + A_2)$ tiene dos términos de más; con rangos distintos ni
# siquiera se puede. (Que se puedan sumar no quiere decir que la suma hable bien: nadie la ha entrenado.)
#
# La celda acaba con lo que se hace para usarlos: guardar la suma y cargarla en una base nueva, y fusionar uno con los
# pesos. Todo tiene que dar lo mismo que antes.

# %% [markdown] lang="en"
# And adding them? The sum of the two updates, $\Delta W_1 + \Delta W_2$, is an adapter again: put one $A$, each
# multiplied by its $\alpha/r$, below the other, and one $B$ beside the other, and the rank is the sum of the two. That
# is what `peft` calls `cat`. The temptation is to add the $A$s on their own and the $B$s on their own (`linear`), which
# is not the same, because $(B_1 + B_2)(A_1 + A_2)$ has two terms too many; with different ranks it cannot even be done.
# (That they can be added does not mean that the sum speaks well: nobody trained it.)
#
# The cell ends with what one does to use them: saving the sum and loading it onto a new base, and merging one into the
# weights. All has to give the same as before.

# %%
import tempfile
from pathlib import Path

duo.add_weighted_adapter(
    list(voices), [1.0, 1.0], adapter_name="both", combination_type="cat"
)
layer = next(module for module in duo.modules() if hasattr(module, "lora_A"))
updates = {name: layer.get_delta_weight(name) for name in ("first", "second", "both")}
summed = updates["first"] + updates["second"]
assert torch.allclose(updates["both"], summed, atol=1e-5)
print(layer.r)
try:
    duo.add_weighted_adapter(
        list(voices), [1.0, 1.0], adapter_name="mixed", combination_type="linear"
    )
    raise AssertionError("adapters of different ranks were added term by term")
except ValueError as error:
    print(type(error).__name__, str(error)[:60])

folder = tempfile.mkdtemp()
duo.set_adapter("both")
duo.save_pretrained(folder, selected_adapters=["both"], save_embedding_layers=False)
reloaded = PeftModel.from_pretrained(unadapted(), str(Path(folder) / "both"))
assert torch.allclose(next_logits(reloaded), next_logits(duo), atol=near)

merged = alone("first").merge_and_unload(safe_merge=True)
assert not any("lora_" in name for name, _ in merged.named_modules())
assert torch.allclose(next_logits(merged), by_itself["first"], atol=10 * near)

# %% [markdown] lang="es"
# ## Cuando el completo no cabe
#
# Gemma 3, de 4300 millones de parámetros, es el modelo de la receta original. Una T4 se vende como de 16 GB;
# `nvidia-smi` dice 15 GiB, y de ahí sale también lo que ocupan el controlador y CUDA. El plan cuenta, a partir de la
# configuración, lo que sigue: un solo ejemplo de 512 *tokens*, sin guardar las activaciones internas de cada bloque, que
# se recalculan a la vuelta (*activation checkpointing*). La torre de visión, que no ve textos, no se entrena. Con los
# pesos congelados se puede ahorrar más: en `bf16`, donde la GPU lo admita, o en 4 bits (**QLoRA**, [Dettmers et al.,
# 2023](https://arxiv.org/abs/2305.14314)).

# %% [markdown] lang="en"
# ## When full fine-tuning does not fit
#
# Gemma 3, of 4,300 million parameters, is the model of the original recipe. A T4 is sold as 16 GB; `nvidia-smi` says 15
# GiB, and what the driver and CUDA take comes out of that too. The plan counts, from the configuration, this case: a
# single example of 512 tokens, and the activations inside each block not kept but recomputed (*activation
# checkpointing*). The vision tower, which sees no text, is not trained. With frozen weights one can save more: in
# `bf16`, where the GPU supports it, or in 4 bits (**QLoRA**, [Dettmers et al.,
# 2023](https://arxiv.org/abs/2305.14314)).

# %% tags=["nbval-check-output"]
from loralab import load_profile, plan
from loralab.memory import GPUS, fits, supports

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
# El completo no cabe ni de lejos; tampoco en una GPU de 40 GB. Con la base en `bf16` cabría, pero una T4 no tiene
# unidades de `bf16`, y en `float16` Gemma 3 se desborda: sus activaciones pasan de 65 504. Por eso en una T4 el camino
# es la última fila, con los cálculos en `float32`. Es la variante `t4` del perfil `large`. (No la hemos ejecutado en
# una T4 ni con Gemma.) En las filas de LoRA, lo que va de la primera columna a la segunda son sobre todo los *logits*,
# que en un vocabulario de 262 208 son muchos. `python -m loralab plan` dice lo mismo de cualquier modelo y de otras
# GPU.

# %% [markdown] lang="en"
# Full fine-tuning is far from fitting, even on a 40 GB GPU. With the base in `bf16` it would, but a T4 has no `bf16`
# units, and in `float16` Gemma 3 overflows: its activations exceed 65,504. So on a T4 the way is the last row, with
# computations in `float32`. It is the variant `t4` of the profile `large`. (We have not run it on a T4, nor with
# Gemma.) In LoRA's rows, what lies between the first column and the second is above all the logits, which for a
# vocabulary of 262,208 are many. `python -m loralab plan` says the same of any model and of other GPUs.

# %% [markdown] lang="es"
# ## Lo que dicen los números
#
# Nadie ha elegido estas frases después de ver los números: el código escoge cada una, y la rellena, según los
# resultados. Si LoRA hubiera tardado más, la frase lo diría; si los tiempos están demasiado cerca, dice que no se puede
# saber.

# %% [markdown] lang="en"
# ## What the numbers say
#
# Nobody chose these sentences after seeing the numbers: the code picks each one, and fills it in, from the results. Had
# LoRA taken longer, the sentence would say so; if the times are too close to tell, it says that.

# %%
from loralab.show import findings

voice = [*findings(full_voice, lora_voice), compare(lora_voice, [base])]
voice += [forgetting(base, full_voice), forgetting(base, lora_voice)]
said = {"classification": findings(full, lora), "generation": voice}
parts = [
    f"**{message(title)}**\n\n" + "\n".join(f"- {line}" for line in lines)
    for title, lines in said.items()
]
Markdown("\n\n".join(parts))

# %% [markdown] lang="es"
# ## Lo que se dice de LoRA, a juicio
#
# Y esto es lo que se suele decir de LoRA (lo decía también el cuaderno del que nació este curso), al lado de lo que ha
# medido el estudio en las dos tareas. Cada afirmación se juzga en todos los sitios en que se midió: con cada rango y,
# con el rango del curso, también en otros módulos. En cada sitio el veredicto sale de los números: **confirmado** si el
# intervalo cae entero dentro de lo que se afirma, **refutado** si cae fuera, y **sin decidir** si tiene una parte de
# cada lado. Si en un sitio se confirma y en otro se refuta, **depende**, y se indica de qué. Lo que depende del margen
# («llega a lo mismo», «olvida menos», «es mejor», «basta») se juzga con el intervalo del 90 %, que es el ± de la tabla;
# una columna dice qué saldría con un margen menor. Un número positivo favorece a LoRA, o al rango más alto; en la
# pérdida, es lo que esta baja. «Alrededor del 1 %» es de 0,5 a 2 %, y «unas diez veces», de 5 a 20. Las reglas están en
# `src/loralab/evidence/protocol.toml` y son de un segundo estudio, que está en marcha: quien las escribió había leído
# estos resultados, que son del primero.
#
# Vale para esos modelos, esos datos y esa máquina: ni un «refutado» cierra la cuestión en otro sitio, ni un
# «confirmado» la demuestra. Cada afirmación se juzga por separado, sin corregir por cuántas son.

# %% [markdown] lang="en"
# ## What people claim of LoRA, on trial
#
# And this is what people claim of LoRA (the notebook that this course grew out of did so too), beside what the study
# measured in both tasks. Each claim is judged at every place where it was measured: at each rank and, at the course's
# own, on other modules too. At each place the verdict follows from the numbers: **confirmed** if the whole interval lies
# within what is claimed, **refuted** if it lies outside, and **undecided** if it has a part on each side. If it is
# confirmed at one place and refuted at another, **it depends**, and the places are named. What depends on the margin
# (“does as well”, “forgets less”, “is better”, “is enough”) is judged by the 90% interval, which is the ± of the table;
# a column says what a smaller margin would give. A positive number is in favour of LoRA, or of the higher rank; of the
# loss, it is how much lower it is. “About 1%” is 0.5 to 2%, and “about ten times”, 5 to 20. The rules are in
# `src/loralab/evidence/protocol.toml` and belong to a second study, which is on its way: whoever wrote them had read
# these results, which are the first one's.
#
# It holds for those models, those data and that machine: “refuted” does not settle the matter elsewhere, nor does
# “confirmed” prove it. Each claim is judged by itself, with no correction for their number.

# %%
from loralab.evidence import claims_table, judge_claims

claims_table([*judge_claims(study), *judge_claims(persona_study)])

# %% [markdown] lang="es"
# ## Otros métodos
#
# LoRA tiene variantes, y no es la única manera de entrenar pocos parámetros. El estudio probó algunas de las que trae
# `peft` (sus artículos están en la lección 5 y en «Qué viene después»); en `loralab` basta con cambiar `method`. Es un
# solo entrenamiento de cada método, con la misma semilla, así que la tabla sirve para situarlos, **no** para
# ordenarlos: el ± solo recoge la suerte del examen. Las variantes de LoRA llevan la tasa y la $\alpha$ de LoRA (por eso
# en *rank-stabilized* el factor $s$ es mayor); los demás, la mejor tasa de un barrido que empezó con tres, y no con
# cinco como el de LoRA y el del completo. Si esa tasa queda en el borde, o el método apenas ha despegado en tres
# épocas, la tabla no enseña lo que puede dar. La última columna divide lo que tarda un paso entre lo que tarda uno de
# LoRA, por turnos y en las mismas rondas. Y una desigualdad que sigue ahí: *prompt* y *prefix tuning* entrenan con lo
# suyo la cabeza y nada más; en `peft` no hay cómo decirles que entrenen también el `pooler`.

# %% [markdown] lang="en"
# ## Other methods
#
# LoRA has variants, and it is not the only way to train few parameters. The study tried some of those that `peft` has
# (their papers are in lesson 5 and in “What comes next”); in `loralab` it is enough to change `method`. It is a single
# run of each method, with the same seed, so the table places them and does **not** rank them: the ± covers exam luck
# alone. LoRA's variants take LoRA's rate and $\alpha$ (so that in the *rank-stabilized* one the factor $s$ is larger);
# the others, the best rate of a sweep that began with three, and not with five as LoRA's and full fine-tuning's did. If
# that rate lies at the edge, or the method has hardly taken off in three epochs, the table does not show what it can
# do. The last column divides the time of a step by that of one of LoRA's, in turns and in the same rounds. And one
# inequality remains: prompt and prefix tuning train the head beside their own and nothing more; `peft` has no way to
# tell them to train the `pooler` too.

# %%
from loralab.evidence import other_methods_table

other_methods_table(study)

# %% [markdown] lang="es"
# ## Tus predicciones
#
# Todas las que has hecho en el curso, al lado de lo que se midió. Las que más se apartan son las que más te han
# enseñado.

# %% [markdown] lang="en"
# ## Your predictions
#
# All those you made in the course, beside what was measured. The ones furthest off are those that taught you most.

# %%
from loralab.lessons import predictions_table

predictions_table()

# %% [markdown] lang="es"
# ## Resumen: qué da cada uno
#
# | | *fine-tuning* completo | LoRA | de dónde sale |
# |---|---|---|---|
# | exactitud | su diferencia: el veredicto | su diferencia: el veredicto | la regla graduada, con su margen |
# | qué entrena | todos los pesos | $r(d_{in} + d_{out})$ por matriz, y la cabeza | lección 3; tabla |
# | pesos y promedios | 12 bytes por parámetro | 4 por parámetro y 8 por cada entrenable | «La memoria» |
# | activaciones y gradientes | todos | buena parte de las activaciones | «La memoria» |
# | operaciones por *token* | $6N$ | unas $4N$ | [Kaplan et al., 2020](https://arxiv.org/abs/2001.08361); el tiempo, medido |
# | qué se guarda por tarea | el modelo entero | el adaptador y la cabeza | lección 3: «Guardar y cargar» |
# | al usarlo | un modelo corriente | lo mismo, una vez fusionado | lección 3: «Cambiar, apagar, fusionar» |
# | tasa de aprendizaje | baja | bastante más alta | lección 4 |
#
# ## Los hiperparámetros que deciden
#
# Los valores habituales son los del cuaderno del que nació este curso.
#
# | | valores habituales | qué hace | de dónde sale |
# |---|---|---|---|
# | `r` | 4, 8, 16 | tamaño del adaptador | lección 5; GPT-3, de 1 a 64: [Hu et al., 2021](https://arxiv.org/abs/2106.09685), tabla 6 |
# | `lora_alpha` | 16, 32, 64 | multiplica lo que se suma, por $\alpha / r$ | lecciones 3 y 5; $\sqrt{r}$: [Kalajdzievski, 2023](https://arxiv.org/abs/2312.03732) |
# | `target_modules` | consulta y valor, o todas las lineales | dónde se suma | consulta y valor: [Hu et al., 2021](https://arxiv.org/abs/2106.09685), 7.1; todas: [Dettmers et al., 2023](https://arxiv.org/abs/2305.14314) |
# | tasa de aprendizaje | de 1e-4 a 3e-4 en modelos grandes; aquí, más | tamaño del paso | lección 4; unas diez veces la del completo: [Schulman et al., 2025](https://thinkingmachines.ai/blog/lora/) |
# | `lora_dropout` | de 0 a 0,1 | apaga entradas al azar | aquí 0, como en `peft` si no dices nada |
# | `modules_to_save` | la cabeza | qué más se entrena y se guarda | lección 3: «Guardar y cargar» |
#
# ## Cuándo usar LoRA, y cuándo no
#
# - **Sí**, si el entrenamiento completo no cabe: lo que ocupan pesos y promedios baja de 12 a poco más de 4 bytes por
#   parámetro («La memoria»).
# - **Sí**, si vas a tener muchas tareas sobre una base: cada una cuesta un adaptador, no un modelo («Varios
#   adaptadores, una base»).
# - **Quizá**, si quieres que el modelo olvide menos: en modelos grandes se ha medido que LoRA cambia menos lo que ya
#   sabía ([Biderman et al., 2024](https://arxiv.org/abs/2405.09673)); aquí, lo que dice «Lo que se olvida».
# - **No hace falta**, si el modelo es pequeño y cabe: el completo usa el mismo código, y el veredicto de arriba dice
#   qué ganas o pierdes.
# - **Con cuidado**, si la tarea está lejos de lo que el modelo vio (código, matemáticas, mucho texto nuevo): ahí se ha
#   medido que LoRA aprende menos ([Biderman et al., 2024](https://arxiv.org/abs/2405.09673)).
# - **No esperes** que sea más rápido al usarlo: fusionado, es un modelo corriente (lección 3). Ni que el ahorro de
#   memoria sea el de parámetros («La memoria»).
#
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - Qué ahorra LoRA aquí en memoria y en tiempo: lo dicen la tabla y los pasos intercalados.
# - Qué cuesta en exactitud, o en nats: lo dice la regla graduada de cada tarea, con su margen. Si dice «no se puede
#   decir», ninguno ha ganado y tampoco han empatado: faltan frases o faltan semillas.
# - Todo ello, para el modelo, los datos y la máquina con que se midió: los tuyos, o los del estudio.
#
# ## Qué viene después
#
# - **QLoRA**: la base congelada en 4 bits; cabe un modelo varias veces mayor ([Dettmers et al.,
#   2023](https://arxiv.org/abs/2305.14314)).
# - **Variantes de LoRA**: DoRA, que separa la dirección de $W$ de su tamaño ([Liu et al.,
#   2024](https://arxiv.org/abs/2402.09353)), o PiSSA, que no empieza en cero ([Meng et al.,
#   2024](https://arxiv.org/abs/2404.02948)).
# - **Otros métodos**: adaptadores en serie ([Houlsby et al., 2019](https://arxiv.org/abs/1902.00751)), *prefix tuning*
#   ([Li y Liang, 2021](https://arxiv.org/abs/2101.00190)), *prompt tuning* ([Lester et al.,
#   2021](https://arxiv.org/abs/2104.08691)), IA³ ([Liu et al., 2022](https://arxiv.org/abs/2205.05638)). Casi todos
#   están en `peft`.
#
# ## De dónde sale cada número
#
# Los de tus entrenamientos, de estos resultados; los del estudio, de los ficheros de `data/reference`.

# %% [markdown] lang="en"
# ## Summary: what each gives
#
# | | full fine-tuning | LoRA | where it comes from |
# |---|---|---|---|
# | accuracy | its difference: the verdict | its difference: the verdict | the ruler, with its margin |
# | what it trains | all the weights | $r(d_{in} + d_{out})$ per matrix, and the head | lesson 3; table |
# | weights and averages | 12 bytes per parameter | 4 per parameter and 8 for each trainable one | “Memory” |
# | activations and gradients | all | a good part of the activations | “Memory” |
# | operations per token | $6N$ | about $4N$ | [Kaplan et al., 2020](https://arxiv.org/abs/2001.08361); the time, measured |
# | what is kept for a task | the whole model | the adapter and the head | lesson 3: “Save and load” |
# | in use | a plain model | the same, once merged | lesson 3: “Switch, turn off, merge” |
# | learning rate | low | a good deal higher | lesson 4 |
#
# ## The hyperparameters that decide
#
# The usual values are those of the notebook that this course grew out of.
#
# | | usual values | what it does | where it comes from |
# |---|---|---|---|
# | `r` | 4, 8, 16 | size of the adapter | lesson 5; GPT-3, from 1 to 64: [Hu et al., 2021](https://arxiv.org/abs/2106.09685), table 6 |
# | `lora_alpha` | 16, 32, 64 | multiplies what is added, by $\alpha / r$ | lessons 3 and 5; $\sqrt{r}$: [Kalajdzievski, 2023](https://arxiv.org/abs/2312.03732) |
# | `target_modules` | query and value, or all linear layers | where it is added | query and value: [Hu et al., 2021](https://arxiv.org/abs/2106.09685), 7.1; all: [Dettmers et al., 2023](https://arxiv.org/abs/2305.14314) |
# | learning rate | 1e-4 to 3e-4 in large models; here, more | size of the step | lesson 4; about ten times full fine-tuning's: [Schulman et al., 2025](https://thinkingmachines.ai/blog/lora/) |
# | `lora_dropout` | 0 to 0.1 | switches inputs off at random | 0 here, as in `peft` if you say nothing |
# | `modules_to_save` | the head | what else is trained and kept | lesson 3: “Save and load” |
#
# ## When to use LoRA, and when not
#
# - **Yes**, if full training does not fit: what weights and averages take falls from 12 to little more than 4 bytes per
#   parameter (“Memory”).
# - **Yes**, if you are going to have many tasks on one base: each costs an adapter, not a model (“Several adapters, one
#   base”).
# - **Perhaps**, if you want the model to forget less: in large models LoRA has been found to change less of what they
#   knew ([Biderman et al., 2024](https://arxiv.org/abs/2405.09673)); here, what “What is forgotten” says.
# - **No need**, if the model is small and fits: full fine-tuning uses the same code, and the verdict above says what
#   you gain or lose.
# - **With care**, if the task is far from what the model has seen (code, mathematics, a lot of new text): there LoRA
#   has been found to learn less ([Biderman et al., 2024](https://arxiv.org/abs/2405.09673)).
# - **Do not expect** it to be faster in use: merged, it is a plain model (lesson 3). Nor memory to fall as parameters
#   do (“Memory”).
#
# ## What you may now claim, and on what evidence
#
# - What LoRA saves here in memory and in time: the table and the interleaved steps say so.
# - What it costs in accuracy, or in nats: each task's ruler says so, with its margin. If it says “cannot tell”, neither
#   has won, nor have they drawn: there are too few sentences or too few seeds.
# - All of it for the model, the data and the machine it was measured with: yours, or the study's.
#
# ## What comes next
#
# - **QLoRA**: the frozen base in 4 bits; a model several times larger fits ([Dettmers et al.,
#   2023](https://arxiv.org/abs/2305.14314)).
# - **Variants of LoRA**: DoRA, which takes the direction of $W$ apart from its size ([Liu et al.,
#   2024](https://arxiv.org/abs/2402.09353)), or PiSSA, which does not start at zero ([Meng et al.,
#   2024](https://arxiv.org/abs/2404.02948)).
# - **Other methods**: serial adapters ([Houlsby et al., 2019](https://arxiv.org/abs/1902.00751)), *prefix tuning* ([Li
#   and Liang, 2021](https://arxiv.org/abs/2101.00190)), *prompt tuning* ([Lester et al.,
#   2021](https://arxiv.org/abs/2104.08691)), IA³ ([Liu et al., 2022](https://arxiv.org/abs/2205.05638)). Nearly all are
#   in `peft`.
#
# ## Where each number comes from
#
# Those of your runs, from these results; the study's, from the files in `data/reference`.

# %%
from loralab.show import provenance_table

provenance_table([*results, *answers])

# %% [markdown] lang="es"
# ## Ejercicios
#
# Escribe tu respuesta en lugar de `...` o de `None` y ejecuta la celda: `check` te dice si es correcta y, si no, qué
# error has cometido. Puedes intentarlo tantas veces como quieras. Antes de calcular, haz la predicción que pide cada
# ejercicio, aunque sea a ojo. Si no dicen otra cosa, se hacen con los modelos y los datos de tu perfil. El que entrena
# dice cuántos entrenamientos son; `run` carga los que ya estén hechos.

# %% [markdown] lang="en"
# ## Exercises
#
# Write your answer in place of `...` or `None` and run the cell: `check` tells you whether it is right and, if not,
# which mistake you have made. Try as often as you like. Before you compute, make the prediction that each exercise asks
# for, if only by eye. Unless they say otherwise, they work with your profile's models and data. The one that trains
# says how many runs it takes; `run` loads the ones already done.

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
# y LoRA con los dos tamaños de `SIZES` y lo demás como en el perfil: el mismo test, la misma partición, las mismas
# épocas. `"all"` es todo lo que dejan la validación y el test. Entrega:
#
# - `runs`: el resultado de cada pareja de método y tamaño;
# - `steps`: los pasos del optimizador con el conjunto grande, divididos entre los del pequeño (`loss_by_step` tiene una
#   entrada por paso);
# - `times`: para cada método, los segundos de entrenamiento con el grande, divididos entre los del pequeño;
# - `gain`: para cada método, los dos extremos del intervalo del 95 % de lo que gana la exactitud al pasar del pequeño
#   al grande, por pares y en puntos;
# - `outcome`: con el conjunto grande, el veredicto sobre el completo menos LoRA, con el margen del perfil. Es uno de
#   los cuatro de `judge`, y puede dártelo `stats.verdict`.
#
# Son cuatro entrenamientos. Con los datos del curso, el conjunto grande son unas 6000 frases en el perfil `cpu` y, en el
# `t4`, unas 24 000 críticas de hasta 256 *tokens*. Calcula antes cuánto tardarán, a partir de lo que tardaron los de la
# lección. Hay un solo entrenamiento de cada, así que el ± no recoge la suerte del entrenamiento.
#
# **Predice.** ¿Cuántos puntos ganará cada método? Ojo: con las mismas épocas, más datos son también más pasos, y una
# parte de la mejora puede venir de ahí.

# %% [markdown] lang="en"
# ### With all the data
#
# Does accuracy improve with many more examples? How much longer does it take? Is LoRA still worth it? Train full
# fine-tuning and LoRA with the two sizes in `SIZES` and the rest as in the profile: the same test, the same split, the
# same epochs. `"all"` is everything that validation and test leave. Hand in:
#
# - `runs`: the result of each pair of method and size;
# - `steps`: the optimizer's steps with the large set, divided by those with the small one (`loss_by_step` has one entry
#   per step);
# - `times`: for each method, the training seconds with the large set, divided by those with the small one;
# - `gain`: for each method, both ends of the 95% interval of what accuracy gains from the small set to the large one,
#   in pairs and in points;
# - `outcome`: with the large set, the verdict on full fine-tuning minus LoRA, with the profile's margin. It is one of
#   `judge`'s four, and `stats.verdict` can give it to you.
#
# It takes four runs. With the course's data the large set is about 6,000 sentences in the `cpu` profile, and in `t4`
# about 24,000 reviews of up to 256 tokens. Work out beforehand how long they will take, from how long the lesson's
# took. There is a single run of each, so the ± leaves out training luck.
#
# **Predict.** How many points will each method gain? Mind that at the same number of epochs more data also means more
# steps, and part of the improvement may come from there.

# %% exercise="more_data"
from loralab import check, run
from loralab.show import difference, stats, training_seconds

size = profile.settings["train_size"]
few = 1000 if size == "all" or size >= 1000 else size // 2
SIZES = {"small": few, "large": "all"}
if profile.name == "smoke":
    SIZES = {"small": 64, "large": 256}

runs = None  # {("full", "small"): result, ("lora", "large"): …}: four of them
steps = None  # large / small
times = None  # {"full": large / small, "lora": …}
gain = None  # {"full": (low, high), "lora": …}, points
outcome = None  # "equivalent", "different", "negligible" or "cannot_tell"
### BEGIN SOLUTION
runs, times, gain = {}, {}, {}
for method in ("full", "lora"):
    for size, rows in SIZES.items():
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

check("more_data", profile, SIZES, runs, steps, times, gain, outcome)

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
base, adapter = 134_515_008, 4_884_480
full_mib = 16 * base / 2**20
lora_mib = (4 * base + 16 * adapter) / 2**20
### END SOLUTION

check("static_memory", full_mib, lora_mib)
