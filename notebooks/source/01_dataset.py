# %% [markdown] lang="es"
# # 1 · El conjunto de datos
#
# **Pregunta.** ¿A qué tiene que ganar un modelo ajustado, y qué haría que su nota fuera mentira?
#
# En este curso vas a enseñar a un modelo de lenguaje a distinguir las críticas de cine favorables de las
# desfavorables, primero ajustando todos sus pesos (*fine-tuning* completo) y después solo unos pocos (LoRA). Antes de
# entrenar nada hay que saber con qué se le examina. Esta lección prepara el examen.

# %% [markdown] lang="en"
# # 1 · The dataset
#
# **Question.** What must a fine-tuned model beat, and what would make its score a lie?
#
# In this course you teach a language model to tell favourable film reviews from unfavourable ones, first by adjusting
# all its weights (full *fine-tuning*) and then only a few of them (LoRA). Before we train anything we have to know what
# it will be examined on. This lesson sets the exam.

# %%
from loralab.lesson import start

LANGUAGE = "es"
profile = start(LANGUAGE)

# %% [markdown] lang="es"
# ## De una nota media a una etiqueta
#
# Cada fila es una frase de una crítica. Entre 15 y 20 personas la puntuaron de −4 (muy desfavorable) a 4 (muy
# favorable), y `rating` es la media ([Hutto y Gilbert, 2014](https://doi.org/10.1609/icwsm.v8i1.14550)).

# %% [markdown] lang="en"
# ## From a mean rating to a label
#
# Each row is a sentence from a review. Between 15 and 20 people rated it from −4 (very unfavourable) to 4 (very
# favourable), and `rating` is their mean ([Hutto and Gilbert, 2014](https://doi.org/10.1609/icwsm.v8i1.14550)).

# %% tags=["nbval-check-output"]
from loralab.data import film_reviews

reviews = film_reviews()
reviews.head()

# %% [markdown] lang="es"
# La etiqueta es el signo de la media: 1 si es positiva, 0 si es negativa. Una media de cero no dice nada; esas filas se
# quedan fuera, y se cuentan.

# %% [markdown] lang="en"
# The label is the sign of the mean: 1 if it is positive, 0 if it is negative. A mean of zero says nothing; those rows
# are left out, and counted.

# %% tags=["nbval-check-output"]
counts = (reviews["rating"] > 0).sum(), (reviews["rating"] < 0).sum(), (reviews["rating"] == 0).sum()
assert sum(counts) == len(reviews)
print(*counts, len(reviews))

# %% [markdown] lang="es"
# ## Un 97,5 % que no vale nada
#
# Hagámoslo mal a propósito. Tomamos las 1000 primeras filas y guardamos la última quinta parte como test. El «modelo»
# contesta siempre «favorable», sin leer.

# %% [markdown] lang="en"
# ## A worthless 97.5 %
#
# Let us do it wrong on purpose. We take the first 1,000 rows and keep the last fifth as the test. The “model” always
# answers “favourable”, without reading.

# %% tags=["nbval-check-output"]
from loralab.metrics import score

first = reviews[reviews["rating"] != 0].head(1000)
labels = [int(rating > 0) for rating in first["rating"][-200:]]
always_favourable = score([1] * 200, labels)
assert always_favourable["mcc"] == 0
always_favourable

# %% [markdown] lang="es"
# La exactitud (*accuracy*, la parte de aciertos) es altísima porque el fichero está casi ordenado por clase: en esas
# 200 filas apenas hay críticas desfavorables. El coeficiente de Matthews (MCC) lo delata. Vale 1 si todo es acierto y 0
# si las respuestas no tienen relación con las etiquetas, sea cual sea la proporción de clases. El IMDB del *hub* también
# viene ordenado por clase. De ahí la primera regla: **se baraja, y se mantiene la proporción de clases**.

# %% [markdown] lang="en"
# Accuracy (the share of right answers) is sky-high because the file is almost sorted by class: those 200 rows hold
# hardly any unfavourable review. Matthews' coefficient (MCC) gives it away. It is 1 if every answer is right and 0 if
# the answers have nothing to do with the labels, whatever the proportion of classes. IMDB on the *hub* comes sorted by
# class too. Hence the first rule: **shuffle, and keep the proportion of classes**.

# %% [markdown] lang="es"
# ## Duplicados
#
# Si una frase está en entrenamiento y también en test, el modelo puede acertarla de memoria. Buscamos copias exactas
# (las mismas palabras en el mismo orden, sin contar mayúsculas ni puntuación) y copias casi exactas: conjuntos de
# palabras $A$ y $B$ con una similitud de Jaccard $|A \cap B| / |A \cup B|$ de 0,8 o más.

