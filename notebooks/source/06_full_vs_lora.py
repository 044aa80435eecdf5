# %% [markdown] lang="es"
# # 6 · *Fine-tuning* completo frente a LoRA
#
# **Pregunta.** ¿Qué ahorra LoRA aquí, qué cuesta, y con cuánta seguridad lo sabemos?
#
# El mismo modelo, los mismos datos, los mismos lotes en el mismo orden y la misma cabeza inicial. Solo cambian el
# método y su tasa de aprendizaje. En el perfil `cpu`, la tasa de cada método es la que dio menor pérdida de validación
# en un barrido previo, con una semilla (`profiles.toml`).

# %% [markdown] lang="en"
# # 6 · Full *fine-tuning* versus LoRA
#
# **Question.** What does LoRA save here, what does it cost, and how sure are we?
#
# The same model, the same data, the same batches in the same order and the same initial head. Only the method and its
# learning rate change. In the `cpu` profile, each method's rate is the one that gave the lowest validation loss in an
# earlier sweep, with one seed (`profiles.toml`).

# %%
from loralab.lesson import start

LANGUAGE = "es"
profile = start(LANGUAGE)

# %% [markdown] lang="es"
# ## Qué se compara
#
# Además de los dos métodos, cuatro referencias: la clase mayoritaria, TF-IDF, el modelo congelado con una regresión
# logística sobre la media de los vectores que su última capa da a los *tokens*, y entrenar solo la cabeza. Esta última
# entrena lo mismo que LoRA menos el adaptador, con otra tasa de aprendizaje. Solo lee el vector de `[CLS]`; la anterior
# lee la media de todos, que es como se entrenó MiniLM para representar frases, y por eso puede acertar más. Lo que
# aporta el adaptador se mide mejor frente a la mejor de las dos.

# %% [markdown] lang="en"
# ## What is compared
#
# Besides the two methods, four baselines: the majority class, TF-IDF, the frozen model with logistic regression on the
# mean of the vectors that its last layer gives the *tokens*, and training the head only. The last trains what LoRA
# trains except the adapter, with another learning rate. It reads only the `[CLS]` vector, while the one before reads
# the mean of all, which is how MiniLM was trained to represent sentences, and so may score higher. What the adapter
# adds is best measured against the better of the two.

# %% tags=["nbval-check-output"]
import pandas as pd

experiments = profile.comparison()
trained = [e for e in experiments if e.method in ("head", "full", "lora")]
pd.DataFrame(
    [
        {"method": e.method, "learning_rate": e.learning_rate, "seed": e.seed}
        for e in trained
    ]
)

# %% [markdown] lang="es"
# Antes de ejecutar, apuesta: ¿cuánto más tardará el *fine-tuning* completo? Una pista: con $N$ parámetros en las capas
# (sin contar la tabla de *embeddings*, que solo se consulta), cada *token* cuesta unas $2N$ operaciones en la pasada
# hacia delante, $2N$ para propagar el gradiente por las capas y $2N$ para los gradientes de los pesos ([Kaplan et al.,
# 2020](https://arxiv.org/abs/2001.08361)). LoRA se ahorra casi todo lo último: $6N$ frente a $4N$. Por esta cuenta, el
# *fine-tuning* completo tardaría 1,5 veces lo que LoRA; en ella no entra el paso del optimizador.

# %% [markdown] lang="en"
# Before you run it, bet: how much longer will full *fine-tuning* take? A hint: with $N$ parameters in the layers (the
# *embeddings* table aside, which is only looked up), each *token* costs about $2N$ operations in the forward pass, $2N$
# to pass the gradient through the layers and $2N$ for the gradients of the weights ([Kaplan et al.,
# 2020](https://arxiv.org/abs/2001.08361)). LoRA saves almost all of the last: $6N$ against $4N$. By this count, full
# *fine-tuning* would take 1.5 times as long as LoRA; the optimizer's step is not included.

# %%
from loralab.runner import run_all

results = run_all(experiments)

# %% [markdown] lang="es"
# ¿Es una comparación justa? Mismo examen, mismos datos, mismo código.

# %% [markdown] lang="en"
# Is it a fair comparison? Same exam, same data, same code.

# %%
assert all(result.labels == results[0].labels for result in results)
assert len({result.provenance["data"] for result in results}) == 1
assert len({result.provenance["code"] for result in results}) == 1
full = next(result for result in results if result.experiment.method == "full")
lora = next(result for result in results if result.experiment.method == "lora")
assert full.parameters["trainable"] == full.parameters["total"]
assert (
    lora.parameters["trainable"] == lora.parameters["adapter"] + lora.parameters["head"]
)

# %% [markdown] lang="es"
# ## La tabla

# %% [markdown] lang="en"
# ## The table

# %%
from loralab.report import comparison_table

comparison_table(results)

# %%
from loralab.figures import comparison_panel
from loralab.report import compare_accuracy

comparison_panel(full, lora, compare_accuracy(full, lora))

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
from IPython.display import Markdown

from loralab.report import sentences

Markdown("\n".join(f"- {sentence}" for sentence in sentences(full, lora)))

# %% [markdown] lang="es"
# Este ± no es el de la tabla: es el de la diferencia en las mismas frases (lección 5), y por eso es más estrecho. La
# diferencia se calcula antes de redondear, así que puede separarse una décima de la que da la tabla. Y cubre la suerte
# del examen, no la del entrenamiento: con otra semilla estas notas se mueven, y una diferencia apenas mayor que su ±
# puede desaparecer.
#
# Cada tiempo se ha medido una sola vez, en una máquina que quizá hacía otras cosas. Mira los segundos de entrenamiento
# de la lección 5: los rangos hacen casi el mismo trabajo, así que lo que se separan da idea de lo incierto que es un
# solo tiempo.
#
# ## De dónde sale cada número

# %% [markdown] lang="en"
# This ± is not the table's: it is that of the difference on the same sentences (lesson 5), and so narrower. The
# difference is computed before rounding, so it may be a tenth off what the table gives. And it covers the luck of the
# exam, not that of training: with another seed these scores move, and a difference hardly larger than its ± may vanish.
#
# Each time was measured once, on a machine that may have been doing other things. Look at the training seconds in
# lesson 5: the ranks do almost the same work, so how far apart they are shows how uncertain a single time is.
#
# ## Where each number comes from

# %%
from loralab.report import provenance_table

provenance_table(results)

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya
#
# - Lo que dicen las frases de arriba, para este modelo, estos datos, esta máquina y esta semilla. Con una sola semilla,
#   eso aún no dice qué método es mejor.
# - La memoria no baja en la misma proporción que los parámetros entrenables. LoRA evita casi todos los gradientes y los
#   dos promedios que AdamW guarda por parámetro, pero los pesos congelados y las activaciones (las salidas intermedias
#   de cada capa) siguen ahí.
# - El 1,5 es una cuenta aproximada; el tiempo real hay que medirlo.

# %% [markdown] lang="en"
# ## What you may now claim
#
# - What the sentences above say, for this model, these data, this machine and this seed. With one seed, that is not yet
#   a ranking of the two methods.
# - Memory does not fall in proportion to trainable parameters. LoRA avoids nearly all gradients and the two averages
#   that AdamW keeps per parameter, but frozen weights and activations (each layer's intermediate outputs) are still
#   there.
# - The 1.5 is a rough estimate; real time has to be measured.
