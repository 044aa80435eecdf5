# %% [markdown] lang="es"
# # 1 · El conjunto de datos
#
# **Pregunta.** ¿A qué tiene que ganar un modelo con *fine-tuning*, y qué haría engañosa su nota?
#
# En este curso vas a enseñar a un modelo de lenguaje a distinguir las críticas de cine favorables de las desfavorables
# (**clasificación**) y a otro, a contestar preguntas como las contestaría don Quijote (**generación**). Un modelo así
# es una función con millones de números, sus **pesos**, que otros ajustaron ya con mucho texto. Adaptarlo a una tarea
# nueva se llama *fine-tuning*, y lo harás de dos maneras: ajustando todos los pesos (*fine-tuning* completo), o
# dejándolos fijos y entrenando unos pocos números añadidos (LoRA).
#
# Antes de entrenar nada hay que saber con qué se le examina. Esta lección prepara el examen. Al terminar sabrás:
#
# - repartir los datos en partes que no comparten nada, y demostrarlo;
# - leer tres métricas (exactitud, F1, MCC), y ver cuál engaña;
# - poner un listón: lo que acierta una persona, y lo que acierta un método sencillo;
# - calcular cuánto puede moverse una nota por pura suerte.
#
# Basta con saber Python. Las celdas se ejecutan en orden, de arriba abajo; si una dice `NameError`, falta alguna
# anterior (en JupyterLab, menú *Run*, *Run All Above Selected Cell*). La celda siguiente elige el idioma y el
# **perfil**: cuántos datos, qué modelo y qué configuración convienen a esta máquina. Casi toda sirve para que Colab
# instale el curso: no hace falta entenderla. Sus dos campos son opcionales: `DATA`, tus propios datos (un fichero, o un
# conjunto del Hub), y `DRIVE`, que en Colab guarda los resultados en Google Drive por si la sesión se corta.

# %% [markdown] lang="en"
# # 1 · The dataset
#
# **Question.** What must a fine-tuned model beat, and what would make its score a lie?
#
# In this course you teach one language model to tell favourable film reviews from unfavourable ones
# (**classification**), and another to answer questions as Don Quixote would (**generation**). Such a model is a
# function with millions of numbers, its **weights**, which others have already adjusted on a great deal of text.
# Adapting it to a new task is called fine-tuning, and you do it in two ways: by adjusting all the weights (full
# fine-tuning), or by leaving them fixed and training a few added numbers (LoRA).
#
# Before we train anything we have to know what it will be examined on. This lesson sets the exam. By the end you can:
#
# - divide data into parts that share nothing, and prove it;
# - read three metrics (accuracy, F1, MCC), and see which one deceives;
# - set a bar: what a person gets right, and what a simple method does;
# - work out how far a score can move by luck alone.
#
# Python is all you need. Cells are run in order, from top to bottom; if one says `NameError`, an earlier one is missing
# (in JupyterLab, menu *Run*, *Run All Above Selected Cell*). The next cell chooses the language and the **profile**:
# how much data, which model and which settings suit this machine. Most of it is there for Colab to install the course:
# you need not understand it. Its two fields are optional: `DATA`, data of your own (a file, or a data set of the Hub),
# and `DRIVE`, which in Colab keeps the results on Google Drive in case the session is cut off.

# %%
from loralab import start

LANGUAGE = "es"
profile = start(LANGUAGE)

# %% [markdown] lang="es"
# ## Frases valoradas
#
# Cada fila es una frase de una crítica. Varias personas la valoraron (`ratings`), de −4 (extremadamente desfavorable) a
# 4 (extremadamente favorable), y `rating` es la media ([Hutto y Gilbert,
# 2014](https://doi.org/10.1609/icwsm.v8i1.14550), sobre frases de [Pang y Lee,
# 2005](https://arxiv.org/abs/cs/0506075)).

# %% [markdown] lang="en"
# ## Rated sentences
#
# Each row is a sentence from a review. Several people rated it (`ratings`), from −4 (extremely unfavourable) to 4
# (extremely favourable), and `rating` is their mean ([Hutto and Gilbert,
# 2014](https://doi.org/10.1609/icwsm.v8i1.14550), on sentences from [Pang and Lee,
# 2005](https://arxiv.org/abs/cs/0506075)).

# %% tags=["nbval-check-output"]
from loralab.data import film_reviews

reviews = film_reviews()
people = reviews["ratings"].map(len)
print(people.min(), "–", people.max())
reviews[["rating", "text"]].head()