# %% [markdown] lang="en"
# ## Duplicates
#
# If a sentence stands in the training set and in the test too, the model can get it right from memory. We look for
# exact copies (the same words in the same order, case and punctuation aside) and near-copies: word sets $A$ and $B$
# whose Jaccard similarity $|A \cap B| / |A \cup B|$ is 0.8 or more.

# %% tags=["nbval-check-output"]
from loralab.data import find_duplicates, find_near_duplicates

texts = list(reviews["text"])
for original, copy in find_duplicates(texts):
    print("=", texts[original], "|", texts[copy])
for i, j, similarity in find_near_duplicates(texts):
    if similarity < 1:
        print(f"{similarity:.2f}", texts[i], "|", texts[j])

# %% [markdown] lang="es"
# ## Tres partes sin nada en común
#
# Con el conjunto de **entrenamiento** se ajustan los pesos; con el de **validación** se toman decisiones (cuántas
# épocas, qué tasa de aprendizaje); el de **test** se mira una sola vez, al final. `load_splits` quita las copias, baraja
# con una semilla fija y reparte manteniendo la proporción de clases. Un **experimento** (`Experiment`) describe por
# completo un entrenamiento, y también de qué datos parte.

# %% [markdown] lang="en"
# ## Three parts with nothing in common
#
# The **training** set adjusts the weights; the **validation** set makes decisions (how many epochs, which learning
# rate); the **test** set is looked at once, at the end. `load_splits` removes the copies, shuffles with a fixed seed and
# divides, keeping the proportion of classes. An **experiment** (`Experiment`) describes a training run completely, and
# so also the data it starts from.

# %%
from loralab.data import load_splits

experiment = profile.experiment("lora")
splits = load_splits(experiment)
splits.report

# %%
parts = {name: set(frame["text"].str.lower()) for name, frame in splits.items()}
assert not parts["train"] & parts["test"]
assert not parts["train"] & parts["validation"]
assert not parts["validation"] & parts["test"]
assert abs(splits.report["train_positive"] - splits.report["test_positive"]) < 0.02

# %% [markdown] lang="es"
# ## A qué hay que ganar
#
# Dos referencias sin ningún transformer: contestar siempre la clase mayoritaria, y una regresión logística sobre los
# pesos TF-IDF de palabras y pares de palabras. Son experimentos como los demás: `run` los hace la primera vez y los
# carga las siguientes.

# %% [markdown] lang="en"
# ## What there is to beat
#
# Two baselines without any transformer: always answering the majority class, and logistic regression on the TF-IDF
# weights of words and word pairs. They are experiments like any other: `run` does them the first time and loads them
# after that.

# %%
from loralab.report import comparison_table
from loralab.runner import run_all

baselines = run_all([profile.experiment("majority"), profile.experiment("tfidf")])
comparison_table(baselines)

# %% [markdown] lang="es"
# ## La suerte del examen
#
# ¿Qué quiere decir el ± de la tabla? Imagina un modelo que acierta de verdad el 83 % de las frases. Lo examinamos 1000
# veces, cada vez con 2000 frases distintas. El modelo no cambia; la nota sí.

# %% [markdown] lang="en"
# ## Exam luck
#
# What does the ± in the table mean? Imagine a model that truly gets 83 % of all sentences right. We examine it 1,000
# times, each time on 2,000 other sentences. The model does not change; the score does.

# %%
import numpy as np

from loralab.figures import exam_luck
from loralab.stats import half_width

truth, questions = 0.83, 2000
scores = np.random.default_rng(0).binomial(questions, truth, size=1000) / questions
exam_luck(scores, truth, questions)

# %% [markdown] lang="es"
# La mitad central del abanico tiene fórmula: $1{,}96\sqrt{p(1-p)/n}$. Con $p = 0{,}83$ y $n = 2000$ son ±1,65 puntos, y
# la simulación lo confirma.

# %% [markdown] lang="en"
# The half-width of that fan has a formula: $1.96\sqrt{p(1-p)/n}$. With $p = 0.83$ and $n = 2000$ it is ±1.65 points, and
# the simulation agrees.

# %% tags=["nbval-check-output"]
low, high = np.quantile(scores, [0.025, 0.975])
assert abs((high - low) / 2 - half_width(truth, questions)) < 0.001
print(f"±{100 * half_width(truth, questions):.2f}")

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya
#
# - El examen está limpio: sin copias, barajado, con las clases en la misma proporción.
# - Un modelo ajustado tiene que superar a TF-IDF, no al azar.
# - Dos notas que difieren menos que el ± pueden ser la misma: hace falta un examen más largo.
#
# Siguiente lección: qué lee de verdad el modelo.

# %% [markdown] lang="en"
# ## What you may now claim
#
# - The exam is clean: no copies, shuffled, with the classes in the same proportion.
# - A fine-tuned model has to beat TF-IDF, not chance.
# - Two scores that differ by less than the ± may be the same one: it takes a longer exam.
#
# Next lesson: what the model really reads.
