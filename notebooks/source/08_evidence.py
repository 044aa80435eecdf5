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
# cuántos puntos de 83 queda, como mucho, la nota de los demás? (Un punto: de 83 % a 84 %.)

# %% [markdown] lang="en"
# ## “That score was luck”
#
# Imagine a model that truly gets 83% of all sentences right. We examine it 1,000 times, each time on 2,000 new
# sentences. The model does not change; the score does. We take away the 2.5% of exams with the worst score and the 2.5%
# with the best. How many points from 83 do the others lie at most? (One point: from 83% to 84%.)

# %%
from loralab import detect, load_splits, message, number, percent, predict, run, run_all

guess_width = predict("exam_half_width", None)

# %%
import numpy as np

true_accuracy, questions = 0.83, 2000
exams = np.random.default_rng(0).binomial(questions, true_accuracy, 1000) / questions
low, high = np.quantile(exams, [0.025, 0.975])
print(f"{percent(exams.mean())}: {percent(low)} – {percent(high)}")

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
# ## «Con tres semillas basta»
#
# En el apartado anterior sabíamos la verdad y mirábamos dónde caían las notas. Ahora es al revés. Un **intervalo del 95
# %** sale de una receta que, repetida en muchos estudios, atrapa el valor verdadero en el 95 % de ellos. La media de
# $k$ entrenamientos tiene una desviación típica $S / \sqrt{k}$, con $S$ la de un entrenamiento; pero $S$ sale de esas
# mismas $k$ notas, y con tan pocas puede salir muy corta. Por eso el factor que la multiplica es mayor cuantas menos
# hay ([Student, 1908](https://doi.org/10.1093/biomet/6.1.1)). ¿Cumple lo que promete? Simulamos 2000 estudios de 3
# semillas, y al lado los que toman $S$ por conocida.

# %% [markdown] lang="en"
# ## “Three seeds are enough”
#
# In the last section we knew the truth and watched where the scores fell. Now it is the other way round. A **95%
# interval** comes from a recipe that, repeated over many studies, catches the true value in 95% of them. The mean of
# $k$ runs has a standard deviation of $S / \sqrt{k}$, with $S$ that of one run; but $S$ comes from those same $k$
# scores, and with so few it can come out far too small. So the factor that multiplies it is larger the fewer there are
# ([Student, 1908](https://doi.org/10.1093/biomet/6.1.1)). Does it keep its promise? We simulate 2,000 studies of 3
# seeds, and beside them those that take $S$ as known.

# %%
from loralab.show import Difference, difference, margin_verdict, ruler, seed_factor

for k in (2, 3, 5, 10):
    print(f"k = {k:2}: ±", number(seed_factor(k), 2), "S")
runs = np.random.default_rng(1).normal(80, 0.5, size=(2000, 3))
off, spread = np.abs(runs.mean(axis=1) - 80), runs.std(axis=1, ddof=1)
caught = (off < seed_factor(3) * spread).mean()
naive = (off < 1.96 / np.sqrt(3) * spread).mean()
assert abs(caught - 0.95) < 0.02 and naive < 0.9
print(percent(caught), "·", percent(naive))

# %% [markdown] lang="es"
# Se puede decir: el factor de Student cumple lo que promete, y tomar $S$ por conocida no. Tres semillas bastan para dar
# un intervalo, pero ancho: el factor baja deprisa con cada semilla más.
#
# ## «Las semillas ya lo cuentan todo»
#
# La suerte del examen (qué frases han caído) y la del entrenamiento (qué semilla) son independientes. Sus tamaños no se
# suman: se combinan como los catetos de un triángulo rectángulo, $\sqrt{\text{examen}^2 + \text{entrenamiento}^2}$. Lo
# comprobamos con 2000 estudios simulados de 3 semillas. En cada uno la diferencia verdadera es de 0,4 puntos; el examen
# la mueve 0,5 (desviación típica), **igual para las tres semillas**, y cada entrenamiento 0,3. `half` da
# $\sqrt{(1{,}645 \cdot \text{examen})^2 + (f \cdot S)^2}$, con el factor $f$ de antes, para el 90 %, y el intervalo
# debe contener la diferencia verdadera al menos el 90 % de las veces. La celda imprime cuántas la contiene, y cuántas
# si solo se cuentan las semillas: como las tres hacen el mismo examen, su dispersión no recoge esa suerte.