# %% [markdown] lang="es"
# Con estas frases, el modelo no va a predecir la valoración, sino una **etiqueta**: el signo de la media. Será 1 si es
# positiva y 0 si es negativa. Una media de cero no dice nada; esas filas se quedan fuera, y se cuentan.

# %% [markdown] lang="en"
# From these sentences the model will not predict the rating but a **label**: the sign of the mean. It is 1 if the mean
# is positive and 0 if it is negative. A mean of zero says nothing; those rows are left out, and counted.

# %% tags=["nbval-check-output"]
rating = reviews["rating"]
counts = {"> 0": sum(rating > 0), "< 0": sum(rating < 0), "= 0": sum(rating == 0)}
assert sum(counts.values()) == len(reviews)
counts

# %% [markdown] lang="es"
# ## Una nota magnífica que no vale nada
#
# Hagámoslo mal a propósito. Tomamos las 1000 primeras filas y guardamos las 200 últimas como **test**, el examen. El
# «modelo» contesta siempre «favorable», sin leer.
#
# Antes de cada medida, el curso te pide que predigas el resultado: se aprende más de un número cuando has apostado por
# otro. ¿Qué porcentaje de aciertos tendrá ese modelo? Escribe un número en lugar de `None`. Si lo dejas en blanco, la
# lección sigue igual. (¿Ves ya los resultados debajo? El cuaderno se entrega ejecutado: bórralos antes de empezar, en
# el menú *Kernel* de JupyterLab, *Restart Kernel and Clear Outputs of All Cells*.)

# %% [markdown] lang="en"
# ## A splendid score that is worth nothing
#
# Let us do it wrong on purpose. We take the first 1,000 rows and keep the last 200 as the **test** set, the exam. The
# “model” always answers “favourable”, without reading.
#
# Before you run a measurement, the course asks you to predict it: a number teaches more when you have bet on another.
# What percentage will that model get right? Write a number in place of `None`. If you leave it blank, the lesson goes
# on all the same. (Do you see the results below already? The notebook comes executed: clear them before you start, in
# JupyterLab's *Kernel* menu, *Restart Kernel and Clear Outputs of All Cells*.)

# %%
from loralab import predict

guess_favourable = predict("always_favourable", None)

# %% [markdown] lang="es"
# `score` da tres métricas. La **exactitud** (*accuracy*) es la proporción de aciertos; las otras dos las explicamos
# enseguida.

# %% [markdown] lang="en"
# `score` gives three metrics. **Accuracy** is the share of right answers; the other two are explained in a moment.

# %%
from loralab.train import score

first = reviews[reviews["rating"] != 0].head(1000)
last_labels = [int(value > 0) for value in first["rating"][-200:]]
always = score([1] * 200, last_labels)
assert always["mcc"] == 0
print({name: round(value, 3) for name, value in always.items()})
guess_favourable.compare(100 * always["accuracy"])

# %% [markdown] lang="es"
# ¿Qué ha pasado? Contemos las favorables en cada bloque de mil filas.

# %% [markdown] lang="en"
# What happened? Let us count the favourable ones in each block of a thousand rows.

# %% tags=["nbval-check-output"]
positive = (reviews["rating"] > 0).to_numpy()
blocks = [int(positive[i : i + 1000].sum()) for i in range(0, len(positive), 1000)]
blocks

# %% [markdown] lang="es"
# El fichero está casi ordenado por clase. No es una rareza: IMDB, tal como está en el Hub de Hugging Face, también lo
# está. De ahí la regla: **se baraja, y se mantiene la proporción de clases** en cada parte. Un reparto así se llama
# *estratificado*.
#
# ## ¿Se ponen de acuerdo las personas?
#
# La etiqueta es la opinión de la mayoría, no una verdad. Si tomas a una de las personas y comparas el signo de su
# valoración con el de la media de las demás, ¿cuántas veces coinciden? Un cero cuenta como medio acierto, igual que
# echarlo a cara o cruz.

# %% [markdown] lang="en"
# The file is almost sorted by class. That is not unusual: IMDB, as hosted on the Hugging Face Hub, is sorted too. Hence
# the rule: **shuffle, and keep the proportion of classes** in each part. Such a split is called *stratified*.
#
# ## Do people agree?
#
# The label is the opinion of the majority, not a truth. If you take one of the people and compare the sign of their
# rating with that of the others' mean, how often do they agree? A zero counts as half a hit, like tossing a coin.

