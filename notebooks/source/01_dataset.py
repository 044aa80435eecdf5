# %% [markdown] lang="es"
# # 1 · El conjunto de datos
#
# **Pregunta.** ¿A qué tiene que ganar un modelo ajustado, y qué haría que su nota fuera mentira?
#
# En este curso vas a enseñar a un modelo de lenguaje a distinguir las críticas de cine favorables de las desfavorables.
# Lo harás de dos maneras: ajustando todos sus pesos (*fine-tuning* completo), o dejándolos fijos y entrenando unos
# pocos parámetros añadidos (LoRA). Antes de entrenar nada hay que saber con qué se le examina. Esta lección prepara el
# examen.
#
# La celda siguiente elige el idioma y el **perfil**: cuántos datos, qué modelo y qué ajustes convienen a esta máquina.

# %% [markdown] lang="en"
# # 1 · The dataset
#
# **Question.** What must a fine-tuned model beat, and what would make its score a lie?
#
# In this course you teach a language model to tell favourable film reviews from unfavourable ones. You do it in two
# ways: by adjusting all its weights (full *fine-tuning*), or by leaving them fixed and training a few added parameters
# (LoRA). Before we train anything we have to know what it will be examined on. This lesson sets the exam.
#
# The next cell chooses the language and the **profile**: how much data, which model and which settings suit this
# machine.

# %%
from loralab.lesson import start

LANGUAGE = "es"
profile = start(LANGUAGE)

# %% [markdown] lang="es"
# ## De una nota media a una etiqueta
#
# Cada fila es una frase de una crítica. Varias personas (`raters` dice cuántas) la puntuaron de −4 (extremadamente
# desfavorable) a 4 (extremadamente favorable), y `rating` es la media ([Hutto y Gilbert,
# 2014](https://doi.org/10.1609/icwsm.v8i1.14550)).

# %% [markdown] lang="en"
# ## From a mean rating to a label
#
# Each row is a sentence from a review. Several people (`raters` says how many) rated it from −4 (extremely
# unfavourable) to 4 (extremely favourable), and `rating` is their mean ([Hutto and Gilbert,
# 2014](https://doi.org/10.1609/icwsm.v8i1.14550)).

# %% tags=["nbval-check-output"]
from loralab.data import film_reviews

reviews = film_reviews()
print("raters:", reviews["raters"].min(), "–", reviews["raters"].max())
reviews.head()

# %% [markdown] lang="es"
# La etiqueta es el signo de la media: 1 si es positiva, 0 si es negativa. Una media de cero no dice nada; esas filas se
# quedan fuera, y se cuentan.

# %% [markdown] lang="en"
# The label is the sign of the mean: 1 if it is positive, 0 if it is negative. A mean of zero says nothing; those rows
# are left out, and counted.

# %% tags=["nbval-check-output"]
rating = reviews["rating"]
counts = {"> 0": sum(rating > 0), "< 0": sum(rating < 0), "= 0": sum(rating == 0)}
assert sum(counts.values()) == len(reviews)
counts

# %% [markdown] lang="es"
# ## Un 97,5 % que no vale nada
#
# Hagámoslo mal a propósito. Tomamos las 1000 primeras filas y guardamos la última quinta parte como test. El «modelo»
# contesta siempre «favorable», sin leer.

# %% [markdown] lang="en"
# ## A worthless 97.5%
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
# La exactitud (*accuracy*, la proporción de aciertos) es altísima. El coeficiente de correlación de Matthews (MCC,
# [Matthews, 1975](https://doi.org/10.1016/0005-2795%2875%2990109-9)) lo delata: va de −1 (todo fallos) a 1 (todo
# aciertos) y ronda el 0 si las respuestas no tienen relación con las etiquetas. Cuando el modelo contesta siempre lo
# mismo, su fórmula da 0/0, y por convenio se toma 0. F1 tampoco avisa aquí. Es la media armónica de la precisión (de
# las respuestas 1, cuántas son correctas) y la exhaustividad (de los 1 verdaderos, cuántos se encuentran), así que solo
# mira la clase 1: contestar siempre 1 puede dar una nota alta; contestar siempre 0 da 0.
#
# ¿Qué ha pasado? Contemos las favorables en cada bloque de mil filas.

# %% [markdown] lang="en"
# Accuracy (the share of right answers) is sky-high. The Matthews correlation coefficient (MCC, [Matthews,
# 1975](https://doi.org/10.1016/0005-2795%2875%2990109-9)) gives it away: it runs from −1 (all wrong) to 1 (all right)
# and is near 0 if the answers have nothing to do with the labels. When the model always gives the same answer, its
# formula is 0/0, taken as 0 by convention. F1 gives no warning here either. It is the harmonic mean of precision (of
# the answers 1, how many are right) and recall (of the real 1s, how many are found), so it looks at class 1 only:
# always answering 1 can score high, always answering 0 scores 0.
#
# What happened? Let us count the favourable ones in each block of a thousand rows.

# %% tags=["nbval-check-output"]
positive = (reviews["rating"] > 0).to_numpy()
print(
    [
        int(positive[start : start + 1000].sum())
        for start in range(0, len(positive), 1000)
    ]
)

# %% [markdown] lang="es"
# El fichero está casi ordenado por clase. De ahí la regla: **se baraja, y se mantiene la proporción de clases**.
#
# ## Duplicados
#
# Si una frase está en entrenamiento y también en test, el modelo puede acertarla de memoria. Buscamos copias exactas
# (las mismas palabras en el mismo orden, sin contar mayúsculas ni puntuación) y copias casi exactas: conjuntos de
# palabras $A$ y $B$ con una similitud de Jaccard $|A \cap B| / |A \cup B|$ de 0,8 o más.