# %% [markdown] lang="en"
# One may say: Student's factor keeps its promise, and taking $S$ as known does not. Three seeds are enough to give an
# interval, but a wide one: the factor falls fast with each further seed.
#
# ## “The seeds count everything already”
#
# Exam luck (which sentences came up) and training luck (which seed) are independent. Their sizes do not add: they
# combine like the legs of a right triangle, $\sqrt{\text{exam}^2 + \text{training}^2}$. We check it with 2,000
# simulated studies of 3 seeds. In each the true difference is 0.4 points; the exam moves it by 0.5 (standard
# deviation), **alike for all three seeds**, and each training run by 0.3. `half` gives
# $\sqrt{(1.645 \cdot \text{exam})^2 + (f \cdot S)^2}$, with the factor $f$ from above, for 90%, and the interval has
# to hold the true difference at least 90% of the time. The cell prints how often it does, and how often if only the
# seeds are counted: as all three sit the same exam, their spread does not show that luck.

# %%
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
# Se puede decir: son dos suertes, y quien cuenta solo la de las semillas promete más de lo que cumple.
#
# ## «Un examen así no puede demostrar nada»
#
# Estos son los entrenamientos de la lección 6 (en una CPU, unos minutos; si ya la hiciste, se cargan: en Colab, si
# guardas los resultados en Drive).

# %% [markdown] lang="en"
# One may say: there are two kinds of luck, and whoever counts that of the seeds alone promises more than they keep.
#
# ## “Such an exam can prove nothing”
#
# These are lesson 6's runs (on a CPU, some minutes; if you did it already, they are loaded: in Colab, if you keep
# results in Drive).

# %%
experiments = profile.comparison()
results = run_all([e for e in experiments if e.method in ("full", "lora")])
full = [r for r in results if r.experiment.method == "full"]
lora = [r for r in results if r.experiment.method == "lora"]
truth, margin = np.array(full[0].labels), profile.margin
full_right, lora_right = (np.equal(r.predictions, truth) for r in (full[0], lora[0]))

# %% [markdown] lang="es"
# ¿Cuántas frases harían falta? Si los dos modelos fueran igual de buenos y en una proporción $d$ de las frases acertara
# solo uno, en el 90 % de los exámenes la diferencia medida no se apartaría de cero más de $1{,}645\sqrt{d/n}$. Si eso
# supera el margen, un solo entrenamiento de cada uno no puede demostrar que son equivalentes, sea cual sea la verdad.
# Si no lo supera (<), tampoco hay garantía: falta la suerte del entrenamiento, y cuanto más cerca del margen esté la
# diferencia verdadera, más frases hacen falta.

# %% [markdown] lang="en"
# How many sentences would it take? If both models were equally good and only one were right on a share $d$ of the
# sentences, in 90% of exams the measured difference would lie within $1.645\sqrt{d/n}$ of zero. If that exceeds the
# margin, a single run of each cannot show that they are equivalent, whatever the truth. If it does not (<), there is
# still no guarantee: training luck is missing, and the closer the true difference is to the margin, the more sentences
# it takes.

# %%
d = (full_right != lora_right).mean()
print("d =", percent(d))
for n in sorted({500, 2000, len(truth), 25_000}):
    reach = 1.645 * (d / n) ** 0.5
    sign = "<" if reach < margin else "≥"
    print(f"n = {n:6}: ±", number(100 * reach, 2), sign, number(100 * margin, 2))

# %% [markdown] lang="es"
# ¿Y si todas las semillas caen del mismo lado? Con tres, y dos métodos iguales, pasaría una de cada cuatro veces
# ($2 / 2^3$) si fueran independientes, y aquí más a menudo, porque todas hacen el mismo examen. Es un indicio, no una
# prueba.
#
# **Hazlo mal a propósito.** ¿Y si solo hubiera una semilla de cada uno? Estos son los estudios que podríamos haber
# publicado, uno por semilla. Si no dicen lo mismo, lo que se publica depende de la semilla. El ± de cada uno está bien
# calculado, pero responde a otra pregunta: cuál de estos dos modelos acierta más, no cuál de los dos métodos.