# %%
guess_rater = predict("rater", None)

# %%
from loralab import message, percent
from loralab.lessons import rater_agreement

rated = reviews[reviews["rating"] != 0]
agreement = rated["ratings"].map(rater_agreement)
strength = rated["rating"].abs()
mild, strong = agreement[strength < 0.5].mean(), agreement[strength >= 2.5].mean()
guess_rater.compare(100 * agreement.mean(), mild=percent(mild), strong=percent(strong))

# %% [markdown] lang="es"
# Dibujemos el acuerdo según lo rotunda que es la opinión, es decir, según el valor absoluto de la media. (`message`,
# `number` y `percent` solo escriben textos y números en el idioma del cuaderno.)

# %% [markdown] lang="en"
# Let us draw the agreement against how strong the opinion is, that is, the absolute value of the mean. (`message`,
# `number` and `percent` only write texts and numbers in the notebook's language.)

# %%
from loralab.lessons import accuracy_by_strength

accuracy_by_strength(rated["rating"], {message("a_person"): agreement})

# %% [markdown] lang="es"
# Dos consecuencias. Ningún modelo debería acertarlo todo: en las frases tibias ni las personas se ponen de acuerdo. Y
# el porcentaje medido antes de la figura es un listón para estas críticas en todo el curso: lo que acierta una persona.
#
# ## Duplicados
#
# Si una frase está en lo que el modelo estudia y también en el examen, el modelo puede acertarla de memoria. Buscamos
# copias exactas (las mismas palabras en el mismo orden, sin contar mayúsculas ni puntuación) y copias casi exactas:
# conjuntos de palabras $A$ y $B$ con una similitud de Jaccard $|A \cap B| / |A \cup B|$ de 0,8 o más. Esa similitud
# vale 1 si las dos frases usan las mismas palabras y 0 si no comparten ninguna.

# %% [markdown] lang="en"
# Two consequences. No model should get everything right: on mild sentences not even people agree. And the percentage
# measured before the figure is a bar for these reviews in the whole course: what a person gets right.
#
# ## Duplicates
#
# If a sentence is both in what the model studies and in the exam, the model can get it right from memory. We look for
# exact copies (the same words in the same order, case and punctuation aside) and near-copies: word sets $A$ and $B$
# whose Jaccard similarity $|A \cap B| / |A \cup B|$ is 0.8 or more. That similarity is 1 if two sentences use the same
# words and 0 if they share none.

# %% tags=["nbval-check-output"]
from loralab.data import find_duplicates, find_near_duplicates

texts = list(reviews["text"])
copies = find_duplicates(texts)
near_copies = [pair for pair in find_near_duplicates(texts) if pair[2] < 1]
assert len(copies) == 2
for one, other in [*copies, *(pair[:2] for pair in near_copies)]:
    print(texts[one], "|", texts[other])

# %% [markdown] lang="es"
# Son pocas, pero hay que saberlo, no suponerlo. La primera es la misma crítica dos veces. Las otras son frases hechas
# que dos críticos pueden haber escrito por separado; se quitan igual: el modelo podría acertarlas de memoria.
#
# ## Tres partes sin nada en común
#
# Con el conjunto de **entrenamiento** se ajustan los pesos; con el de **validación** se toman decisiones (cuántas
# pasadas, a qué ritmo); el de **test** no decide nada: cada experimento lo mira una sola vez, al final. Si eligieras
# con el test, la nota del test dejaría de ser un examen.
#
# Un **experimento** (`Experiment`) describe por completo un entrenamiento, y también de qué datos parte. `load_splits`
# quita las copias, baraja con una **semilla** fija (el número del que sale el azar del ordenador: misma semilla, mismo
# azar) y reparte de forma estratificada. Los tamaños los fija el perfil (o tus datos, si no llegan). Las filas que
# sobran, si las hay, no se usan: entrenar con todas tardaría más de lo que conviene a esta máquina. La celda dice
# primero cómo se llama la clase de cada número.

# %% [markdown] lang="en"
# They are few, but that is something to know, not to suppose. The first is the same review twice. The others are stock
# phrases that two critics may have written independently; they go all the same: the model could get them right from
# memory.
#
# ## Three parts with nothing in common
#
# The **training** set is used to adjust the weights; the **validation** set to make decisions (how many passes, at what
# pace); the **test** set decides nothing: each experiment looks at it once, at the end. If you chose by the test, the
# test score would no longer be an exam.
#
# An **experiment** (`Experiment`) describes a training run completely, and so also the data it starts from.
# `load_splits` removes the copies, shuffles with a fixed **seed** (the number that a computer's randomness comes from:
# same seed, same randomness) and divides in a stratified way. The profile sets the sizes (or your data, if they fall
# short). Rows left over, if any, are not used: training on all of them would take longer than suits this machine. The
# cell first says what the class of each number is called.

