# %% [markdown] lang="es"
# # 6 · Completo frente a LoRA
#
# **Pregunta.** ¿Qué ahorra LoRA aquí, qué cuesta, y con cuánta seguridad lo sabemos?
#
# El mismo modelo, los mismos datos, los mismos lotes en el mismo orden y la misma cabeza inicial. Cambia el método, y
# cada uno con la tasa de aprendizaje que le conviene.

# %% [markdown] lang="en"
# # 6 · Full against LoRA
#
# **Question.** What does LoRA save here, what does it cost, and how sure are we?
#
# The same model, the same data, the same batches in the same order and the same initial head. The method changes, each
# with the learning rate that suits it.

# %%
from loralab.lesson import start

LANGUAGE = "es"
profile = start(LANGUAGE)

# %% [markdown] lang="es"
# ## Qué se compara
#
# Además de los dos métodos, cuatro referencias: la clase mayoritaria, TF-IDF, el modelo congelado con una regresión
# logística sobre la media de sus últimos estados, y entrenar solo la cabeza. Esta última es LoRA sin adaptador: la
# diferencia entre las dos es lo que el adaptador aporta.

# %% [markdown] lang="en"
# ## What is compared
#
# Besides the two methods, four baselines: the majority class, TF-IDF, the frozen model with logistic regression on the
# mean of its last states, and training the head only. The last is LoRA without an adapter: the difference between the
# two is what the adapter brings.

# %%
import pandas as pd

experiments = profile.comparison()
trained = [e for e in experiments if e.method in ("head", "full", "lora")]
pd.DataFrame(
    [{"method": e.method, "learning_rate": e.learning_rate, "epochs": e.epochs, "seed": e.seed} for e in trained]
)

# %% [markdown] lang="es"
# Antes de ejecutar, apuesta: ¿cuántas veces más rápido será LoRA? Una pista: con $N$ parámetros, cada *token* cuesta unas
# $2N$ operaciones hacia delante, $2N$ para propagar el gradiente por las capas y $2N$ para los gradientes de los pesos.
# LoRA se ahorra casi todo lo último: $6N$ frente a $4N$. En operaciones, pues, el techo es 1,5.

# %% [markdown] lang="en"
# Before you run it, bet: how many times faster will LoRA be? A hint: with $N$ parameters, each *token* costs about $2N$
# operations forward, $2N$ to pass the gradient through the layers and $2N$ for the gradients of the weights. LoRA saves
# almost all of the last: $6N$ against $4N$. In operations, then, the ceiling is 1.5.

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
assert lora.parameters["trainable"] == lora.parameters["adapter"] + lora.parameters["head"]

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
# Estas frases no están escritas de antemano: salen de los resultados. Si LoRA hubiera sido más lento, dirían «más
# despacio»; si no se puede saber, lo dicen.

# %% [markdown] lang="en"
# ## What the numbers say
#
# These sentences were not written beforehand: they come from the results. Had LoRA been slower, they would say “slower”;
# where one cannot know, they say so.

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
# The ± covers the luck of the exam, not of the training: with another seed these scores move. And the time was measured
# once, one method after the other, on a machine that may have been doing other things.
#
# ## Where each number comes from

# %%
from loralab.report import provenance_table

provenance_table(results)

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya
#
# - Lo que dicen las frases de arriba, para este modelo, estos datos y esta máquina.
# - Los parámetros entrenables y la memoria no ahorran lo mismo: los pesos congelados y las activaciones siguen ahí.
# - El techo de 1,5 en operaciones es una cuenta; el tiempo real hay que medirlo.

# %% [markdown] lang="en"
# ## What you may now claim
#
# - What the sentences above say, for this model, these data and this machine.
# - Trainable parameters and memory are not saved alike: frozen weights and activations are still there.
# - The ceiling of 1.5 in operations is a sum on paper; real time has to be measured.