# %% [markdown] lang="en"
# And if all seeds fall on one side? With three, and two equal methods, that would happen one time in four ($2 / 2^3$)
# if they were independent, and here more often, because all sit the same exam. It is a hint, not a proof.
#
# **Break it.** And with a single seed of each? These are the studies that we could have published, one per seed. If
# they do not say the same, what gets published depends on the seed. The ± of each is worked out correctly, but answers
# another question: which of these two models is better, not which of the two methods.

# %%
from IPython.display import Markdown

from loralab.show import compare

one_by_one = [compare([f], [p]) for f, p in zip(full, lora, strict=True)]
Markdown("\n".join(f"- {line}" for line in one_by_one))

# %% [markdown] lang="es"
# Se puede decir: lo que un examen puede demostrar se calcula con $d$ y $n$, sin mirar quién gana; y una sola semilla
# habla de estos dos modelos, no de los dos métodos.
#
# ## «Con más semillas saldría otra cosa»
#
# El curso trae un **estudio** ya hecho, con cuatro semillas (tres en la tarea de don Quijote). En él, cada método
# empieza con tres tasas y se queda con la de menor pérdida de **validación**, con una semilla que no se vuelve a usar y
# sin mirar el test. Si la mejor cae en un extremo, se prueba una tasa más allá, y solo una. La primera figura marca la
# elegida con un círculo; si sigue en el borde, el título lo dice.
#
# La segunda celda empieza por lo que hay que saber antes de mirar una diferencia: la menor diferencia verdadera que un
# estudio así encontraría el 80 % de las veces, con la suerte que se ha medido. (Encontrarla es que la barra fina deje
# fuera el cero.) Luego pone el intervalo del estudio sobre la misma regla graduada que el tuyo.

# %% [markdown] lang="en"
# One may say: what an exam can show follows from $d$ and $n$, without a look at who wins; and a single seed speaks of
# these two models, not of the two methods.
#
# ## “More seeds would say something else”
#
# The course comes with a **study**, with four seeds (three in Don Quixote's task). In it each method starts from three
# rates and keeps the one with the lowest **validation** loss, with a seed that is not used again and without a look at
# the test. If the best falls at one end, one rate beyond it is tried, and only one. The first figure puts a ring around
# the one chosen; if it is still at the edge, the title says so.
#
# The second cell begins with what one should know before looking at a difference: the smallest true difference that
# such a study would find 80% of the time, given the luck that was measured. (Finding it means that the thin bar leaves
# out zero.) Then it lays the study's interval on the same ruler as yours.

# %%
from loralab.evidence import (
    captured_by_rank,
    claims_table,
    group_table,
    intruders,
    judge_claims,
    loss_against_rate,
    other_methods_table,
    rank_groups,
    reference,
    singular_values,
    target_groups,
    time_table,
)

study, persona_study = reference()
loss_against_rate([s for s in study.sweeps if s.method in ("head", "full", "lora")])

# %%
from loralab.show import detectable

studied = difference(study.of("full"), study.of("lora"))
print(study.score.with_unit(detectable(studied)))
verdict = margin_verdict(study.of("full"), study.of("lora"), study.track.margin)
ruler(studied, study.track.margin, verdict, study.score)

# %% [markdown] lang="es"
# Se puede decir: lo que dice el título, para los modelos, los datos y las tasas del estudio. El número de arriba es lo
# que el estudio podía ver: una diferencia menor puede pasar inadvertida, y aun así puede saberse si cabe en el margen.
#
# ## «Más rango es mejor»
#
# En el estudio, cada rango lleva la mejor tasa de su propio barrido. La tabla da la nota de cada uno y su diferencia
# con $r = 8$ por pares, con un ± del 95 % sin corregir: son varias comparaciones, así que no basta con que una deje
# fuera el cero. Debajo, lo mismo con LoRA en más matrices: con el mismo rango, más módulos son también más parámetros.

