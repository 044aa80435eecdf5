# %% [markdown] lang="es"
# # 1 · El conjunto de datos
#
# **Pregunta.** ¿Qué tiene que superar un modelo con *fine-tuning*, y qué haría engañosa su nota?
#
# Un modelo de lenguaje es una función con millones de números, sus **pesos**, que otros ya han ajustado con mucho
# texto. Adaptarlo a una tarea se llama *fine-tuning*: se ajustan todos los pesos (*fine-tuning* completo), o se dejan
# fijos y se entrenan unos pocos números añadidos (LoRA). Las tareas serán dos: distinguir críticas de cine favorables
# de desfavorables (**clasificación**) y contestar como don Quijote (**generación**). Antes hay que preparar el examen.
# Al terminar sabrás:
#
# - repartir los datos en partes que no comparten nada, y demostrarlo;
# - leer tres métricas, y ver cuál engaña;
# - fijar dos referencias: lo que acierta una persona, y lo que acierta un método sencillo.
#
# La celda siguiente elige idioma y **perfil**: los datos, modelos y tamaños que convienen a esta máquina. En `DATA`
# puedes poner un CSV o JSONL tuyo, con *texto* y *etiqueta* o con *pregunta* y *respuesta*; con `DRIVE`, Colab guarda
# los resultados en Google Drive.

# %% [markdown] lang="en"
# # 1 · The dataset
#
# **Question.** What must a fine-tuned model beat, and what would make its score misleading?
#
# A language model is a function with millions of numbers, its **weights**, which others have already adjusted on a
# great deal of text. Adapting it to a task is called fine-tuning: all the weights are adjusted (full fine-tuning), or
# they stay fixed and a few added numbers are trained (LoRA). There will be two tasks: telling favourable film reviews
# from unfavourable ones (**classification**), and answering as Don Quixote would (**generation**). First the exam has
# to be set. By the end you can:
#
# - divide data into parts that share nothing, and prove it;
# - read three metrics, and see which one deceives;
# - set two references: what a person gets right, and what a simple method does.
#
# The next cell chooses the language and the **profile**: the data, models and sizes that suit this machine. Into `DATA`
# you may put a CSV or JSONL of yours, with *text* and *label* or *question* and *answer*; with `DRIVE`, Colab keeps the
# results on Google Drive.

# %%
from loralab import hand_over, start

LANGUAGE = "es"
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)

# %% [markdown] lang="es"
# ## Frases valoradas
#
# Cada fila es una frase de una crítica. Varias personas la valoraron, de −4 (extremadamente desfavorable) a 4
# (extremadamente favorable), y `rating` es la media ([Hutto y Gilbert,
# 2014](https://doi.org/10.1609/icwsm.v8i1.14550), sobre frases de [Pang y Lee,
# 2005](https://arxiv.org/abs/cs/0506075)). El modelo no va a predecir la media, sino una **etiqueta**, su signo: 1 si
# es positiva y 0 si es negativa. Una media de cero no dice nada: esas filas se quedan fuera, y se cuentan.

# %% [markdown] lang="en"
# ## Rated sentences
#
# Each row is a sentence from a review. Several people rated it, from −4 (extremely unfavourable) to 4 (extremely
# favourable), and `rating` is their mean ([Hutto and Gilbert,
# 2014](https://doi.org/10.1609/icwsm.v8i1.14550), on sentences from [Pang and Lee,
# 2005](https://arxiv.org/abs/cs/0506075)). The model will not predict the mean but a **label**, its sign: 1 if it is
# positive and 0 if it is negative. A mean of zero says nothing: those rows are left out, and counted.

# %% tags=["nbval-check-output"]
from loralab.data import film_reviews

reviews = film_reviews()
rating = reviews["rating"]
rated = reviews[rating != 0]
print({"> 0": sum(rating > 0), "< 0": sum(rating < 0), "= 0": sum(rating == 0)})
rated[["rating", "text"]].head()