# %%
from loralab import load_splits
from loralab.data import label_names

experiment = profile.experiment("lora")
classes = label_names(experiment.dataset)
splits = load_splits(experiment)
print(dict(enumerate(classes)))
splits.report

# %% [markdown] lang="es"
# ¿Seguro que no comparten nada? Lo comprobamos. Y comprobamos también que la función no esconde ningún truco: el mismo
# reparto de las frases valoradas, hecho a mano con `scikit-learn`, da el mismo test, frase a frase.

# %% [markdown] lang="en"
# Are we sure they share nothing? We check. And we check that the function hides no trick: the same split of the rated
# sentences, made by hand with `scikit-learn`, gives the same test set, sentence by sentence.

# %%
import pandas as pd
from sklearn.model_selection import train_test_split

from loralab.data import remove_duplicates


def whole(frame):
    """Each row's text, with its second text after it if there is one."""
    return frame["text"] + "\n" + frame.get("text_pair", "")


parts = {name: set(whole(frame).str.lower()) for name, frame in splits.items()}
assert not parts["train"] & parts["test"]
assert not parts["train"] & parts["validation"]
assert not parts["validation"] & parts["test"]

labels = (rated["rating"] > 0).astype(int)
everything = pd.DataFrame({"text": rated["text"], "label": labels, "part": "all"})
clean, removed = remove_duplicates(everything)
_, by_hand = train_test_split(
    clean,
    test_size=2000,
    stratify=clean["label"],
    random_state=experiment.split_seed,
)
sizes = {"train_size": 1000, "validation_size": 500, "test_size": 2000}
films = load_splits(experiment.but(dataset="film-reviews", **sizes))
assert list(by_hand["text"]) == list(films.test["text"])
assert abs(by_hand["label"].mean() - clean["label"].mean()) < 0.01

# %% [markdown] lang="es"
# ## A qué hay que ganar
#
# Dos referencias que no usan ninguna red neuronal:
#
# - la **clase mayoritaria**: contestar siempre la etiqueta más frecuente;
# - **TF-IDF con regresión logística**: cada frase se convierte en una lista de valores, uno por palabra y por par de
#   palabras (el de una palabra crece cuanto más aparece en la frase y en menos frases del conjunto), y la regresión
#   logística aprende cuánto suma o resta cada uno.
#
# ¿Cuánto acertará la segunda? La mitad de las críticas del curso es favorable, así que con ellas el azar acierta la
# mitad.

# %% [markdown] lang="en"
# ## What there is to beat
#
# Two baselines that use no neural network:
#
# - the **majority class**: always answering the most frequent label;
# - **TF-IDF with logistic regression**: each sentence becomes a list of values, one per word and one per pair of words
#   (a word's value is higher the more often it occurs in the sentence and the fewer sentences contain it), and logistic
#   regression learns how much each adds or takes away.
#
# How much will the second get right? Half of the course's reviews are favourable, so on them chance is right half the
# time.

# %%
guess_tfidf = predict("tfidf", None)

# %% [markdown] lang="es"
# Son experimentos como los demás: `run_all` los ejecuta la primera vez y carga su resultado las siguientes. El ± de la
# tabla lo explicamos al final de la lección.

# %% [markdown] lang="en"
# They are experiments like any other: `run_all` runs them the first time and loads their result after that. The ± in
# the table is explained at the end of the lesson.

# %%
from loralab import run_all
from loralab.show import comparison_table

majority, tfidf = run_all([profile.experiment("majority"), profile.experiment("tfidf")])
guess_tfidf.compare(100 * tfidf.test["accuracy"])
comparison_table([majority, tfidf])