# %% [markdown] lang="en"
# One may say: what the title says, for the study's models, data and rates. The number above is what the study could
# see: a smaller difference may escape it, and even so one may know whether it fits the margin.
#
# ## “More rank is better”
#
# In the study each rank is at the best rate of its own sweep. The table gives each one's score and its difference from
# $r = 8$ in pairs, with a ± at 95%, uncorrected: there are several comparisons, so it is not enough for one of them to
# leave out zero. Below, the same with LoRA on more matrices: at the same rank, more modules also mean more parameters.

# %%
from IPython.display import display

theirs = study.of("lora")[0].experiment
display(group_table(rank_groups(study), beside=f"r = {theirs.rank}"))
group_table(target_groups(study), beside=message("target_default"))

# %% [markdown] lang="es"
# Se puede decir: de cada rango y de cada elección de matrices, si su diferencia se distingue de cero, con esa cautela.
# Lo que dice la pérdida se ve más abajo, en el juicio.
#
# ## «LoRA hace lo mismo que el completo, con menos números»
#
# Hasta aquí hemos mirado notas. Miremos los pesos: ¿qué le suma el entrenamiento a cada matriz? Ese cambio es $\Delta
# W$, la matriz entrenada menos la de la base, y se calcula igual para LoRA y para el *fine-tuning* completo. Toda
# matriz es una suma de matrices de rango 1, $\sigma_i u_i v_i^\top$: una columna por una fila, las dos de longitud 1, y
# delante un tamaño. Las columnas $u_i$ son perpendiculares entre sí, y las filas también. Los tamaños, en orden
# ($\sigma_1 \ge \sigma_2 \ge \dots$), son los **valores singulares**. Aquí llamamos direcciones a las $u_i$: dicen
# hacia dónde puede moverse la salida de la capa.
#
# El cambio de LoRA tiene como mucho $r$ valores singulares distintos de cero; el del completo, hasta 384. La figura usa
# los modelos del estudio, cada método con su tasa, y hace la media de los valores singulares del cambio, sobre las
# matrices de consulta y de valor de todos los bloques y de todas las semillas.

# %% [markdown] lang="en"
# One may say: of each rank and each choice of matrices, whether its difference can be told from zero, with that
# caution. What the loss says is seen below, at the trial.
#
# ## “LoRA does what full fine-tuning does, with fewer numbers”
#
# So far we have looked at scores. Let us look at the weights: what does training add to each matrix? That update is
# $\Delta W$, the trained matrix minus that of the base, computed in the same way for LoRA and for full fine-tuning.
# Every matrix is a sum of matrices of rank 1, $\sigma_i u_i v_i^\top$: a column times a row, both of length 1, with a
# size in front. The columns $u_i$ are perpendicular to one another, and so are the rows. The sizes, in order ($\sigma_1
# \ge \sigma_2 \ge \dots$), are the **singular values**. Here the directions are the $u_i$: they say which way the
# layer's output can move.
#
# LoRA's update has at most $r$ singular values other than zero; that of full fine-tuning, up to 384. The figure uses
# the study's models, each method at its own rate, and averages the update's singular values over the query and value
# matrices of all blocks and all seeds.

# %%
singular_values(study.updates)

# %% [markdown] lang="es"
# ¿Cuánto del cambio del completo cabría en una matriz de rango $r$? La mejor que hay se queda con los $r$ mayores
# valores singulares ([Eckart y Young, 1936](https://doi.org/10.1007/BF02288367)). El tamaño al cuadrado de una matriz
# es la suma de los cuadrados de sus números, que es también la de sus valores singulares al cuadrado. De él, la mejor
# recoge esta parte: $\sum_{i \le r} \sigma_i^2 / \sum_i \sigma_i^2$. La banda gris va de la matriz con la parte más
# pequeña a la matriz con la más grande.

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
# toman las 16 primeras direcciones de la matriz **ya entrenada** y cada una se compara con todas las de la base. El
# coseno con la más parecida es 1 si son la misma, y menor cuanto menos se parecen; la banda va del percentil 10 al 90
# de las matrices. A las que no se parecen a ninguna, [Shuttleworth et al. (2024)](https://arxiv.org/abs/2410.21228) las
# llaman **intrusas**; las encontraron en modelos mayores ajustados con LoRA, y apenas con el completo. La raya, en 0,6,
# es una elección nuestra: mira las curvas enteras y no solo la cuenta del título.

