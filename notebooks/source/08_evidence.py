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

from loralab import load_splits, message
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