# %% [markdown] lang="es"
# ## Contestar sin leer
#
# Hagámoslo mal a propósito. Tomamos las 1000 primeras filas y, de ellas, guardamos las 200 últimas como **test**, el
# examen. El «modelo» contesta siempre «favorable», sin leer. ¿Qué porcentaje acertará? Escribe tu apuesta en lugar de
# `None`: se aprende más de un número cuando has apostado por otro. Sin apuesta, lo que se midió queda plegado bajo la
# celda.

# %% [markdown] lang="en"
# ## Answering without reading
#
# Let us do it wrong on purpose. We take the first 1,000 rows and keep the last 200 of these as the **test** set, the
# exam. The “model” always answers “favourable”, without reading. What percentage will it get right? Write your bet in
# place of `None`: a number teaches more when you have bet on another. Without a bet, what was measured stands folded
# under the cell.

# %%
from loralab import message, percent, predict

guess_favourable = predict("always_favourable", None)

# %%
from loralab.train import score

labels = (rated["rating"] > 0).astype(int)
always = score([1] * 200, list(labels[800:1000]))
assert always["mcc"] == 0
guess_favourable.compare(100 * always["accuracy"])

# %% [markdown] lang="es"
# ¿Qué ha pasado? (El MCC es otra métrica, que veremos más abajo.) Contemos las favorables en cada bloque de mil filas.

# %% [markdown] lang="en"
# What happened? (The MCC is another metric, explained below.) Let us count the favourable ones in each block of a
# thousand rows.

# %% tags=["nbval-check-output"]
[int(labels[i : i + 1000].sum()) for i in range(0, len(labels), 1000)]

# %% [markdown] lang="es"
# El fichero está casi ordenado por clase. No es una rareza: IMDB, tal como está en el Hub de Hugging Face, también lo
# está. De ahí la regla: **se baraja, y se mantiene la proporción de clases** en cada parte (un reparto
# *estratificado*).
#
# ## ¿Se ponen de acuerdo las personas?
#
# La etiqueta resume opiniones (el signo de su media); no es una verdad. Si comparas el signo de lo que dijo una persona
# con el de la media de las demás, ¿cuántas veces coinciden? Un cero cuenta como medio acierto, igual que echarlo a cara
# o cruz.

# %% [markdown] lang="en"
# The file is almost sorted by class. That is not unusual: IMDB, as hosted on the Hugging Face Hub, is sorted too. Hence
# the rule: **shuffle, and keep the proportion of classes** in each part (a *stratified* split).
#
# ## Do people agree?
#
# The label sums up opinions (the sign of their mean); it is not a truth. If you compare the sign of what one person
# said with that of the others' mean, how often do they agree? A zero counts as half a hit, like tossing a coin.

# %%
guess_rater = predict("rater", None)

# %%
from loralab.lessons import accuracy_by_strength, rater_agreement

agreement = rated["ratings"].map(rater_agreement)
strength = rated["rating"].abs()
mild, strong = agreement[strength < 0.5].mean(), agreement[strength >= 2.5].mean()
guess_rater.compare(100 * agreement.mean(), mild=percent(mild), strong=percent(strong))
accuracy_by_strength(rated["rating"], {message("a_person"): agreement})

# %% [markdown] lang="es"
# En las frases tibias ni las personas se ponen de acuerdo, así que ningún modelo debería acertarlo todo. Para estas
# críticas, la referencia más exigente es lo que acierta una persona.
#
# ## Duplicados
#
# Si una frase está en lo que el modelo estudia y también en el examen, puede acertarla de memoria. Buscamos copias
# exactas (las mismas palabras en el mismo orden) y casi exactas: conjuntos de palabras $A$ y $B$ con una similitud de
# Jaccard $|A \cap B| / |A \cup B|$ de 0,8 o más, que vale 1 si las dos frases usan las mismas palabras y 0 si no
# comparten ninguna.