# %% [markdown] lang="en"
# One more question: do new directions appear among the main ones of the whole matrix, and not only in its update? We
# take the first 16 directions of the matrix **as trained** and compare each with all of the base's. The cosine with the
# most similar is 1 if they are the same, and smaller the less alike they are; the band goes from percentile 10 to 90 of
# the matrices. Those that resemble none are called **intruders** by [Shuttleworth et al.
# (2024)](https://arxiv.org/abs/2410.21228), who found them in larger models tuned with LoRA, and hardly any with full
# fine-tuning. The line, at 0.6, is our choice: look at the whole curves, and not only at the count in the title.

# %%
intruders(study.updates)

# %% [markdown] lang="es"
# ¿Qué se puede decir? Si el completo y LoRA cambian estas matrices en las mismas direcciones o en otras. No dice cuál
# acierta más: eso es la lección 6. Ni dice por qué: LoRA se entrenó con una tasa mucho mayor, y no hemos separado lo
# que viene de la tasa de lo que viene del método. Y es un modelo pequeño: seis bloques, y dos matrices en cada uno. El
# artículo relaciona las intrusas con el olvido; aquí no lo hemos medido.

# %% [markdown] lang="en"
# What can be said? Whether full fine-tuning and LoRA change these matrices in the same directions or in others. It does
# not say which scores better: that is lesson 6. Nor does it say why: LoRA was trained at a much higher rate, and we
# have not separated what comes from the rate from what comes from the method. And it is a small model: six blocks, and
# two matrices in each. The paper links intruders to forgetting; here we have not measured that.

# %% [markdown] lang="es"
# ## «LoRA entrena varias veces más deprisa»
#
# El estudio midió el tiempo de un paso por turnos, con un lote distinto en cada ronda, de los más cortos a los más
# largos. La tabla da además el tiempo por *token* de verdad (sin el relleno), el tiempo hasta llegar a una misma
# pérdida de entrenamiento (los pasos que hicieron falta, multiplicados por la mediana de lo que dura uno) y las
# operaciones de las pasadas hacia delante y hacia atrás en el lote más largo, por la fórmula de la lección 6, con los
# productos de la atención añadidos. Entre paréntesis, un intervalo del 95 %: entre rondas en la primera fila, y entre
# semillas en la tercera, que deja fuera la suerte de medir el tiempo. El cociente de la segunda es el de los tiempos
# totales, en el que pesan más los lotes largos; el de la primera es la media de las rondas, que pesan todas igual.
#
# Si el cociente de los tiempos no es el de las operaciones, es que estas no lo explican todo: la cuenta no incluye el
# optimizador ni el tráfico de memoria, y los productos pequeños del adaptador pueden aprovechar peor la máquina. Cuánto
# aporta cada cosa no lo hemos medido.

# %% [markdown] lang="en"
# ## “LoRA trains several times faster”
#
# The study measured the time of a step in turns, with a different batch each round, from the shortest to the longest.
# The table also gives the time per real token (padding left out), the time to reach one and the same training loss (the
# steps it took, times the median duration of a step) and the operations of the forward and backward pass on the longest
# batch, by lesson 6's formula, with attention's products added. In brackets, a 95% interval: over rounds in the first
# row, and over seeds in the third, which leaves out the luck of timing. The second row's ratio is that of the total
# times, in which long batches weigh more; the first's is the mean over rounds, which all weigh the same.
#
# If the ratio of the times is not that of the operations, the operations do not explain everything: the count includes
# neither the optimizer nor memory traffic, and the adapter's small products may use the machine less well. How much
# each contributes, we have not measured.

# %%
time_table(study)

# %% [markdown] lang="es"
# Se puede decir: cuántas veces lo que un paso de LoRA dura aquí uno del completo, con estos lotes. En otra máquina, el
# cociente será otro.
#
# ## «Los fallos son del modelo»
#
# En la lección 1 vimos que las personas casi no se ponen de acuerdo en las frases tibias. ¿Fallan ahí también los
# modelos? (Solo con las críticas que traen la valoración de cada persona.) La celda imprime qué parte de los fallos del
# completo está en las más tibias, de −0,5 a 0,5.

