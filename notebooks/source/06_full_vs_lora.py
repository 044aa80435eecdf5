# %% [markdown] lang="es"
# # 6 · *Fine-tuning* completo frente a LoRA
#
# **Pregunta.** ¿Qué ahorra LoRA aquí, qué cuesta, y con cuánta seguridad lo sabemos?
#
# El mismo modelo, los mismos datos, los mismos lotes en el mismo orden y la misma cabeza inicial. Solo cambian el
# método y su tasa de aprendizaje. En el perfil `cpu` es la de menor pérdida de validación en un barrido previo, con una
# semilla (`profiles.toml`).

# %% [markdown] lang="en"
# # 6 · Full *fine-tuning* versus LoRA
#
# **Question.** What does LoRA save here, what does it cost, and how sure are we?
#
# The same model, the same data, the same batches in the same order and the same initial head. Only the method and its
# learning rate change. In the `cpu` profile it is the one with the lowest validation loss in an earlier sweep, with one
# seed (`profiles.toml`).

# %%
from loralab.lesson import start

LANGUAGE = "es"
profile = start(LANGUAGE)

# %% [markdown] lang="es"
# ## Qué se compara
#
# Además de los dos métodos, cuatro referencias: la clase mayoritaria, TF-IDF, el modelo congelado con una regresión
# logística sobre la media de los vectores que su última capa da a los *tokens*, y entrenar solo la cabeza. Esta última
# entrena lo mismo que LoRA menos el adaptador, pero con otra tasa de aprendizaje; la diferencia da una idea de lo que
# aporta el adaptador.

# %% [markdown] lang="en"
# ## What is compared
#
# Besides the two methods, four baselines: the majority class, TF-IDF, the frozen model with logistic regression on the
# mean of the vectors that its last layer gives the *tokens*, and training the head only. The last trains what LoRA
# trains except the adapter, but with another learning rate; the difference gives an idea of what the adapter adds.

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
# completo tardaría 1,5 veces lo que LoRA; no incluye el paso del optimizador.

# %% [markdown] lang="en"
# Before you run it, bet: how much longer will full *fine-tuning* take? A hint: with $N$ parameters in the layers (the
# *embeddings* table aside, which is only looked up), each *token* costs about $2N$ operations in the forward pass, $2N$
# to pass the gradient through the layers and $2N$ for the gradients of the weights ([Kaplan et al.,
# 2020](https://arxiv.org/abs/2001.08361)). LoRA saves almost all of the last: $6N$ against $4N$. By this count, full
# would take 1.5 times as long as LoRA; the optimizer's step is not included.

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
# Estas frases no están escritas de antemano: salen de los resultados. Si LoRA hubiera tardado más, lo dirían; si no se
# puede saber, también.

# %% [markdown] lang="en"
# ## What the numbers say
#
# These sentences were not written beforehand: they come from the results. Had LoRA taken longer, they would say so;
# where one cannot know, too.

# %%
from loralab.report import sentences

for sentence in sentences(full, lora):
    print("·", sentence)

# %% [markdown] lang="es"
# El ± cubre la suerte del examen, no la del entrenamiento: con otra semilla estas notas se mueven. Y el tiempo se ha
# medido una vez, un método después de otro, en una máquina que quizá hacía otras cosas.
#
# ## De dónde sale cada número

# %% [markdown] lang="en"
# The ± covers the luck of the exam, not that of training: with another seed these scores move. And the time was
# measured once, one method after the other, on a machine that may have been doing other things.
#
# ## Where each number comes from

# %%
from loralab.report import provenance_table

provenance_table(results)

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya
#
# - Lo que dicen las frases de arriba, para este modelo, estos datos y esta máquina.
# - La memoria no baja en la misma proporción que los parámetros entrenables. LoRA evita casi todos los gradientes y los
#   dos promedios que AdamW guarda por parámetro, pero los pesos congelados y las activaciones (las salidas intermedias
#   de cada capa) siguen ahí.
# - El 1,5 es una cuenta aproximada; el tiempo real hay que medirlo.

# %% [markdown] lang="en"
# ## What you may now claim
#
# - What the sentences above say, for this model, these data and this machine.
# - Memory does not fall in proportion to trainable parameters. LoRA avoids nearly all gradients and the two averages
#   that AdamW keeps per parameter, but frozen weights and activations (each layer's intermediate outputs) are still
#   there.
# - The 1.5 is a rough estimate; real time has to be measured.