# %% [markdown] lang="en"
# On mild sentences not even people agree, so no model should get everything right. For these reviews, the most
# demanding reference is what a person gets right.
#
# ## Duplicates
#
# If a sentence is both in what the model studies and in the exam, the model can get it right from memory. We look for
# exact copies (the same words in the same order) and near-copies: word sets $A$ and $B$ whose Jaccard similarity
# $|A \cap B| / |A \cup B|$ is 0.8 or more; it is 1 if two sentences use the same words and 0 if they share none.

# %% tags=["nbval-check-output"]
from loralab.data import find_duplicates, find_near_duplicates

texts = list(rated["text"])
near = {(one, other) for one, other, _ in find_near_duplicates(texts)}
copies = sorted(near.union(find_duplicates(texts)))
for one, other in copies:
    print(texts[one], "|", texts[other])
clean = rated.drop(index=rated.index[[other for _, other in copies]])

# %% [markdown] lang="es"
# ## Tres partes sin nada en común
#
# Con el conjunto de **entrenamiento** se ajustan los pesos; con el de **validación** se toman decisiones; el de
# **test** da la nota final de cada modelo, y no decide nada. Así se haría con un fichero tuyo y la biblioteca
# `datasets`. `ClassLabel` hace falta para estratificar, y el orden de `names` decide qué número lleva cada clase, y de
# `seed`, la **semilla**, sale el azar: misma semilla, mismo reparto.

# %% [markdown] lang="en"
# ## Three parts with nothing in common
#
# The **training** set is used to adjust the weights; the **validation** set to make decisions; the **test** set gives
# each model its final score, and decides nothing. This is how one would do it with a file of one's own and the
# `datasets` library. `ClassLabel` is needed to stratify, and the order of `names` decides which number each class has,
# and randomness comes from the `seed`: same **seed**, same split.

# %%
import tempfile

from datasets import ClassLabel, load_dataset

names = ["unfavourable", "favourable"]  # 0, 1
file = f"{tempfile.mkdtemp()}/reviews.csv"
clean.assign(label=[names[value > 0] for value in clean["rating"]]).to_csv(file)

# Of a lone file all rows are called "train".
rows = load_dataset("csv", data_files=file, split="train")
rows = rows.select_columns(["text", "label"])
rows = rows.cast_column("label", ClassLabel(names=names))
cut = {"stratify_by_column": "label", "seed": 0}
outer = rows.train_test_split(test_size=2000, **cut)
inner = outer["train"].train_test_split(test_size=500, **cut)
parts = {"train": inner["train"], "validation": inner["test"], "test": outer["test"]}
for name, part in parts.items():
    print(f"{name:10} {len(part)}  {percent(sum(part['label']) / len(part))}")
assert not set(parts["train"]["text"]) & set(parts["test"]["text"])

# %% [markdown] lang="es"
# El curso hace lo mismo en una línea: un **experimento** describe por completo un entrenamiento, también de qué datos
# parte, y `load_splits` quita las copias y reparte. Los tamaños son los del perfil (o de tus datos, si no llegan).

# %% [markdown] lang="en"
# The course does the same in one line: an **experiment** describes a training run completely, also the data it starts
# from, and `load_splits` removes the copies and divides. The sizes are the profile's (or your data's, if they fall
# short).

# %%
from loralab import load_splits, run_all
from loralab.data import label_names, load_pairs

experiment = profile.experiment("lora")
splits = load_splits(experiment)
classes = label_names(experiment.dataset)
print(dict(enumerate(classes)))


def whole(frame):
    """Each row's text, with its second text after it if there is one."""
    return frame["text"] + "\n" + frame.get("text_pair", "")


def shared(one, other):
    return len(set(whole(one)) & set(whole(other)))


assert shared(splits.train, splits.test) == shared(splits.train, splits.validation) == 0
splits.report