# %% [markdown] lang="en"
# One may say: how many times as long as a step of LoRA a step of full fine-tuning takes here, with these batches. On
# another machine the ratio will be another.
#
# ## “The mistakes are the model's”
#
# In lesson 1 we saw that people hardly agree on mild sentences. Do the models fail there too? (Only for the reviews
# that come with each person's rating.) The cell prints which share of full fine-tuning's mistakes lies in the mildest,
# from −0.5 to 0.5.

# %%
from loralab.data import film_reviews
from loralab.lessons import (
    accuracy_by_strength,
    predictions_table,
    rater_agreement,
)

test = load_splits(lora[0].experiment).test
picture = None
if lora[0].experiment.dataset == "film-reviews":
    rated = film_reviews().loc[test.index]
    judges = {
        message("lora"): lora_right,
        message("short_full"): full_right,
        message("a_person"): rated["ratings"].map(rater_agreement),
    }
    picture = accuracy_by_strength(rated["rating"], judges)
    mild = (rated["rating"].abs() < 0.5).to_numpy()
    print(percent(mild[~full_right].mean()))
picture

# %% [markdown] lang="es"
# Se puede decir: donde las personas no coinciden no hay una respuesta segura que acertar, y cuántos fallos caen ahí.
# Los demás son del modelo, que falla donde las personas suelen coincidir.
#
# ## «La receta original también servía»
#
# El cuaderno del que nació este curso rellenaba cada fila hasta 512 *tokens* y copiaba la entrada entera como etiqueta:
# entrenaba también con la pregunta y con el relleno. Es el experimento `original` del perfil. (El perfil `smoke`
# rellena menos, para que no tarde.) Contamos los *tokens* de un lote: los que se calculan, los que se juzgan y los que
# son respuesta.

# %% [markdown] lang="en"
# One may say: where people do not agree there is no sure answer to get right, and how many mistakes fall there. The
# rest are the model's, which fails where people mostly agree.
#
# ## “The original recipe would do as well”
#
# The notebook that this course grew out of padded each row to 512 tokens and copied the whole input as labels: it
# trained on the question and on the padding too. It is the profile's experiment `original`. (The `smoke` profile pads
# less, to be quick.) We count the tokens of a batch: those computed, those judged, and those that are the answer.

# %%
import pandas as pd

from loralab.train import IGNORED, PairCollator, encode_pairs, load_tokenizer

persona = profile.generation.experiment("lora")
original = profile.generation.variant("original")
chat = load_tokenizer(persona.model)
dialogues = encode_pairs(load_splits(persona).train, chat, persona.max_length)
fitting = [i for i, n in enumerate(dialogues.lengths) if n <= original.max_length]
some = [dialogues.dataset[i] for i in fitting[:4]]
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
# optimizador y sin pasar a 16 bits. Las demás diferencias están en la tabla. Solo hemos medido dos cosas: el tiempo,
# aquí, y los *tokens* que se juzgan, en la tabla de arriba. De su tasa, su *dropout* y sus épocas no afirmamos nada.

# %% [markdown] lang="en"
# The experiment `original` pads everything to its `max_length` and trains on everything. How many times as long as a
# step of ours will one of its steps take, on the same examples? We time in turns the forward and backward pass of two
# examples, without the optimizer and without going to 16 bits. The other differences are in the table. We have measured
# only two things: the time, here, and the tokens judged, in the table above. About its rate, its dropout and its epochs
# we claim nothing.

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
# Se puede decir: lo que cuesta de más, aquí y con estos ejemplos. No que aprenda peor.
#
# ## «La pérdida depende de cómo se formen los lotes»
#
# Dos respuestas: una de 2 *tokens*, con pérdida media 4,0, y otra de 20, con pérdida media 1,0. La media por filas es
# 2,5; la media por *tokens*, 1,27. ¿Cuál es la pérdida? La segunda: en la primera, una respuesta corta pesa como una
# larga. Y la media de las medias de cada lote depende de cómo se formen los lotes. Lo mismo pasa si un paso reúne los
# gradientes de varios lotes (*gradient accumulation*), y por eso `run` divide entre los *tokens* del paso entero. La
# celda entrena a don Quijote con LoRA, si no lo hicieron las lecciones 5 o 6, y hace las dos medias con el test: por
# filas y, tras la flecha, por *tokens*, que es la de la tabla.