# %% [markdown] lang="en"
# The file is almost sorted by class. Hence the rule: **shuffle, and keep the proportion of classes**.
#
# ## Duplicates
#
# If a sentence is in both the training and the test set, the model can get it right from memory. We look for exact
# copies (the same words in the same order, case and punctuation aside) and near-copies: word sets $A$ and $B$ whose
# Jaccard similarity $|A \cap B| / |A \cup B|$ is 0.8 or more.

# %% tags=["nbval-check-output"]
from loralab.data import find_duplicates, find_near_duplicates

texts = list(reviews["text"])
for original, copy in find_duplicates(texts):
    print("=", texts[original], "|", texts[copy])
for i, j, similarity in find_near_duplicates(texts):
    if similarity < 1:
        print("≈", texts[i], "|", texts[j])

# %% [markdown] lang="es"
# ## Tres partes sin nada en común
#
# Con el conjunto de **entrenamiento** se ajustan los pesos; con el de **validación** se toman decisiones (cuántas
# épocas, qué tasa de aprendizaje); el de **test** no decide nada: cada experimento lo mira una sola vez, al final.
# `load_splits` quita las copias, baraja con una semilla fija y reparte manteniendo la proporción de clases. El tamaño
# de cada parte lo fija el perfil; las filas que sobran no se usan. Un **experimento** (`Experiment`) describe por
# completo un entrenamiento, y también de qué datos parte.

# %% [markdown] lang="en"
# ## Three parts with nothing in common
#
# The **training** set is used to adjust the weights; the **validation** set to make decisions (how many epochs, which
# learning rate); the **test** set decides nothing: each experiment looks at it once, at the end. `load_splits` removes
# the copies, shuffles with a fixed seed and divides, keeping the proportion of classes. The profile sets the size of
# each part; rows left over are not used. An **experiment** (`Experiment`) describes a training run completely, and so
# also the data it starts from.

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
# Dos referencias sin red neuronal: contestar siempre la clase mayoritaria, y una regresión logística sobre los pesos
# TF-IDF de palabras y pares de palabras (una palabra pesa más cuanto más aparece en la frase y en menos frases del
# conjunto). Son experimentos como los demás: `run_all` los ejecuta la primera vez y los carga las siguientes.

# %% [markdown] lang="en"
# ## What there is to beat
#
# Two baselines without a neural network: always answering the majority class, and logistic regression on the TF-IDF
# weights of words and word pairs (a word weighs more the more it occurs in the sentence and the fewer sentences hold
# it). They are experiments like any other: `run_all` runs them the first time and loads them after that.

# %%
from loralab.report import comparison_table
from loralab.runner import run_all

baselines = run_all([profile.experiment("majority"), profile.experiment("tfidf")])
comparison_table(baselines)

# %% [markdown] lang="es"
# ## La suerte del examen
#
# ¿Qué quiere decir el ± de la tabla? Imagina un modelo que acierta de verdad el 83 % de las frases. Lo examinamos 1000
# veces, cada vez con 2000 frases nuevas. El modelo no cambia; la nota sí.

# %% [markdown] lang="en"
# ## Exam luck
#
# What does the ± in the table mean? Imagine a model that truly gets 83% of all sentences right. We examine it 1,000
# times, each time on 2,000 new sentences. The model does not change; the score does.

# %%
import numpy as np

from loralab.figures import exam_luck
from loralab.messages import number
from loralab.stats import half_width

truth, questions = 0.83, 2000
scores = np.random.default_rng(0).binomial(questions, truth, size=1000) / questions
exam_luck(scores, truth, questions)

# %% [markdown] lang="es"
# El 95 % central de las notas queda a menos de $1{,}96\sqrt{p(1-p)/n}$ de la verdadera. Esa distancia es el ± de la
# tabla; allí, $p$ es la nota obtenida. Con $p = 0{,}83$ y $n = 2000$ son ±1,65 puntos, y la simulación lo confirma.

# %% [markdown] lang="en"
# The middle 95% of the scores lies within $1.96\sqrt{p(1-p)/n}$ of the true one. That distance is the ± in the table;
# there, $p$ is the score obtained. With $p = 0.83$ and $n = 2000$ it is ±1.65 points, and the simulation agrees.

# %% tags=["nbval-check-output"]
low, high = np.quantile(scores, [0.025, 0.975])
assert abs((high - low) / 2 - half_width(truth, questions)) < 0.001
print("±", number(100 * half_width(truth, questions), 2))

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya
#
# - El examen está limpio: sin copias, barajado, con las clases en la misma proporción.
# - Un modelo ajustado tiene que superar a TF-IDF, no al azar.
# - Si dos notas difieren en menos que el ±, eso solo no basta para decir qué modelo es mejor. En la lección 5 los
#   compararás frase a frase.
#
# Siguiente lección: qué lee de verdad el modelo.

# %% [markdown] lang="en"
# ## What you may now claim
#
# - The exam is clean: no copies, shuffled, with the classes in the same proportion.
# - A fine-tuned model has to beat TF-IDF, not chance.
# - If two scores differ by less than the ±, that alone does not tell which model is better. In lesson 5 you compare
#   them sentence by sentence.
#
# Next lesson: what the model really reads.