# %% [markdown] lang="es"
# ## Qué hay que superar
#
# Dos referencias sin red neuronal:
#
# - la **clase mayoritaria**: contestar siempre la etiqueta más frecuente;
# - **TF-IDF con regresión logística**: cada frase se convierte en una lista de valores, uno por palabra y por par de
#   palabras (mayor cuanto más aparece en la frase y en menos frases del conjunto), y la regresión logística aprende
#   cuánto suma o resta cada uno.
#
# ¿Cuánto acertará la segunda? La mitad de las críticas del curso es favorable, así que el azar acierta la mitad.

# %% [markdown] lang="en"
# ## What there is to beat
#
# Two baselines without a neural network:
#
# - the **majority class**: always answering the most frequent label;
# - **TF-IDF with logistic regression**: each sentence becomes a list of values, one per word and one per pair of words
#   (higher the more often it occurs in the sentence and the fewer sentences contain it), and logistic regression learns
#   how much each adds or takes away.
#
# How much will the second get right? Half of the course's reviews are favourable, so chance is right half the time.

# %%
guess_tfidf = predict("tfidf", None)

# %%
from loralab.show import comparison_table, samples_table

majority, tfidf = run_all([profile.experiment("majority"), profile.experiment("tfidf")])
guess_tfidf.compare(100 * tfidf.test["accuracy"])
comparison_table([majority, tfidf])

# %% [markdown] lang="es"
# `run_all` ejecuta cada experimento la primera vez y carga su resultado las siguientes. El **±** dice cuánto puede
# moverse la nota por la suerte de qué frases han caído en el examen: con $n$ frases y una proporción de aciertos $p$,
# el 95 % de los exámenes como este queda a menos de $1{,}96\sqrt{p(1-p)/n}$ de la verdad. Por ejemplo, con 2000 frases
# y un 83 % serían 1,65 puntos.
#
# ## Tres métricas, una tabla
#
# Con dos clases, todas salen de cuatro cuentas. Con 1 = favorable: verdaderos positivos (TP, dijo 1 y era 1),
# verdaderos negativos (TN, dijo 0 y era 0), falsos positivos (FP, dijo 1 y era 0) y falsos negativos (FN, dijo 0 y era
# 1).
#
# - **Exactitud**: $(TP + TN) / n$.
# - **F1**: $2\,TP / (2\,TP + FP + FN)$. No cuenta los TN, así que contestar siempre 1 puede dar casi 1.
# - **MCC** ([Matthews, 1975](https://doi.org/10.1016/0005-2795%2875%2990109-9)): $(TP \cdot TN - FP \cdot FN) /
#   \sqrt{(TP + FP)(TP + FN)(TN + FP)(TN + FN)}$. Va de −1 a 1 y ronda el 0 si las respuestas no tienen relación con las
#   etiquetas. Si el modelo contesta siempre lo mismo sale 0/0, y por convenio se toma 0: por eso delató al que no leía.

# %% [markdown] lang="en"
# `run_all` runs each experiment the first time and loads its result after that. The **±** says how far the score can
# move by the luck of which sentences landed in the exam: with $n$ sentences and a share $p$ of hits, 95% of exams like
# this one lie within $1.96\sqrt{p(1-p)/n}$ of the truth. With 2,000 sentences and 83% that is 1.65 points.
#
# ## Three metrics, one table
#
# With two classes, all of them come from four counts. With 1 = favourable: true positives (TP, it said 1 and it was 1),
# true negatives (TN, it said 0 and it was 0), false positives (FP, it said 1 and it was 0) and false negatives (FN, it
# said 0 and it was 1).
#
# - **Accuracy**: $(TP + TN) / n$.
# - **F1**: $2\,TP / (2\,TP + FP + FN)$. TN do not count, so always answering 1 can give almost 1.
# - **MCC** ([Matthews, 1975](https://doi.org/10.1016/0005-2795%2875%2990109-9)): $(TP \cdot TN - FP \cdot FN) /
#   \sqrt{(TP + FP)(TP + FN)(TN + FP)(TN + FN)}$. It runs from −1 to 1 and is near 0 if the answers have nothing to do
#   with the labels. If the model always answers the same it is 0/0, taken as 0 by convention: that is how it gave away
#   the one that did not read.