# %% [markdown] lang="en"
# One may say: what it costs on top, here and with these examples. Not that it learns worse.
#
# ## “The loss depends on how batches are made”
#
# Two answers: one of 2 tokens, with mean loss 4.0, and one of 20, with mean loss 1.0. The mean over rows is 2.5; the
# mean over tokens, 1.27. Which is the loss? The second: in the first, a short answer weighs as much as a long one. And
# the mean of each batch's own mean depends on how batches are made. The same happens if one step gathers the gradients
# of several batches (gradient accumulation), and so `run` divides by the tokens of the whole step. The cell trains Don
# Quixote with LoRA, if lessons 5 or 6 have not, and takes both means on the test: over rows and, after the arrow, over
# tokens, which is the one in the table.

# %%
import math

spoken = run(persona)
nats, tokens = pd.Series(spoken.answer_nats), pd.Series(spoken.answer_tokens)
assert round((2 * 4 + 20 * 1) / 22, 2) == 1.27
assert math.isclose(nats.sum() / tokens.sum(), spoken.test["loss"])
print(number((nats / tokens).mean(), 3), "→", number(nats.sum() / tokens.sum(), 3))

# %% [markdown] lang="es"
# Se puede decir: la pérdida de este curso es la media por *tokens*, y esa no depende de los lotes.
#
# ## «Promediar dos adaptadores es promediar lo que saben»
#
# Con cualquier matriz invertible $M$, $(BM)(M^{-1}A) = BA$. Dos adaptadores pueden ser el mismo y tener números
# distintos.

# %% [markdown] lang="en"
# One may say: the loss of this course is the mean over tokens, and that does not depend on the batches.
#
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
# Se puede decir: promediar las $A$ por un lado y las $B$ por otro no es promediar los productos $BA$.

# %% [markdown] lang="en"
# One may say: averaging the $A$s by themselves and the $B$s by themselves is not averaging the products $BA$.

# %% [markdown] lang="es"
# ## Lo que se dice de LoRA, a juicio
#
# Y esto es lo que se suele decir de LoRA (lo decía también el cuaderno del que nació este curso), al lado de lo que ha
# medido el estudio en las dos tareas. Cada afirmación se juzga en todos los sitios en que se midió: con cada rango y,
# con el rango del curso, también en otros módulos. En cada sitio el veredicto sale de los números: **confirmado** si el
# intervalo cae entero dentro de lo que se afirma, **refutado** si cae fuera, y **sin decidir** si queda parte dentro y
# parte fuera. Si en un sitio se confirma y en otro se refuta, **depende**, y se nombran los sitios; si no hay más que
# sitios de una clase y otros sin decidir, queda sin decidir. Lo que depende del margen («llega a lo mismo», «olvida
# menos», «es mejor», «basta») se juzga con el intervalo del 90 %, que es el ± de la tabla, y «mejor» o «menos» es por
# más que el margen: 1 punto de exactitud, 0,02 nats por frase o, en la tarea de don Quijote, 0,05 nats por *token*. Una
# columna dice qué saldría con un margen menor. Un número positivo favorece a LoRA (arriba era al revés: el completo
# menos LoRA), o al rango más alto; en la pérdida, es cuánto menor es la de LoRA, o la del rango más alto. «Alrededor
# del 1 %» es de 0,5 a 2 %, y «unas diez veces», de 5 a 20; la mejor tasa de un barrido se conoce con medio escalón a
# cada lado. Las reglas están en `src/loralab/evidence/protocol.toml`, que se fijó antes de los entrenamientos que juzga
# y no se ha tocado desde entonces. Hubo un estudio anterior, con otro examen, y otro con este mismo, que se perdió tras
# 85 entrenamientos; lo que se sabía de ambos al escribirlas está en ese mismo fichero.
#
# Los veredictos valen para esos modelos, esos datos y esa máquina: ni un «refutado» cierra la cuestión en otro sitio,
# ni un «confirmado» la demuestra. Cada afirmación se juzga por separado, sin corregir por cuántas son.