# %% [markdown] lang="es"
# ## Tres métricas, una tabla
#
# Con dos clases, todas salen de cuatro cuentas. Con 1 = favorable, como en las críticas del curso: verdaderos positivos
# (TP, dijo 1 y era 1), verdaderos negativos (TN, dijo 0 y era 0), falsos positivos (FP, dijo 1 y era 0) y falsos
# negativos (FN, dijo 0 y era 1).
#
# - **Exactitud**: $(TP + TN) / n$.
# - **F1**: $2\,TP / (2\,TP + FP + FN)$. Solo mira la clase 1: no cuenta los TN. Por eso contestar siempre lo mismo
#   puede dar casi 1 (siempre 1, si casi todo es favorable) o 0 (siempre 0, como la clase mayoritaria de la tabla, si es
#   la desfavorable).
# - **MCC**, el coeficiente de correlación de Matthews ([Matthews,
#   1975](https://doi.org/10.1016/0005-2795%2875%2990109-9)): $(TP \cdot TN - FP \cdot FN) / \sqrt{(TP + FP)(TP + FN)(TN
#   + FP)(TN + FN)}$. Va de −1 (todo fallos) a 1 (todo aciertos) y ronda el 0 si las respuestas no tienen relación con
#   las etiquetas. Si el modelo contesta siempre lo mismo sale 0/0, y por convenio se toma 0: por eso delató al modelo
#   que no leía. Con más clases, la exactitud es la proporción de aciertos; el F1, la media de los de todas
#   (*macro-F1*), y el MCC, una fórmula más general.

# %% [markdown] lang="en"
# ## Three metrics, one table
#
# With two classes, all of them come from four counts. With 1 = favourable, as in the course's reviews: true positives
# (TP, it said 1 and it was 1), true negatives (TN, it said 0 and it was 0), false positives (FP, it said 1 and it was
# 0) and false negatives (FN, it said 0 and it was 1).
#
# - **Accuracy**: $(TP + TN) / n$.
# - **F1**: $2\,TP / (2\,TP + FP + FN)$. It looks at class 1 only: TN do not count. So always answering the same can
#   give almost 1 (always 1, if nearly all is favourable) or 0 (always 0, like the table's majority class, if it is the
#   unfavourable one).
# - **MCC**, Matthews' correlation coefficient ([Matthews, 1975](https://doi.org/10.1016/0005-2795%2875%2990109-9)):
#   $(TP \cdot TN - FP \cdot FN) / \sqrt{(TP + FP)(TP + FN)(TN + FP)(TN + FN)}$. It runs from −1 (all wrong) to 1 (all
#   right) and is near 0 if the answers have nothing to do with the labels. If the model always answers the same it is
#   0/0, taken as 0 by convention: that is how it gave away the model that did not read. With more classes accuracy is
#   the share of right answers, F1 the mean of each class's (macro-F1), and the MCC a more general formula.

# %%
answers, truth = pd.Series(tfidf.predictions), pd.Series(tfidf.labels)
f1 = []
for one in range(len(classes)):  # in turn, each class is the one that is looked for
    tp, tn = (
        sum((answers == one) & (truth == one)),
        sum((answers != one) & (truth != one)),
    )
    fp, fn = (
        sum((answers == one) & (truth != one)),
        sum((answers != one) & (truth == one)),
    )
    f1.append(2 * tp / max(1, 2 * tp + fp + fn))  # 0 for a class that never comes
by_hand_scores = {"accuracy": (answers == truth).mean(), "f1": sum(f1) / len(f1)}
if len(classes) == 2:  # the last counts are those of class 1
    sizes = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    by_hand_scores |= {"f1": f1[1], "mcc": (tp * tn - fp * fn) / max(1, sizes**0.5)}
for name, value in by_hand_scores.items():
    assert abs(value - tfidf.test[name]) < 1e-9
axes = {"rownames": [message("label")], "colnames": [message("answer")]}
pd.crosstab(truth, answers, **axes)

# %% [markdown] lang="es"
# ## Hazlo mal a propósito: una fuga del test
#
# ¿Qué pasa si algunas frases del test se cuelan en el entrenamiento? Eso es una **fuga** (*leakage*). Usamos un modelo
# que solo tiene memoria: contesta la etiqueta de la frase de entrenamiento más parecida (el **vecino más próximo**, con
# los mismos valores TF-IDF). Lo examinamos limpio, y después con una cuarta parte del test dentro del entrenamiento.

# %% [markdown] lang="en"
# ## Break it: the test leaks
#
# What happens if some test sentences slip into the training set? That is **leakage**. We use a model that has nothing
# but memory: it answers the label of the most similar training sentence (the **nearest neighbour**, with the same
# TF-IDF values). We examine it clean, and then with a quarter of the test inside the training set.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline


def memory_scores(train, test):
    """Which of the test's sentences a nearest neighbour gets right."""
    neighbour = KNeighborsClassifier(n_neighbors=1, metric="cosine")
    model = make_pipeline(TfidfVectorizer(), neighbour)
    model.fit(whole(train), train["label"])
    return model.predict(whole(test)) == test["label"]


leaked = splits.test.iloc[: len(splits.test) // 4]
honest = memory_scores(splits.train, splits.test)
cheating = memory_scores(pd.concat([splits.train, leaked]), splits.test)
print(percent(honest.mean()), "→", percent(cheating.mean()))

# %% [markdown] lang="es"
# ¿De dónde sale la diferencia? Separamos las frases que se colaron, que ahora acierta porque se las sabe, y las demás,
# que solo pueden cambiar porque hay más frases de las que copiar.

# %% [markdown] lang="en"
# Where does the difference come from? We take apart the leaked sentences, which it now gets right because it knows them
# by heart, and the others, which can change only because there are more sentences to copy from.

# %%
inside = splits.test.index.isin(leaked.index)
for name, part in (("leaked_quarter", inside), ("the_rest", ~inside)):
    print(
        message(name), percent(honest[part].mean()), "→", percent(cheating[part].mean())
    )
assert cheating[inside].mean() == 1

# %% [markdown] lang="es"
# La solución es una línea que puedes poner en cualquier proyecto: contar lo que comparten las dos partes y negarse a
# seguir si no es cero. Con la fuga, salta; con el reparto de `load_splits`, no.

# %% [markdown] lang="en"
# The fix is one line that you can put into any project: count what the two parts share, and refuse to go on if it is
# not zero. With the leak it strikes; with the split of `load_splits` it does not.


# %%
def shared(train, test):
    return len(set(whole(train)) & set(whole(test)))


assert shared(pd.concat([splits.train, leaked]), splits.test) == len(leaked)
assert shared(splits.train, splits.test) == 0

# %% [markdown] lang="es"
# ## La otra tarea: contestar como don Quijote
#
# Hasta aquí, el modelo elige entre unas pocas respuestas. En la segunda tarea la escribe. Los datos del curso son 672
# preguntas de hoy (sobre móviles, exámenes, dinero o miedo) y las respuestas de don Quijote, en inglés, que escribió
# otro modelo de lenguaje, mucho mayor; si en `DATA` has puesto preguntas tuyas, los datos son esas. Vistas de cerca,
# las dos tareas son la misma: una **entrada** y lo que tiene que salir. Cambia qué sale: una etiqueta, o un texto.

# %% [markdown] lang="en"
# ## The other task: answering as Don Quixote
#
# So far, the model chooses among a few answers. In the second task it writes one. The course's data are 672 present-day
# questions (about phones, exams, money or fear) and Don Quixote's answers, in English, which another, far larger
# language model wrote; if you have put questions of yours into `DATA`, the data are those. Looked at closely, the two
# tasks are the same: an **input**, and what has to come out. What differs is what comes out: a label, or a text.

# %%
from loralab.data import load_pairs

asked = profile.generation.experiment("retrieval")
pairs, counted = load_pairs(asked.dataset)
film, pair = splits.train.iloc[0], pairs.iloc[0]
pd.set_option("display.max_colwidth", None)
records = [[film["text"], film["label"]], [pair["input"], pair["output"]]]
print(counted)
pd.DataFrame(records, index=[experiment.task, asked.task], columns=["input", "output"])

# %% [markdown] lang="es"
# ¿Cómo se reparte? Barajar no basta. «¿Cambio de móvil?» y «¿Me compro el último teléfono?» no son copias, así que
# ningún detector de duplicados las vería, pero quien ha estudiado una lleva ventaja en la otra. Por eso cada pregunta
# del curso tiene un **tema**, que va entero a una sola parte. (Si las tuyas no lo traen, solo se apartan las que son
# casi iguales, y `alike` las cuenta: dos que preguntan lo mismo con otras palabras pueden quedar en partes distintas.)

# %% [markdown] lang="en"
# How is it divided? Shuffling is not enough. “Should I change my phone?” and “Do I buy the latest model?” are not
# copies, so no detector of duplicates would see them, but whoever has studied one has a head start on the other. So
# each of the course's questions has a **topic**, which goes whole into one part. (If yours have none, only those that
# are nearly alike are kept apart, and `alike` counts them: two that ask the same in other words may end up in different
# parts.)

# %%
persona = load_splits(asked)
topics = {name: set(frame["topic"]) for name, frame in persona.items()}
assert not topics["train"] & topics["test"]
assert not topics["train"] & topics["validation"]
assert not topics["validation"] & topics["test"]
print(sorted(topics["test"]))
persona.report

# %% [markdown] lang="es"
# Aquí también hay un listón sin red neuronal: buscar la pregunta de entrenamiento más parecida (con TF-IDF) y copiar su
# respuesta. ¿Qué le falta? Léelo: en la primera columna, lo que se escribió para esa pregunta; en la segunda, lo que se
# ha copiado.

# %% [markdown] lang="en"
# Here too there is a bar without any neural network: look for the most similar training question (by TF-IDF) and copy
# its answer. What does it lack? Read: in the first column, what was written for the question; in the second, what was
# copied.

# %%
from loralab import run
from loralab.show import samples_table

retrieval = run(asked)
assert set(retrieval.predictions) <= set(persona.train["output"])
samples_table([retrieval], 4)

# %% [markdown] lang="es"
# La voz es la buena, porque está copiada; la respuesta es de otra pregunta. No hay exactitud que contar: dos buenas
# respuestas rara vez tienen las mismas palabras. **chrF** ([Popović, 2015](https://aclanthology.org/W15-3049/)) compara
# los trozos de hasta 6 caracteres seguidos de las dos respuestas; va de 0 a 100, y dos respuestas cualesquiera en la
# misma lengua ya comparten muchos. Es lo que imprime `run`. chrF no basta para ver si un modelo hace algo mejor que
# copiar: lo veremos en la lección 4.

# %% [markdown] lang="en"
# The voice is right, because it is copied; the answer is another question's. There is no accuracy to count: two good
# answers seldom have the same words. **chrF** ([Popović, 2015](https://aclanthology.org/W15-3049/)) compares the runs
# of up to 6 characters of the two answers; it runs from 0 to 100, and any two answers in one language share many
# already. It is what `run` prints. Whoever does better than copying will have to show it in another way: lesson 4 comes
# to that.

# %% [markdown] lang="es"
# ## La suerte del examen
#
# Volvemos a las críticas de cine. Imagina un modelo que acierta de verdad el 83 % de las frases. Lo examinamos 1000
# veces, cada vez con 2000 frases nuevas. El modelo no cambia; la nota sí. Quitamos el 2,5 % de los exámenes con peor
# nota y el 2,5 % con mejor. ¿A cuántos puntos de 83 llegan, como mucho, los demás? (Un punto: de 83 % a 84 %.)

# %% [markdown] lang="en"
# ## Exam luck
#
# Back to the film reviews. Imagine a model that truly gets 83% of all sentences right. We examine it 1,000 times, each
# time on 2,000 new sentences. The model does not change; the score does. We take away the 2.5% of exams with the worst
# score and the 2.5% with the best. How many points from 83 do the others reach at most? (One point: from 83% to 84%.)

# %%
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

# %%
from loralab.show import half_width

low, high = np.quantile(exams, [0.025, 0.975])
formula = half_width(true_accuracy, questions)
assert abs((high - low) / 2 - formula) < 0.001
guess_width.compare(100 * formula)

# %% [markdown] lang="es"
# Ese es el ± de las tablas del curso: dice cuánto cambiaría la nota con otras frases del mismo tipo. Lo que cambiaría
# con otro entrenamiento es otra suerte, y llega en la lección 4.
#
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - El examen está limpio: barajado, estratificado, sin copias. Lo dicen las comprobaciones, no la confianza.
# - Una exactitud alta no prueba nada por sí sola. Mira el MCC y la clase mayoritaria.
# - Un modelo con *fine-tuning* tiene que superar a TF-IDF, no al azar, y no tiene por qué superar a una persona.
# - Las preguntas que traen tema se reparten por temas: ninguno está en dos partes.
# - Si dos notas difieren menos que el ±, eso solo no basta para decir qué modelo es mejor. Y si difieren más, tampoco:
#   el ± es de una nota sola, y comparar dos que hacen el mismo examen pide otra cuenta (lecciones 5 y 6).
#
# Siguiente lección: qué lee de verdad el modelo.

# %% [markdown] lang="en"
# That is the ± in the course's tables: it says how much the score would change with other sentences of the same kind.
# What would change with another training run is another kind of luck, and comes in lesson 4.
#
# ## What you may now claim, and on what evidence
#
# - The exam is clean: shuffled, stratified, without copies. The checks show it; it is not taken on trust.
# - A high accuracy proves nothing on its own. Look at the MCC and at the majority class.
# - A fine-tuned model has to beat TF-IDF, not chance, and need not beat a person.
# - Questions that have a topic are divided by topic: none is in two parts.
# - If two scores differ by less than the ±, that alone does not tell which model is better. Nor if they differ by more:
#   the ± belongs to one score, and comparing two that sit the same exam takes another calculation (lessons 5 and 6).
#
# Next lesson: what the model really reads.

# %% [markdown] lang="es"
# ## Ejercicios
#
# Escribe tu respuesta en lugar de `...` o de `None` y ejecuta la celda: `check` te dice si es correcta y, si no, qué
# error has cometido. Puedes intentarlo tantas veces como quieras. Antes de calcular, haz la predicción que pide cada
# ejercicio, aunque sea a ojo. No hay que entrenar nada.

# %% [markdown] lang="en"
# ## Exercises
#
# Write your answer in place of `...` or `None` and run the cell: `check` tells you whether it is right and, if not,
# which mistake you have made. Try as often as you like. Before you compute, make the prediction that each exercise asks
# for, if only by eye. Nothing has to be trained.

# %% [markdown] lang="es"
# ### Un modelo que casi siempre dice lo mismo
#
# Un test tiene 967 críticas favorables y 33 desfavorables. Un modelo contesta «desfavorable» 10 veces, y en 3 de ellas
# acierta; en todas las demás críticas contesta «favorable». Averigua las cuatro cuentas (TP, TN, FP y FN, con
# 1 = favorable) y calcula con ellas su MCC.
#
# **Predice.** ¿Será alta la exactitud? ¿Y el MCC, estará cerca de 0 o de 1? Piensa en cuántas de las 33 desfavorables
# encuentra: eso es lo que tiene que notar una buena métrica.

# %% [markdown] lang="en"
# ### A model that nearly always says the same
#
# A test set has 967 favourable reviews and 33 unfavourable ones. A model answers “unfavourable” 10 times, and is right
# in 3 of them; for all other reviews it answers “favourable”. Find the four counts (TP, TN, FP and FN, with
# 1 = favourable) and work out its MCC from them.
#
# **Predict.** Will the accuracy be high? And the MCC, will it be near 0 or near 1? Think of how many of the 33
# unfavourable reviews it finds: that is what a good metric has to notice.

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
# not horrible.* Si la regla es muy estricta, se escapan copias; si es muy amplia, se juntan opiniones contrarias.

# %% [markdown] lang="en"
# ### Remove the copies and leave one
#
# `without_copies` takes a list of reviews and returns another without copies: of each group it leaves the first, as it
# was written, and it keeps the order. Copies are those with the same words in the same order, case and punctuation
# aside.
#
# **Predict.** How many of these five will be left? *Horrible. / HORRIBLE! / Not horrible. / Horrible, not funny. /
# Funny, not horrible.* If the rule is very strict, copies escape it; if it is very broad, opposite opinions are merged.

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
# La lección va del número de preguntas al ±. Haz ahora el camino inverso, que es el que necesita quien prepara un
# examen: `questions_needed` recibe lo que acierta el modelo (`p`, una proporción de 0 a 1) y el ± que se quiere al 95 %
# (`points`, en puntos), y devuelve cuántas preguntas hacen falta. Puedes redondear hacia arriba o dejar los decimales.
#
# **Predice.** Con 2000 preguntas y un 83 % de aciertos, el ± es de 1,65 puntos. ¿Cuántas harán falta para bajarlo a
# 0,55, la tercera parte? Apuesta por un número y después pregúntaselo a tu función.

# %% [markdown] lang="en"
# ### How many questions does it take?
#
# The lesson goes from the number of questions to the ±. Now go the other way, as whoever sets an exam has to:
# `questions_needed` takes what the model gets right (`p`, a share from 0 to 1) and the ± that is wanted at 95%
# (`points`, in points), and returns how many questions it takes. You may round up or leave the decimals.
#
# **Predict.** With 2,000 questions and 83% right, the ± is 1.65 points. How many will it take to bring it down to 0.55,
# a third? Bet on a number, and then ask your function.

# %% exercise="questions_needed"
from loralab import check


def questions_needed(p, points):
    """How many questions give a share p of hits a ± of so many points, at 95%."""
    ### BEGIN SOLUTION
    return p * (1 - p) * (1.96 / (points / 100)) ** 2
    ### END SOLUTION


check("questions_needed", questions_needed)