# %%
import pandas as pd

truth = pd.Series(tfidf.labels, name=message("label"))
answers = pd.Series(tfidf.predictions, name=message("answer"))
counts = pd.crosstab(truth, answers)
if len(classes) == 2:
    counts = counts.reindex(index=[0, 1], columns=[0, 1], fill_value=0)
    (tn, fp), (fn, tp) = counts.to_numpy()
    root = ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
    by_hand = {
        "accuracy": (tp + tn) / len(truth),
        "f1": 2 * tp / max(1, 2 * tp + fp + fn),
        "mcc": (tp * tn - fp * fn) / max(1, root),
    }
    for name, value in by_hand.items():
        assert abs(value - tfidf.test[name]) < 1e-9
counts

# %% [markdown] lang="es"
# ## Hazlo mal a propósito: una fuga del test
#
# ¿Y si algunas frases del test se cuelan en el entrenamiento? Eso es una **fuga** (*leakage*). Usamos un modelo que
# solo tiene memoria: contesta la etiqueta de la frase de entrenamiento más parecida. Lo examinamos limpio, y después
# con la cuarta parte del test dentro del entrenamiento; debajo, por separado, las frases que se colaron y las demás.

# %% [markdown] lang="en"
# ## Break it: the test leaks
#
# What if some test sentences slip into the training set? That is **leakage**. We use a model that has nothing but
# memory: it answers the label of the most similar training sentence. We examine it clean, and then with a quarter of
# the test inside the training set; below, apart, the leaked sentences and the others.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline


def memory_scores(train):
    """Which of the test's sentences a nearest neighbour gets right."""
    neighbour = KNeighborsClassifier(n_neighbors=1, metric="cosine")
    model = make_pipeline(TfidfVectorizer(), neighbour)
    model.fit(whole(train), train["label"])
    return model.predict(whole(splits.test)) == splits.test["label"]