# %% [markdown] lang="en"
# ## What people claim of LoRA, on trial
#
# And this is what people claim of LoRA (the notebook that this course grew out of did so too), beside what the study
# measured in both tasks. Each claim is judged at every place where it was measured: at each rank and, at the course's
# own, on other modules too. At each place the verdict follows from the numbers: **confirmed** if the whole interval
# lies within what is claimed, **refuted** if it lies outside, and **undecided** if it has a part on each side. If it is
# confirmed at one place and refuted at another, **it depends**, and the places are named; if there are only places of
# one kind and undecided ones, it stays undecided. What depends on the margin (“does as well”, “forgets less”, “is
# better”, “is enough”) is judged by the 90% interval, which is the ± of the table, and “better” or “less” means by more
# than the margin: 1 point of accuracy, 0.02 nats a sentence or, in Don Quixote's task, 0.05 nats a token. A column says
# what a smaller margin would give. A positive number is in favour of LoRA (above it was the other way round: full minus
# LoRA), or of the higher rank; for a loss, it is by how much LoRA's, or the higher rank's, is lower. “About 1%” is 0.5
# to 2%, and “about ten times”, 5 to 20; a sweep's best rate is known to half a step either way. The rules are in
# `src/loralab/evidence/protocol.toml`, which was fixed before the runs that it judges and has not been touched since.
# There was an earlier study, with another exam, and one with this same exam that was lost after 85 runs; what was known
# of both when they were written stands in that same file.
#
# The verdicts hold for those models, those data and that machine: “refuted” does not settle the matter elsewhere, nor
# does “confirmed” prove it. Each claim is judged by itself, with no correction for their number.

# %%
pd.set_option("display.max_colwidth", None)
claims_table([*judge_claims(study), *judge_claims(persona_study)])

# %% [markdown] lang="es"
# ## Otros métodos
#
# LoRA tiene variantes, y no es la única manera de entrenar pocos parámetros. El estudio probó algunas de las que trae
# `peft` (sus artículos están en las lecciones 5 y 6); en `loralab` basta con cambiar `method`. Es un solo entrenamiento
# de cada método, con la misma semilla, así que la tabla sirve para situarlos, **no** para ordenarlos: el ± solo recoge
# la suerte del examen. Las variantes de LoRA llevan la tasa y la $\alpha$ de LoRA (por eso en *rank-stabilized* el
# factor $s$ es mayor); los demás, la mejor tasa de un barrido que también empezó con tres. Si esa tasa queda en el
# borde, o el método apenas ha despegado en tres épocas, la tabla no enseña lo que puede dar. La última columna divide
# lo que tarda un paso entre lo que tarda uno de LoRA, por turnos y en las mismas rondas. Y hay una desigualdad:
# *prompt* y *prefix tuning* entrenan con lo suyo la cabeza y nada más; el estudio no le pidió a `peft`, con
# `modules_to_save`, que entrenaran también el `pooler`.

# %% [markdown] lang="en"
# ## Other methods
#
# LoRA has variants, and it is not the only way to train few parameters. The study tried some of those that `peft` has
# (their papers are in lessons 5 and 6); in `loralab` it is enough to change `method`. It is a single run of each
# method, with the same seed, so the table places them and does **not** rank them: the ± covers exam luck alone. LoRA's
# variants take LoRA's rate and $\alpha$ (so that in the *rank-stabilized* one the factor $s$ is larger); the others,
# the best rate of a sweep that began with three as well. If that rate lies at the edge, or the method has hardly taken
# off in three epochs, the table does not show what it can do. The last column divides the time of a step by that of one
# of LoRA's, in turns and in the same rounds. And there is one inequality: prompt and prefix tuning train the head
# beside their own and nothing more; the study did not ask `peft`, by `modules_to_save`, to train the `pooler` too.

# %%
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
predictions_table()

# %% [markdown] lang="es"
# ## De dónde sale cada número
#
# Los de tus entrenamientos, de estos resultados; los del estudio, de los ficheros de `data/reference`.

# %% [markdown] lang="en"
# ## Where each number comes from
#
# Those of your runs, from these results; the study's, from the files in `data/reference`.

# %%
from loralab.show import provenance_table

provenance_table(results)
