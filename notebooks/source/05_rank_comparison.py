# %% [markdown] lang="es"
# # 5 · ¿Qué rango?
#
# **Pregunta.** ¿Ayuda aquí un rango más alto, o solo lo parece?
#
# Entrenas LoRA con varios rangos, con los mismos datos, lotes y épocas, y decides qué se puede decir con un examen de
# este tamaño.

# %% [markdown] lang="en"
# # 5 · Which rank?
#
# **Question.** Does a higher rank help here, or does it only look as if it did?
#
# You train LoRA with several ranks, with the same data, batches and epochs, and decide what an exam of this size allows
# you to say.

# %%
from loralab.lesson import start

LANGUAGE = "es"
profile = start(LANGUAGE)

# %% [markdown] lang="es"
# ## La regla de la escala
#
# La actualización es $\frac{\alpha}{r} BA$. Si cambias $r$ y mantienes $\alpha$, cambia también el factor. Es una
# decisión, y hay que decirla: aquí **$\alpha$ es fija**. La tasa de aprendizaje tampoco cambia: se eligió con $r = 8$,
# y eso puede favorecerlo.

# %% [markdown] lang="en"
# ## The scale rule
#
# The update is $\frac{\alpha}{r} BA$. If you change $r$ and keep $\alpha$, the factor changes too. That is a choice,
# and has to be stated: here **$\alpha$ is fixed**. Neither does the learning rate change: it was chosen at $r = 8$,
# which may favour it.

# %% tags=["nbval-check-output"]
import pandas as pd

experiments = profile.rank_comparison()
pd.DataFrame(
    [
        {"r": e.rank, "alpha": e.alpha, "alpha/r": e.scale, "seed": e.seed}
        for e in experiments
    ]
)

# %% [markdown] lang="es"
# Aquí usamos el test para describir los rangos, no para elegir uno; para elegir se miraría la validación. Antes de
# seguir, escribe tu apuesta: ¿qué rango acertará más en el test, y por cuántos puntos?
#
# ## Entrenar cada rango

# %% [markdown] lang="en"
# Here we use the test to describe the ranks, not to choose one; to choose, you would look at validation. Before you go
# on, write down your bet: which rank will score highest on the test, and by how many points?
#
# ## Train each rank

# %%
from loralab.runner import run_all

results = run_all(experiments)

# %%
from loralab.report import comparison_table

comparison_table(results)

# %% [markdown] lang="es"
# Los parámetros del adaptador son proporcionales al rango; la cabeza es siempre la misma.

# %% [markdown] lang="en"
# The adapter's parameters are proportional to the rank; the head is always the same.

# %%
assert (
    len({result.parameters["adapter"] / result.experiment.rank for result in results})
    == 1
)
assert len({result.parameters["head"] for result in results}) == 1

# %% [markdown] lang="es"
# ## ¿Quién gana?
#
# Cada punto es un entrenamiento. La barra es el ± de la lección 1, puesto alrededor de la nota obtenida: en el 95 % de
# los exámenes como este, una barra así contendría la nota verdadera del modelo. El veredicto del título compara cada
# rango con el primero **en las mismas frases**: solo cuentan aquellas en las que uno acierta y el otro falla, y por eso
# afina más que mirar si las barras se tocan.

# %% [markdown] lang="en"
# ## Who wins?
#
# Each dot is a training run. The bar is lesson 1's ±, drawn around the score obtained: in 95% of exams like this one,
# such a bar would contain the model's true score. The verdict in the title compares each rank with the first **on the
# same sentences**: only those count that one gets right and the other wrong, which is sharper than checking whether the
# bars touch.

# %%
from loralab.figures import accuracy_against_rank
from loralab.report import rank_verdict

accuracy_against_rank(results, rank_verdict(results))

# %%
from IPython.display import Markdown

from loralab.report import compare_accuracy

pairs = [(other, results[0]) for other in results[1:]]
Markdown("\n".join(f"- {compare_accuracy(*pair)}" for pair in pairs))

# %% [markdown] lang="es"
# Cuidado con lo que la barra no cubre: otra semilla habría dado otras notas. Con una semilla por rango, una diferencia
# fuera de la barra sigue pudiendo ser suerte del entrenamiento. Además, la nota del mejor de varios tiende a exagerar
# lo que vale; y cuantas más comparaciones se hacen, más fácil es que alguna se salga de la barra por azar.
#
# ¿Y fuera de aquí? En el artículo de LoRA, GPT-3 con LoRA en *query* y *value* alcanza en WikiSQL (preguntas que hay
# que pasar a SQL) una exactitud de validación de 73,4; 73,3; 73,7; 73,8 y 73,5 % con $r$ = 1, 2, 4, 8 y 64. Solo en
# *query* sí se nota: 68,8; 69,6; 70,5; 70,4 y 70,0 %. La desviación típica de una semilla a otra es de unos 0,5 puntos,
# y eso no es nuestro ± ([Hu et al., 2021](https://arxiv.org/abs/2106.09685), tablas 5 y 6).

# %% [markdown] lang="en"
# Mind what the bar does not cover: another seed would have given other scores. With one seed per rank, a difference
# outside the bar may still be luck of the training. Besides, the best of several tends to score above its true level;
# and the more comparisons, the likelier that one falls outside the bar by chance.
#
# And elsewhere? In the LoRA paper, GPT-3 with LoRA on *query* and *value* reaches a validation accuracy on WikiSQL
# (questions to be turned into SQL) of 73.4, 73.3, 73.7, 73.8 and 73.5% with $r$ = 1, 2, 4, 8 and 64. On *query* alone
# rank does show: 68.8, 69.6, 70.5, 70.4 and 70.0%. The standard deviation from seed to seed is about 0.5 points, which
# is not our ± ([Hu et al., 2021](https://arxiv.org/abs/2106.09685), tables 5 and 6).

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya
#
# - Lo que dice el título de la figura, con su regla de escala, en este examen y con estas semillas. Nada más.
# - Doblar el rango dobla el adaptador: eso no depende de la suerte.
#
# Siguiente lección: el *fine-tuning* completo, por fin, al lado de LoRA.

# %% [markdown] lang="en"
# ## What you may now claim
#
# - What the figure's title says, with its scale rule, on this exam and with these seeds. Nothing more.
# - Doubling the rank doubles the adapter: that owes nothing to luck.
#
# Next lesson: full *fine-tuning*, at last, beside LoRA.