leaked = splits.test.iloc[: len(splits.test) // 4]
with_leak = pd.concat([splits.train, leaked])
honest, cheating = memory_scores(splits.train), memory_scores(with_leak)
inside = splits.test.index.isin(leaked.index)
print(percent(honest.mean()), "→", percent(cheating.mean()))
for name, part in (("leaked_quarter", inside), ("the_rest", ~inside)):
    print(
        message(name), percent(honest[part].mean()), "→", percent(cheating[part].mean())
    )
assert cheating[inside].mean() == 1
assert shared(with_leak, splits.test) == len(leaked)

# %% [markdown] lang="es"
# La solución, en cualquier proyecto, es la función `shared`: contar lo que comparten las dos partes, y parar si no es
# cero.
#
# ## La otra tarea: contestar como don Quijote
#
# Aquí el modelo no elige una respuesta: la escribe. Los datos del curso son 672 preguntas de hoy y las respuestas de
# don Quijote, en inglés, que escribió otro modelo, mucho mayor. Las dos tareas tienen la misma forma: una **entrada** y
# lo que tiene que salir.

# %% [markdown] lang="en"
# The fix, in any project, is the function `shared`: count what the two parts share, and stop if it is not zero.
#
# ## The other task: answering as Don Quixote
#
# Here the model does not choose an answer: it writes one. The course's data are 672 present-day questions and Don
# Quixote's answers, in English, which another, far larger model wrote. Both tasks have the same form: an **input**, and
# what has to come out.

# %%
asked = profile.generation.experiment("retrieval")
pairs, counted = load_pairs(asked.dataset)
film, pair = splits.train.iloc[0], pairs.iloc[0]
pd.set_option("display.max_colwidth", None)
records = [[film["text"], film["label"]], [pair["input"], pair["output"]]]
print(counted)
pd.DataFrame(records, index=[experiment.task, asked.task], columns=["input", "output"])

# %% [markdown] lang="es"
# ¿Cómo se reparte? Barajar no basta. «¿Cambio de móvil?» y «¿Me compro el último teléfono?» no son copias, pero quien
# ha estudiado una lleva ventaja en la otra. Por eso cada pregunta tiene un **tema**, que va entero a una sola parte.
# (Si las tuyas no lo traen, se descartan las casi iguales a una de otra parte.)
#
# El listón sin red neuronal es aquí copiar la respuesta de la pregunta de entrenamiento más parecida. ¿Qué le falta?
# Léelo: en la primera columna, lo que se escribió para esa pregunta; en la segunda, lo que se ha copiado.

# %% [markdown] lang="en"
# How is it divided? Shuffling is not enough. “Should I change my phone?” and “Do I buy the latest model?” are not
# copies, but whoever has studied one has a head start on the other. So each question has a **topic**, which goes whole
# into one part. (If yours have none, those nearly alike to one in another part are dropped.)
#
# The bar without a neural network is here to copy the answer of the most similar training question. What does it lack?
# Read: in the first column, what was written for the question; in the second, what was copied.

# %%
persona = load_splits(asked)
topics = {name: set(frame["topic"]) for name, frame in persona.items()}
assert not topics["train"] & topics["test"]
print(sorted(topics["test"]), persona.report)
(retrieval,) = run_all([asked])
samples_table([retrieval], 4)

# %% [markdown] lang="es"
# La voz es la que buscamos, porque está copiada; la respuesta es de otra pregunta. No hay exactitud que contar: dos
# buenas respuestas rara vez tienen las mismas palabras. **chrF** ([Popović, 2015](https://aclanthology.org/W15-3049/))
# compara los trozos de hasta 6 caracteres seguidos de las dos respuestas, y va de 0 a 100. No basta para ver si un
# modelo hace algo mejor que copiar: lo veremos en la lección 6.
#
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - El examen está limpio: barajado, estratificado, sin copias. Lo dicen las comprobaciones.
# - Una exactitud alta no prueba nada por sí sola. Mira el MCC y la clase mayoritaria.
# - Hay que superar a TF-IDF, no al azar, y no hace falta superar a una persona.
# - El ± es de una nota sola: comparar dos modelos que hacen el mismo examen pide otra cuenta (lecciones 5 y 6).
#
# Siguiente lección: qué lee de verdad el modelo.

# %% [markdown] lang="en"
# The voice is right, because it is copied; the answer is another question's. There is no accuracy to count: two good
# answers seldom have the same words. **chrF** ([Popović, 2015](https://aclanthology.org/W15-3049/)) compares the runs
# of up to 6 characters of the two answers, and runs from 0 to 100. It is not enough to see whether a model does better
# than copying: lesson 6 comes to that.
#
# ## What you may now claim, and on what evidence
#
# - The exam is clean: shuffled, stratified, without copies. The checks show it.
# - A high accuracy proves nothing on its own. Look at the MCC and at the majority class.
# - One has to beat TF-IDF, not chance, and need not beat a person.
# - The ± belongs to one score: comparing two models that sit the same exam takes another calculation (lessons 5 and 6).
#
# Next lesson: what the model really reads.

# %% [markdown] lang="es"
# ## Ejercicios
#
# Escribe tu respuesta en lugar de `...` o de `None` y ejecuta la celda: `check` te dice si es correcta y, si no, qué
# error has cometido. Antes de calcular, predice, aunque sea a ojo. Las soluciones están en `notebooks/source`, junto a
# cada ejercicio; `make solutions` las pone en cuadernos.

# %% [markdown] lang="en"
# ## Exercises
#
# Write your answer in place of `...` or `None` and run the cell: `check` tells you whether it is right and, if not,
# which mistake you have made. Before you compute, predict, if only by eye. The solutions are in `notebooks/source`,
# beside each exercise; `make solutions` puts them into notebooks.

# %% [markdown] lang="es"
# ### Un modelo que casi siempre dice lo mismo
#
# Un test tiene 967 críticas favorables y 33 desfavorables. Un modelo contesta «desfavorable» 10 veces, y en 3 de ellas
# acierta; en todas las demás críticas contesta «favorable». Averigua las cuatro cuentas (TP, TN, FP y FN, con
# 1 = favorable) y calcula con ellas su MCC.
#
# **Predice.** ¿Será alta la exactitud? ¿Y el MCC, estará cerca de 0 o de 1?

# %% [markdown] lang="en"
# ### A model that nearly always says the same
#
# A test set has 967 favourable reviews and 33 unfavourable ones. A model answers “unfavourable” 10 times, and is right
# in 3 of them; for all other reviews it answers “favourable”. Find the four counts (TP, TN, FP and FN, with
# 1 = favourable) and work out its MCC from them.
#
# **Predict.** Will the accuracy be high? And the MCC, will it be near 0 or near 1?

# %% exercise="unbalanced_mcc"
from loralab import check

mcc = None
### BEGIN SOLUTION
tn, fn = 3, 10 - 3
tp, fp = 967 - fn, 33 - tn
mcc = (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
### END SOLUTION

check("unbalanced_mcc", mcc)

# %% [markdown] lang="es"
# ### Quitar las copias y dejar una
#
# `without_copies` recibe una lista de críticas y devuelve otra sin copias: de cada grupo deja la primera, tal como
# estaba escrita, y conserva el orden. Son copias las que tienen las mismas palabras en el mismo orden, sin contar
# mayúsculas ni puntuación.
#
# **Predice.** ¿Cuántas de estas cinco quedarán? *Horrible. / HORRIBLE! / Not horrible. / Horrible, not funny. / Funny,
# not horrible.*

# %% [markdown] lang="en"
# ### Remove the copies and leave one
#
# `without_copies` takes a list of reviews and returns another without copies: of each group it leaves the first, as it
# was written, and it keeps the order. Copies are those with the same words in the same order, case and punctuation
# aside.
#
# **Predict.** How many of these five will be left? *Horrible. / HORRIBLE! / Not horrible. / Horrible, not funny. /
# Funny, not horrible.*

# %% exercise="without_copies"
import re

from loralab import check


def without_copies(texts):
    """The texts without copies: the first of each group, as written, in order."""
    ### BEGIN SOLUTION
    first = {}
    for text in texts:
        key = tuple(re.findall(r"\w+", text.lower()))
        first.setdefault(key, text)
    return list(first.values())
    ### END SOLUTION


check("without_copies", without_copies)

# %% [markdown] lang="es"
# ### ¿Cuántas preguntas hacen falta?
#
# La lección va del número de preguntas al ±. Haz el camino inverso: `questions_needed` recibe lo que acierta el modelo
# (`p`, una proporción de 0 a 1) y el ± que se quiere al 95 % (`points`, en puntos), y devuelve cuántas preguntas hacen
# falta. Puedes redondear hacia arriba o dejar los decimales.
#
# **Predice.** Con 2000 preguntas y un 83 % de aciertos, el ± es de 1,65 puntos. ¿Cuántas harán falta para bajarlo a
# 0,55, la tercera parte?

# %% [markdown] lang="en"
# ### How many questions does it take?
#
# The lesson goes from the number of questions to the ±. Go the other way: `questions_needed` takes what the model gets
# right (`p`, a share from 0 to 1) and the ± that is wanted at 95% (`points`, in points), and returns how many questions
# it takes. You may round up or leave the decimals.
#
# **Predict.** With 2,000 questions and 83% right, the ± is 1.65 points. How many will it take to bring it down to 0.55,
# a third?

# %% exercise="questions_needed"
from loralab import check


def questions_needed(p, points):
    """How many questions give a share p of hits a ± of so many points, at 95%."""
    ### BEGIN SOLUTION
    return p * (1 - p) * (1.96 / (points / 100)) ** 2
    ### END SOLUTION


check("questions_needed", questions_needed)
