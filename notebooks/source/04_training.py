# %% [markdown] lang="es"
# # 4 · Entrenar
#
# **Pregunta.** ¿Qué pasa durante el entrenamiento, y puedes fiarte del número que sale?
#
# Primero entrenas con `Trainer` y `peft`, paso a paso; del curso salen solo los datos, la base y los lotes. Después
# compruebas que `run` hace exactamente lo mismo, y entrenas de verdad. Al terminar sabrás:
#
# - predecir la primera pérdida, y sospechar si no sale;
# - reconocer cuatro fallos, tres de ellos sin ningún mensaje de error;
# - elegir la tasa de aprendizaje de cada método con la validación, no con el test;
# - interrumpir un entrenamiento y reanudarlo donde se quedó;
# - examinar un modelo que escribe: perplejidad, y leer lo que contesta;
# - decir cuánto de una nota es suerte del entrenamiento.
#
# Hacen falta las lecciones 2 y 3.

# %% [markdown] lang="en"
# # 4 · Training
#
# **Question.** What happens during training, and can you trust the number that comes out?
#
# First you train with `Trainer` and `peft` in plain sight; only the data, the base and the batches come from the
# course. Then you check that `run` does exactly the same, and train for real. By the end you can:
#
# - predict the first loss, and be suspicious if it is something else;
# - recognise four failures, three of them without any error message;
# - choose each method's learning rate by validation, not by the test;
# - interrupt training and resume where it stopped;
# - examine a model that writes: perplexity, and reading what it answers;
# - say how much of a score is training luck.
#
# You need lessons 2 and 3.

# %%
from loralab import hand_over, start

LANGUAGE = "es"
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)

# %% [markdown] lang="es"
# ## Un experimento pequeño
#
# `but` devuelve el mismo experimento con algunos campos cambiados. Con 64 frases y dos épocas basta para comparar. Esto
# es todo lo que decide el resultado de un entrenamiento (`dropout` es el del adaptador; la base tiene el suyo, y apaga
# neuronas al azar mientras se entrena):

# %% [markdown] lang="en"
# ## A small experiment
#
# `but` returns the same experiment with some fields changed. 64 sentences and two epochs are enough for a comparison.
# This is everything that decides the outcome of a training run (`dropout` is the adapter's; the base has its own, and
# switches neurons off at random while it trains):

# %%
from loralab import load_splits
from loralab.data import label_names
from loralab.train import encode, load_for, load_tokenizer

experiment = profile.experiment("lora")
rows = max(32, len(label_names(experiment.dataset)))
sizes = {"train_size": 2 * rows, "validation_size": rows, "test_size": rows}
plain = {"epochs": 2, "precision": "fp32", "gradient_accumulation_steps": 1}
small = experiment.but(**sizes, **plain)
splits = load_splits(small)
tokenizer = load_tokenizer(small.model)
train = encode(splits.train, tokenizer, small.max_length)
validation = encode(splits.validation, tokenizer, small.max_length)
small.identity()

# %% [markdown] lang="es"
# ## La pérdida antes de empezar
#
# La **pérdida** es la entropía cruzada: la media, sobre los ejemplos, de $-\ln p$, donde $p$ es la probabilidad que el
# modelo da a la clase correcta (en nats, por el logaritmo natural). Si está seguro y acierta, casi 0; si está seguro y
# falla, mucho. Una cabeza recién creada no sabe nada. ¿Qué pérdida tendrá? (Las críticas del curso son de dos clases.)

# %% [markdown] lang="en"
# ## The loss before we start
#
# The **loss** is cross-entropy: the mean over the examples of $-\ln p$, where $p$ is the probability that the model
# gives to the right class (in nats, from the natural logarithm). If it is sure and right, almost 0; if it is sure and
# wrong, a lot. A fresh head knows nothing. What will its loss be? (The course's reviews are of two classes.)

# %%
from loralab import predict

guess_loss = predict("first_loss", None)

# %%
import math

import torch
from transformers import DataCollatorWithPadding

from loralab import detect, number, scientific

collate = DataCollatorWithPadding(tokenizer)
with torch.no_grad():
    fresh = load_for(small).to(detect().kind).eval()
    batch = collate(list(train.dataset)).to(detect().kind)
    first_loss = fresh(**batch).loss.item()
classes = fresh.config.num_labels
assert abs(first_loss - math.log(classes)) < 0.05
guess_loss.compare(first_loss, classes=classes, ln=number(math.log(classes), 3))

# %% [markdown] lang="es"
# Si un entrenamiento no empieza cerca de ahí, algo está mal montado: las etiquetas, la cabeza o la pérdida.
#
# ## Con `Trainer`, paso a paso
#
# `Trainer` ejecuta el bucle que conoces: para cada lote, `loss = model(**batch).loss`, `loss.backward()`,
# `optimizer.step()`, `optimizer.zero_grad()`. El paso lo da AdamW ([Loshchilov y Hutter,
# 2019](https://arxiv.org/abs/1711.05101)). Guarda de cada número un promedio de sus gradientes y otro de sus cuadrados,
# y divide el primero por la raíz del segundo, así que el tamaño del paso no lo pone el gradiente. Además encoge un poco
# los pesos (`weight_decay`). Ese tamaño lo regula la **tasa de aprendizaje**, o **tasa**, para abreviar: sube al
# principio (`warmup_steps`, aquí una fracción de los pasos) y luego baja en línea recta hasta cero. Solo cambiamos una
# cosa, en `get_train_dataloader`: los lotes, que son los de longitud parecida de la lección 2. Lo demás son opciones;
# no hace falta entenderlas todas.

# %% [markdown] lang="en"
# If training does not start near there, something is set up wrong: the labels, the head or the loss.
#
# ## With `Trainer`, in plain sight
#
# `Trainer` runs the loop you know: for each batch, `loss = model(**batch).loss`, `loss.backward()`, `optimizer.step()`,
# `optimizer.zero_grad()`. The step is AdamW's ([Loshchilov and Hutter, 2019](https://arxiv.org/abs/1711.05101)). For
# each number it keeps an average of its gradients and one of their squares, and divides the first by the root of the
# second, so that it is not the gradient that sets the size of the step. It also shrinks the weights a little
# (`weight_decay`). That size is set by the **learning rate**, **rate** for short: it rises at first (`warmup_steps`,
# here a share of all steps) and then falls linearly to zero. We change one thing only, in `get_train_dataloader`: the
# batches are those of similar length from lesson 2. The rest is options; you need not understand them all.

# %%
import tempfile

from peft import LoraConfig, get_peft_model
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from loralab.train import BatchesByLength, head_modules, target_modules


def lora_model():
    base = load_for(small)
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=small.rank,
        lora_alpha=small.alpha,
        lora_dropout=small.dropout,
        target_modules=target_modules(base, small.target_modules),
        modules_to_save=head_modules(base),
    )
    return get_peft_model(base, config)


def arguments(**changes):
    settings = {
        "output_dir": tempfile.mkdtemp(),
        "num_train_epochs": small.epochs,
        "per_device_train_batch_size": small.batch_size,
        "learning_rate": small.learning_rate,
        "weight_decay": small.weight_decay,
        "warmup_steps": small.warmup_ratio,
        "seed": small.seed,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": detect().kind == "cpu",
    }
    return TrainingArguments(**settings | changes)


# %%
from transformers import PrinterCallback


class PlainTrainer(Trainer):
    def get_train_dataloader(self):
        batches = BatchesByLength(train.lengths, small.batch_size, small.seed)
        loader = DataLoader(
            self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator
        )
        return self.accelerator.prepare(loader)


trainer = PlainTrainer(
    model=lora_model(),
    args=arguments(eval_strategy="epoch"),
    train_dataset=train.dataset,
    eval_dataset=validation.dataset,
    data_collator=collate,
)
trainer.remove_callback(PrinterCallback)  # it prints every step's loss
trainer.train()
plain_losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

# %% [markdown] lang="es"
# ## Con `run`, lo mismo
#
# `run` recibe el experimento y devuelve su resultado. En una CPU las pérdidas coinciden hasta la última cifra; en una
# GPU, salvo por el redondeo. No tienen por qué bajar, porque son muy pocos pasos: aquí no se trata de aprender, sino de
# que las dos columnas sean iguales.

# %% [markdown] lang="en"
# ## With `run`, the same
#
# `run` takes the experiment and returns its result. On a CPU the losses agree to the last digit; on a GPU, except for
# rounding. They need not fall, because the steps are very few: the point here is not to learn, but that the two columns
# agree.

# %%
from loralab import run

result = run(small)
tolerance = 0 if detect().kind == "cpu" else 1e-3
pairs = list(zip(plain_losses, result.loss_by_step, strict=True))
assert all(abs(ours - theirs) <= tolerance for ours, theirs in pairs)
pairs

# %% [markdown] lang="es"
# ## Interrumpir y reanudar
#
# En Colab las sesiones se cortan. `run` guarda un punto de control al final de cada época; si algo lo interrumpe, la
# siguiente llamada sigue desde el último que esté entero. Borramos el resultado, desenchufamos en el paso 6 (de 8, con
# lotes de 16) y volvemos a llamar. En una CPU la curva tiene que ser la misma, hasta la última cifra. Y si lo pedimos
# otra vez, se carga: nada se entrena dos veces.

# %% [markdown] lang="en"
# ## Stop and resume
#
# In Colab, sessions get cut off. `run` saves a checkpoint at the end of each epoch; if something interrupts it, the
# next call goes on from the last whole one. We delete the result, pull the plug at step 6 (of 8, with batches of 16),
# and call again. On a CPU the curve has to be the same, to the last digit. And if we ask once more, it is loaded:
# nothing is trained twice.

# %%
import shutil

from transformers import TrainerCallback

from loralab import run_folder


class PullThePlug(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 6:
            raise KeyboardInterrupt


shutil.rmtree(run_folder(small))
try:
    run(small, callbacks=(PullThePlug(),))
except KeyboardInterrupt:
    print("\nKeyboardInterrupt")
resumed = run(small)
pairs = list(zip(resumed.loss_by_step, result.loss_by_step, strict=True))
assert all(abs(ours - theirs) <= tolerance for ours, theirs in pairs)
assert run(small) == resumed  # nothing is trained again

# %% [markdown] lang="es"
# ## Ahora de verdad
#
# Los experimentos del perfil, enteros: LoRA y el *fine-tuning* completo (en adelante, «el completo»), cada uno con su
# tasa. Tras cada época se mide en validación. El número de épocas está fijado de antemano: el examen lo hace, una sola
# vez, el modelo de la última, aunque una anterior tuviera menos pérdida de validación. La primera vez pueden tardar;
# `run` va diciendo cuánto falta.

# %% [markdown] lang="en"
# ## Now for real
#
# The profile's experiments, in full: LoRA and full fine-tuning, each at its own rate. After each epoch it is measured
# on validation. The number of epochs is fixed beforehand: the model after the last one is tested, once, even if an
# earlier epoch had a lower validation loss. The first time may take a while; `run` says how long is left.

# %%
from loralab.show import loss_curves

lora = run(experiment)
full = run(profile.experiment("full"))
loss_curves([full, lora])

# %% [markdown] lang="es"
# Arriba, la pérdida; abajo, la tasa en cada paso: la de los dos métodos sube y baja a la vez, pero a alturas muy
# distintas. La exactitud y la pérdida de validación pueden no ir de la mano: la pérdida castiga equivocarse con mucha
# seguridad.

# %% [markdown] lang="en"
# Above, the loss; below, the rate at each step: that of both methods rises and falls together, but at very different
# heights. Accuracy and validation loss need not go together: the loss punishes being wrong with great confidence.

# %%
import pandas as pd

rows = range(1, experiment.epochs + 1)
tables = {
    result.experiment.method: pd.DataFrame(result.epochs, index=rows)
    for result in (full, lora)
}
pd.concat(tables, names=["", "epoch"]).map(lambda value: number(value, 3))

# %% [markdown] lang="es"
# ## Hazlo mal a propósito: la tasa de otro método
#
# ¿Por qué no usar la misma tasa para los dos? Parece lo justo. LoRA mueve unas pocas matrices, cuyo producto empieza en
# cero; el completo mueve de golpe todos los pesos preentrenados (los que ya traía el modelo). Intercambiamos las tasas.
# ¿Qué exactitud en **validación** tendrá cada uno? (La línea que escribe `run` da también la nota del test, porque todo
# experimento acaba con su examen; aquí no decide nada.)

# %% [markdown] lang="en"
# ## Break it: another method's rate
#
# Why not use the same rate for both? It looks fair. LoRA moves a few matrices, whose product starts at zero; full
# fine-tuning moves all the pretrained weights (those the model came with) at once. We swap the rates. What
# **validation** accuracy will each have? (The line that `run` writes also gives the test score, because every
# experiment ends with its exam; here it decides nothing.)

# %%
low, high = profile.learning_rates["full"], profile.learning_rates["lora"]
print(scientific(low), "↔", scientific(high))
guess_lora = predict("lora_low_rate", None)
guess_full = predict("full_high_rate", None)

# %%
lora_low = run(profile.experiment("lora", learning_rate=low))
full_high = run(profile.experiment("full", learning_rate=high))

# %%
from loralab import percent
from loralab.show import accuracy_against_rate


def final(result):
    return result.epochs[-1]["accuracy"]


def why(wrong, own):
    """What the two messages are filled in with."""
    last = wrong.epochs[-1]
    numbers = {"loss": number(last["loss"], 3), "mcc": number(last["mcc"], 2)}
    chance = {"classes": classes, "ln": number(math.log(classes), 3)}
    return {"own": percent(final(own)), **chance, **numbers}


guess_lora.compare(100 * final(lora_low), **why(lora_low, lora))
print()
guess_full.compare(100 * final(full_high), **why(full_high, full))
accuracy_against_rate([full, full_high, lora, lora_low])

# %% [markdown] lang="es"
# Quien compare los dos métodos con una sola tasa elige al ganador al elegir la tasa. La solución es buscar la de cada
# uno, con el mismo esfuerzo y **en validación**. Las tasas del perfil `cpu` se buscaron así, con los datos del curso:
# un barrido por factores de dos, hasta que la mejor no fue ni la más baja ni la más alta de las probadas
# (`profiles.toml`). En otros modelos se ha visto que la de LoRA es unas diez veces la del completo ([Schulman et al.,
# 2025](https://thinkingmachines.ai/blog/lora/)). La celda da la proporción de este perfil.

# %% [markdown] lang="en"
# Whoever compares the two methods at one rate chooses the winner by choosing the rate. The fix is to search for each
# one's own, with equal effort and **on validation**. The rates of the `cpu` profile were found like this, on the
# course's data: a sweep by factors of two, until the best was neither the lowest nor the highest tried
# (`profiles.toml`). In other models LoRA's has been found to be about ten times that of full fine-tuning ([Schulman et
# al., 2025](https://thinkingmachines.ai/blog/lora/)). The cell gives this profile's ratio.

# %%
ratio = high / low
assert profile.experiment("lora").learning_rate == high
print("LoRA / full:", number(ratio, 0), "×")

# %% [markdown] lang="es"
# ## Cuánto ha costado
#
# El entrenamiento y la evaluación se cronometran por separado. La memoria máxima se mide con el perfilador de PyTorch
# en una CPU (`profiler`), o con el contador de la propia GPU (`cuda`). En la lección 6 discutimos qué se puede concluir
# de estos números; aquí solo se apuntan. (Un MiB son $2^{20}$ bytes, un 5 % más que un MB.)

# %% [markdown] lang="en"
# ## What it cost
#
# Training and evaluation are timed separately. The peak memory is measured by PyTorch's profiler on a CPU (`profiler`),
# or by the GPU's own counter (`cuda`). Lesson 6 discusses what may be concluded from these numbers; here they are only
# noted down. (A MiB is $2^{20}$ bytes, 5% more than a MB.)

# %%
from loralab.show import comparison_table

print(lora.memory)
comparison_table([full, lora])

# %% [markdown] lang="es"
# ## La suerte del entrenamiento
#
# ¿No coincide la nota del test con la de validación? Puede ser suerte: validación tiene menos frases, así que su ± es
# mayor. Y si con ella se eligió la tasa, su nota sale hinchada (lección 5). Una fuga no es: la lección 1 comprobó que
# no comparten frases. La nota que cuenta es la del test.
#
# Queda otra suerte. La semilla decide los números al azar de la cabeza y de $A$, el orden de los lotes y el *dropout*.
# Nada de eso es mérito del modelo. Entrenamos LoRA con todas las semillas del perfil. ¿En qué porcentaje de las frases
# del test darán respuestas distintas los modelos de las dos primeras?

# %% [markdown] lang="en"
# ## Training luck
#
# Does the test score differ from the validation score? It may be luck: validation has fewer sentences, so its ± is
# larger. And if the rate was chosen on it, its score comes out inflated (lesson 5). A leak it is not: lesson 1 checked
# that they share no sentence. The score that counts is the test's.
#
# Another kind of luck remains. The seed decides the random numbers of the head and of $A$, the order of the batches and
# the dropout. None of that is the model's merit. We train LoRA with all the profile's seeds. On what percentage of the
# test sentences will the models of the first two give different answers?

# %%
guess_seeds = predict("seed_disagreement", None)

# %%
seeds = [run(experiment.but(seed=seed)) for seed in profile.seeds]

# %%
from loralab import message
from loralab.show import who_is_right

picture = None
if len(seeds) == 1:
    print(message("one_seed_only"))
else:
    first, second = seeds[:2]
    pairs = zip(first.predictions, second.predictions, strict=True)
    apart = [a != b for a, b in pairs]
    guess_seeds.compare(
        100 * sum(apart) / len(apart),
        first=percent(first.test["accuracy"]),
        second=percent(second.test["accuracy"]),
    )
    names = [f"{message('seed')} {run.experiment.seed}" for run in (first, second)]
    picture = who_is_right(first, second, names)
picture

# %% [markdown] lang="es"
# Dos notas casi iguales pueden esconder dos modelos que se equivocan en sitios distintos. Si hay varias semillas, la
# nota se mueve lo que ves abajo; pero son pocas para saber cuánto puede moverse, y falta la suerte del examen. De eso
# tratan las dos lecciones que quedan.

# %% [markdown] lang="en"
# Two scores that are almost equal can hide two models that err in different places. If there are several seeds, the
# score moves by what you see below; but they are too few to know how far it can move, and exam luck is still missing.
# That is what the two remaining lessons are about.

# %%
scores = [result.test["accuracy"] for result in seeds]
print(" · ".join(percent(score) for score in scores))
if len(scores) > 1:
    print(number(100 * (max(scores) - min(scores)), 1), message("unit_points"))

# %% [markdown] lang="es"
# ## La otra tarea, con la misma llamada
#
# Un modelo que contesta, como el de don Quijote, se entrena igual: un experimento y `run`. Cambia cómo se examina. La
# pérdida es ahora la media de $-\ln p$ sobre los *tokens* de las respuestas del test, y la **perplejidad** es su
# exponencial: entre cuántos *tokens* igual de probables duda el modelo en cada paso, de media. Un modelo que no supiera
# nada dudaría entre todos los del vocabulario. ¿Cuánto valdrá en la base, que ha leído mucho pero nunca ha visto estas
# respuestas? ¿Y después de entrenar con LoRA?

# %% [markdown] lang="en"
# ## The other task, with the same call
#
# A model that answers, as Don Quixote's does, is trained the same way: an experiment and `run`. What changes is the
# exam. The loss is now the mean of $-\ln p$ over the tokens of the test's answers, and **perplexity** is its
# exponential: how many equally likely tokens the model hesitates between at each step, on average. A model that knew
# nothing would hesitate between all those of the vocabulary. How much will it be for the base, which has read a great
# deal but has never seen these answers? And after training with LoRA?

# %%
persona = profile.generation
chosen = persona.experiment("lora")
guess_base = predict("base_perplexity", None)
guess_persona = predict("lora_perplexity", None)

# %% [markdown] lang="es"
# La base se examina dos veces: tal cual, y con tres preguntas contestadas delante (*few-shot*). Con eso no se entrena
# nada, y es lo primero que habría que probar.

# %% [markdown] lang="en"
# The base is examined twice: as it is, and with three answered questions put before the one it is asked (*few-shot*).
# That trains nothing, and is the first thing that one should try.

# %%
from transformers import AutoConfig

from loralab.data import locate

retrieval = run(persona.experiment("retrieval"))
base, shots = run(persona.experiment("base")), run(persona.experiment("few-shot"))
spoken = run(chosen)
for result in (base, shots, spoken):
    assert math.isclose(result.test["perplexity"], math.exp(result.test["loss"]))
vocabulary = AutoConfig.from_pretrained(locate(chosen.model)).vocab_size
guess_base.compare(base.test["perplexity"], vocabulary=number(vocabulary, 0))
print()
guess_persona.compare(
    spoken.test["perplexity"],
    base=number(base.test["perplexity"], 1),
    shots=number(shots.test["perplexity"], 1),
    fall=percent(1 - spoken.test["perplexity"] / base.test["perplexity"], 0),
)

# %%
loss_curves([spoken])

# %% [markdown] lang="es"
# La perplejidad no es una segunda medida: es la pérdida, en otra escala. Y ninguna de las dos dice si la respuesta es
# buena. Para eso hay que leer. Estas son las primeras preguntas del test (diez, si las hay), que el modelo no ha
# estudiado (de las del curso, ni el tema), y lo que contesta cada uno eligiendo siempre el *token* más probable
# (**decodificación voraz**, *greedy*). La esquina de la tabla dice cuántos *tokens* tiene una respuesta como mucho: si
# alguna se corta a media frase, es por eso. Al lado, la copia de la lección 1.

# %% [markdown] lang="en"
# Perplexity is not a second measure: it is the loss, on another scale. And neither says whether an answer is good. For
# that one has to read. These are the test's first questions (ten, if there are so many), which the model has not
# studied (of the course's, not even the topic), and what each answers by always taking the most likely token (**greedy
# decoding**). The table's corner says how many tokens an answer has at most: if one stops in mid-sentence, that is why.
# Beside them, the copy of lesson 1.

# %%
from loralab.show import samples_table

pd.set_option("display.max_colwidth", None)
samples_table([retrieval, base, shots, spoken])

# %% [markdown] lang="es"
# ¿Se reconoce la voz? ¿Contesta a la pregunta? Son dos cosas distintas, y una puede llegar sin la otra. La tabla da
# cuatro medidas más. **chrF** compara con la respuesta escrita. `distinct-1` y `distinct-2` son el número de palabras
# distintas, y de parejas distintas, entre el total ([Li et al., 2016](https://aclanthology.org/N16-1014/)): si son
# bajos, el modelo se repite. La **copia más larga** es la mayor racha de palabras que ya estaba en una respuesta de
# entrenamiento: si es mucho más larga que la de la base, el modelo no contesta: recuerda.

# %% [markdown] lang="en"
# Is the voice recognisable? Does it answer the question? Those are two things, and either can come without the other.
# The table gives four more measures. **chrF** compares with the written answer. `distinct-1` and `distinct-2` are the
# number of different words, and of different pairs, over all of them ([Li et al.,
# 2016](https://aclanthology.org/N16-1014/)): if they are low, the model repeats itself. The **longest copy** is the
# longest run of words that stood in a training answer already: if it is much longer than the base's, the model does not
# answer: it remembers.

# %%
comparison_table([retrieval, base, shots, spoken]).drop(message("other_loss"))

# %% [markdown] lang="es"
# **Cada *token* pesa lo mismo.** Dos respuestas: una de 2 *tokens*, con pérdida media 4,0, y otra de 20, con pérdida
# media 1,0. La media por filas es 2,5; la media por *tokens*, 1,27. ¿Cuál es la pérdida? La segunda: si no, una
# respuesta corta pesaría como una larga, y el resultado dependería de cómo se formen los lotes. Con acumulación pasa lo
# mismo, y por eso `run` divide entre los *tokens* del paso entero. La celda hace las dos medias con el test: por filas
# y, tras la flecha, por *tokens*, que es la de la tabla.

# %% [markdown] lang="en"
# **Each token weighs the same.** Two answers: one of 2 tokens, with mean loss 4.0, and one of 20, with mean loss 1.0.
# The mean over rows is 2.5; the mean over tokens, 1.27. Which is the loss? The second: otherwise a short answer would
# weigh as much as a long one, and the result would depend on how batches are made. The same happens with accumulation,
# and so `run` divides by the tokens of the whole step. The cell takes both means on the test: over rows and, after the
# arrow, over tokens, which is the one in the table.

# %%
nats, tokens = pd.Series(spoken.answer_nats), pd.Series(spoken.answer_tokens)
assert round((2 * 4 + 20 * 1) / 22, 2) == 1.27
assert math.isclose(nats.sum() / tokens.sum(), spoken.test["loss"])
print(number((nats / tokens).mean(), 3), "→", number(nats.sum() / tokens.sum(), 3))

# %% [markdown] lang="es"
# ## La receta original, cronometrada
#
# El experimento `original` rellena todo hasta su `max_length` y entrena con todo. ¿Por cuánto se multiplica el tiempo
# de un paso, con los mismos ejemplos? Medimos por turnos la pasada hacia delante y hacia atrás de dos ejemplos, sin el
# optimizador. Las demás diferencias están en la tabla. Solo hemos medido dos: esta y los *tokens* que se juzgan
# (lección 2). De su tasa, su *dropout* y sus épocas no afirmamos nada.

# %% [markdown] lang="en"
# ## The original recipe, timed
#
# The experiment `original` pads everything to its `max_length` and trains on everything. How many times as long as a
# step of ours will one of its steps take, on the same examples? We time in turns the forward and backward pass of two
# examples, without the optimizer. The other differences are in the table. We have measured only two: this one and the
# tokens judged (lesson 2). About its rate, its dropout and its epochs we claim nothing.

# %%
original = persona.variant("original")
print(original.max_length)
guess_cost = predict("original_cost", None)

# %%
import time

from accelerate.utils import send_to_device

from loralab.train import apply_method, encode_pairs, load_for, objective_of

chat = load_tokenizer(chosen.model)
limit = min(chosen.max_length or original.max_length, original.max_length)
talk = encode_pairs(load_splits(chosen).train.head(2), chat, limit)
racer = apply_method(load_for(chosen), chosen).to(detect().kind)


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


step(chosen)  # the first sets things up: not timed
turns = [(step(original), step(chosen)) for _ in range(3)]
slower = sorted(theirs[0] / ours[0] for theirs, ours in turns)
guess_cost.compare(slower[1], tokens=number(turns[0][0][1] / turns[0][1][1], 1))
ours, theirs = chosen.identity(), original.identity()
fields = [name for name in ours if ours[name] != theirs[name]]
recipes = {"original": theirs, "lora": ours}
pd.DataFrame(recipes).loc[fields].astype(str)

# %% [markdown] lang="es"
# ## Hazlo mal a propósito: tres fallos más
#
# Los dos modelos ya están entrenados. Volvemos al clasificador: estos tres fallos te esperan en tus propios proyectos;
# nada de lo que sigue los usa, así que puedes dejarlos para otro día.
#
# **1. Las métricas desaparecen.** `Trainer` averigua cómo se llaman las etiquetas leyendo la firma de `forward`. En un
# `PeftModel` mira dentro; si lo envuelves tú, no mira, y no calcula ni pérdida ni métricas. Nadie avisa. El arreglo:
# decirlo con `label_names`.

# %% [markdown] lang="en"
# ## Break it: three more failures
#
# Both models are trained. Back to the classifier: these three failures await you in your own projects; nothing later
# uses them, so you can leave them for another day.
#
# **1. The metrics vanish.** `Trainer` finds out what the labels are called by reading the signature of `forward`. In a
# `PeftModel` it looks inside; if you wrap the model yourself it does not, and then it computes neither loss nor
# metrics. Nobody says so. The fix: name them with `label_names`.

# %%
from torch import nn


class Wrapped(nn.Module):
    """A PeftModel in a wrapper, as one writes it to log something, say."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, **inputs):
        return self.model(**inputs)


def accuracy(output):
    right = output.predictions.argmax(axis=1) == output.label_ids
    return {"accuracy": right.mean()}


def measured(model, **changes):
    trainer = Trainer(
        model=model,
        args=arguments(**changes),
        eval_dataset=validation.dataset,
        data_collator=collate,
        compute_metrics=accuracy,
    )
    trainer.remove_callback(PrinterCallback)
    scores = trainer.evaluate()
    return sorted(set(scores) & {"eval_loss", "eval_accuracy"})


# %%
print("PeftModel           ", measured(lora_model()))
keep = {"remove_unused_columns": False}  # the wrapper's signature names no column
print("Wrapped             ", measured(Wrapped(lora_model()), **keep))
named = measured(Wrapped(lora_model()), label_names=["labels"], **keep)
print("Wrapped, label_names", named)
assert measured(Wrapped(lora_model()), **keep) == []
assert named == ["eval_accuracy", "eval_loss"]

# %% [markdown] lang="es"
# **2. La acumulación multiplica el gradiente.** Si un lote de 16 no cabe en memoria, se procesan 4 de 4 y se
# **acumulan** sus gradientes: el paso debería ser el mismo. Con un clasificador no lo es. `Trainer` cree que el modelo
# divide la pérdida entre los ejemplos de los 4 lotes, y el modelo no lo hace; el gradiente sale 4 veces mayor. AdamW lo
# disimula, porque divide cada gradiente por su tamaño habitual; pero `Trainer` recorta los gradientes grandes
# (`max_grad_norm`), y con un optimizador más sencillo el paso sería 4 veces mayor. Medimos su norma (la raíz de la suma
# de los cuadrados) en el primer paso, sin *dropout*, que no dejaría comparar.

# %% [markdown] lang="en"
# **2. Accumulation multiplies the gradient.** If a batch of 16 does not fit into memory, one processes 4 of 4 and
# **accumulates** their gradients: the step should be the same. With a classifier it is not. `Trainer` believes that the
# model divides the loss by the examples of all 4 batches, and the model does not; the gradient comes out 4 times too
# large. AdamW hides it, because it divides each gradient by its usual size; but `Trainer` clips large gradients
# (`max_grad_norm`), and with a simpler optimizer the step would be 4 times too large. We measure its norm (the root of
# the sum of squares) at the first step, without dropout, which would spoil the comparison.


# %%
def gradient_norm(batch_size, steps, mend=False):
    model = lora_model()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    settings = arguments(
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=steps,
        max_steps=1,
    )
    trainer = Trainer(
        model=model,
        args=settings,
        train_dataset=train.dataset.select(range(16)),
        data_collator=collate,
    )
    trainer.remove_callback(PrinterCallback)
    if mend:
        trainer.model_accepts_loss_kwargs = False
    trainer.train()
    return trainer.state.log_history[0]["grad_norm"]


one_batch = gradient_norm(16, 1)
accumulated, mended = gradient_norm(4, 4), gradient_norm(4, 4, mend=True)
print(
    "4 × 4 / 16:", round(accumulated / one_batch, 4), "→", round(mended / one_batch, 4)
)
assert abs(accumulated / one_batch - 4) < 0.01
assert abs(mended / one_batch - 1) < 0.01

# %% [markdown] lang="es"
# Una línea lo arregla: decirle a `Trainer` que el modelo no divide (`model_accepts_loss_kwargs = False`). El paquete
# calcula su propia pérdida, ya dividida, y así acierta también con lotes desiguales.
#
# **3. Pesos en media precisión.** En una GPU se entrena más deprisa con números de 16 bits. La tentación es convertir
# el modelo entero a `float16`. Justo por debajo de 1, entre un `float16` y el siguiente hay casi media milésima: un
# paso de menos de la mitad de eso no mueve el peso.

# %% [markdown] lang="en"
# One line fixes it: telling `Trainer` that the model does not divide (`model_accepts_loss_kwargs = False`). The package
# computes its own loss, already divided, and so is right for uneven batches too.
#
# **3. Weights in half precision.** On a GPU, training is faster with 16-bit numbers. The temptation is to turn the
# whole model into `float16`. Just below 1, neighbouring `float16` numbers are almost half a thousandth apart: a step of
# less than half of that does not move the weight.

# %% tags=["nbval-check-output"]
for kind in (torch.float16, torch.bfloat16, torch.float32):
    weight = torch.ones(1, dtype=kind)
    for _ in range(1000):
        weight -= 1e-4
    print(kind, "1 − 1000 × 0.0001 =", weight.item())
    assert (weight.item() == 1) == (kind != torch.float32)

# %% [markdown] lang="es"
# Mil pasos de una diezmilésima deberían dejar el peso en 0,9; en media precisión (16 bits) sigue en 1. Por eso existe
# la **precisión mixta**: los pesos se guardan en `float32`, y solo las operaciones se hacen en 16 bits. Para que los
# gradientes pequeños no se queden en cero, un `GradScaler` multiplica la pérdida por un número grande y, después,
# divide los gradientes por ese número; si encuentra pesos en `float16`, se niega. Aquí lo vemos en la CPU, con una sola
# capa; en la GPU es igual.

# %% [markdown] lang="en"
# A thousand steps of a ten-thousandth should leave the weight at 0.9; in half precision (16 bits) it is still 1. Hence
# **mixed precision**: weights are kept in `float32`, and only the operations are done in 16 bits. So that small
# gradients do not become zero, a `GradScaler` multiplies the loss by a large number and later divides the gradients by
# that number; if it finds weights in `float16`, it refuses. We see it here on the CPU, with a single layer; on the GPU
# it is the same.


# %%
def scaled_step(layer, kind):
    """One step of mixed precision on a CPU; returns the layer's precision."""
    optimizer = torch.optim.AdamW(layer.parameters())
    scaler = torch.amp.GradScaler("cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(torch.ones(3, 4, dtype=kind)).float()
    scaler.scale(output.sum()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    return layer.weight.dtype


try:
    scaled_step(nn.Linear(4, 2).half(), torch.float16)
    raise AssertionError("half-precision weights were accepted")
except ValueError as error:
    print("float16:", error)
assert scaled_step(nn.Linear(4, 2), torch.float32) == torch.float32

# %% [markdown] lang="es"
# ## Pruébalo tú: fuera del curso
#
# El adaptador no necesita este paquete para nada. Estas líneas, con `transformers` y `peft`, lo cargan sobre la base y
# clasifican lo que escribas. `my_text` es la primera frase del test: cámbiala por una tuya, parecida a las que el
# modelo ha leído (las críticas del curso están en inglés). La línea de `set_verbosity_error` silencia el aviso de que
# la base no trae cabeza: la pone el adaptador, y los nombres de las clases, su configuración. `softmax` convierte los
# *logits* en probabilidades que suman 1; la respuesta es la clase de la mayor. ¿Estás de acuerdo? Busca una frase en la
# que falle.

# %% [markdown] lang="en"
# ## Try it yourself: outside the course
#
# The adapter does not need this package at all. These lines, with `transformers` and `peft`, load it onto the base and
# classify what you write. `my_text` is the test's first sentence: change it for one of yours, like those that the model
# has read (the course's reviews are in English). The line with `set_verbosity_error` silences the notice that the base
# has no head: the adapter brings it, and its configuration the names of the classes. `softmax` turns the logits into
# probabilities that add up to 1; the answer is the class of the largest. Do you agree? Look for a sentence that it gets
# wrong.

# %%
import transformers
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

test = load_splits(experiment).test
columns = [name for name in ("text", "text_pair") if name in test]
my_text = test["text"].iloc[0]  # or one of yours, in quotes

base_folder = locate(experiment.model)
adapter_folder = run_folder(experiment) / "adapter"
my_config = AutoConfig.from_pretrained(adapter_folder)
transformers.logging.set_verbosity_error()


def load_classifier(folder):
    base = AutoModelForSequenceClassification.from_pretrained(
        base_folder, config=my_config
    )
    return PeftModel.from_pretrained(base, folder).eval()


classifier = load_classifier(adapter_folder)
my_tokenizer = AutoTokenizer.from_pretrained(adapter_folder)
my_batch = my_tokenizer(my_text, truncation=True, return_tensors="pt")
with torch.no_grad():
    shares = torch.softmax(classifier(**my_batch).logits, dim=1)[0].tolist()
print(my_text)
for label, name in my_config.id2label.items():
    print(f"{name}: {percent(shares[label])}")

# %% [markdown] lang="es"
# Guárdalo donde quieras, y vuelve a cargarlo. ¿Es el mismo modelo que se examinó? Clasificamos con la copia las 32
# primeras frases del test y comparamos con las respuestas guardadas.

# %% [markdown] lang="en"
# Save it wherever you like, and load it again. Is it the model that was examined? We classify the first 32 test
# sentences with the copy and compare with the answers on file.

# %%
my_folder = tempfile.mkdtemp()  # or any folder of yours
# False: the vocabulary is the base's; left to itself, peft asks the hub about it.
classifier.save_pretrained(my_folder, save_embedding_layers=False)
copy = load_classifier(my_folder)

some = [list(test[name].head(32)) for name in columns]
limit = {"truncation": True, "max_length": experiment.max_length}
batch = my_tokenizer(*some, padding=True, return_tensors="pt", **limit)
with torch.no_grad():
    again = copy(**batch).logits.argmax(dim=1).tolist()
differing = sum(a != b for a, b in zip(again, lora.predictions[:32], strict=True))
assert differing <= (0 if detect().kind == "cpu" else 1)

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - La pérdida empieza cerca de $\ln k$, si hay $k$ clases, como debe; `run` da, paso a paso, las mismas pérdidas que
#   `Trainer` paso a paso, también si se interrumpe.
# - Cada método pide su propia tasa, y se elige en validación. Con la del otro, la comparación no vale.
# - Una nota lleva dentro dos suertes: la del examen (lección 1) y la del entrenamiento.
# - Cuánto cambia la perplejidad con don Quijote lo dice la celda; que la respuesta sea buena solo se ve leyendo.
# - El resultado se puede repetir, cargar y llevar a otro sitio con diez líneas.
#
# Siguiente lección: ¿importa el rango?

# %% [markdown] lang="en"
# ## What you may now claim, and on what evidence
#
# - The loss starts near $\ln k$, for $k$ classes, as it should; `run` gives, step by step, the same losses as `Trainer`
#   in plain sight, even when interrupted.
# - Each method asks for a rate of its own, and it is chosen on validation. At the other's, the comparison is void.
# - A score holds two kinds of luck: exam luck (lesson 1) and training luck.
# - How far the perplexity on Don Quixote changes, the cell says; whether an answer is good shows only in the reading.
# - The result can be repeated, loaded and taken elsewhere in ten lines.
#
# Next lesson: does the rank matter?

# %% [markdown] lang="es"
# ## Ejercicios
#
# Escribe tu respuesta en lugar de `...` o de `None` y ejecuta la celda: `check` te dice si es correcta y, si no, qué
# error has cometido. Puedes intentarlo tantas veces como quieras. Antes de calcular, haz la predicción que pide cada
# ejercicio, aunque sea a ojo. Si no dicen otra cosa, se hacen con los modelos y los datos de tu perfil. Los que
# entrenan dicen cuántos entrenamientos son; `run` carga los que ya estén hechos.

# %% [markdown] lang="en"
# ## Exercises
#
# Write your answer in place of `...` or `None` and run the cell: `check` tells you whether it is right and, if not,
# which mistake you have made. Try as often as you like. Before you compute, make the prediction that each exercise asks
# for, if only by eye. Unless they say otherwise, they work with your profile's models and data. Those that train say
# how many runs it takes; `run` loads the ones already done.

# %% [markdown] lang="es"
# ### Tres clases
#
# A dos clases, «favorable» y «desfavorable», les añades una tercera: «ni una cosa ni la otra». La base es la misma, con
# una cabeza nueva de tres salidas. ¿Cuánto valdrá, más o menos, la pérdida antes del primer paso, en nats?
#
# **Predice.** ¿Será mayor o menor que con dos clases? Quien sabe por dónde tiene que empezar la pérdida descubre un
# montaje equivocado antes de gastar en él una hora de GPU.

# %% [markdown] lang="en"
# ### Three classes
#
# To two classes, “favourable” and “unfavourable”, you add a third: “neither”. The base is the same, with a fresh head
# of three outputs. About how large will the loss be before the first step, in nats?
#
# **Predict.** Larger or smaller than with two classes? Whoever knows where the loss has to start finds a faulty set-up
# before spending an hour of GPU time on it.

# %% exercise="first_loss_three"
import math

from loralab import check

loss = None
### BEGIN SOLUTION
loss = math.log(3)
### END SOLUTION

check("first_loss_three", loss)

# %% [markdown] lang="es"
# ### RoBERTa, sin descargarla
#
# `roberta-base` tiene 12 bloques, y sus matrices de consulta y de valor son de 768 × 768. Vas a poner LoRA en las dos,
# con $r = 16$. Calcula con la fórmula de la lección 3 cuántos parámetros añade a una matriz (`matrix`), a un bloque
# (`block`) y al modelo entero (`adapter`), sin la cabeza. Después cuéntalos (`counted`): pon LoRA en `model` con
# `get_peft_model` y suma los parámetros que llevan `lora_` en el nombre. La celda crea el modelo a partir de su
# configuración en el dispositivo `meta`, que apunta los tamaños y no guarda ningún peso.
#
# **Predice.** ¿Qué tendrá más parámetros, el adaptador o la cabeza, que en RoBERTa es de dos capas?

# %% [markdown] lang="en"
# ### RoBERTa, without downloading it
#
# `roberta-base` has 12 blocks, and its query and value matrices are 768 × 768. You are going to put LoRA on both, with
# $r = 16$. Work out with lesson 3's formula how many parameters it adds to one matrix (`matrix`), to a block (`block`)
# and to the whole model (`adapter`), without the head. Then count them (`counted`): put LoRA on `model` with
# `get_peft_model` and add up the parameters with `lora_` in their name. The cell makes the model from its configuration
# on the `meta` device, which records sizes and keeps no weights.
#
# **Predict.** Which will have more parameters, the adapter or the head, which in RoBERTa is of two layers?

# %% exercise="roberta_adapter"
import peft
import torch
from transformers import RobertaConfig, RobertaForSequenceClassification

from loralab import check

with torch.device("meta"):
    model = RobertaForSequenceClassification(RobertaConfig(num_labels=2))

matrix = block = adapter = None  # by the formula
counted = None  # in peft's model
### BEGIN SOLUTION
matrix = 16 * (768 + 768)
block = 2 * matrix
adapter = 12 * block
modules = ["query", "value"]
config = peft.LoraConfig(task_type="SEQ_CLS", r=16, target_modules=modules)
with torch.device("meta"):
    tuned = peft.get_peft_model(model, config)
counted = sum(p.numel() for name, p in tuned.named_parameters() if "lora_" in name)
### END SOLUTION

check("roberta_adapter", matrix, block, adapter, counted)

# %% [markdown] lang="es"
# ### Otro modelo
#
# ¿Sirve la misma receta para otro modelo? Entrena LoRA en cada uno de los de `MODELS`, con todo lo demás como en el
# perfil: los mismos datos, el mismo rango, la misma tasa, la misma semilla. Guarda en `results` el resultado de cada
# modelo, y en `adapters` los parámetros de su adaptador según la fórmula, sin la cabeza. MiniLM tiene 6 bloques de 384;
# `bert-base-uncased` y `roberta-base`, 12 de 768. LoRA va en consulta y valor; cómo se llaman en cada arquitectura lo
# sabe `run`.
#
# Sin conexión, deja `MODELS` como está: en el perfil `cpu` es el entrenamiento de la lección, y `run` lo carga. Con
# conexión, y mejor con una GPU, pon `MODELS = ["bert-base-uncased", "roberta-base"]`: un entrenamiento por modelo. Ten
# cuidado con lo que concluyes: la tasa es la del modelo del perfil, y puede no convenir a los otros.
#
# **Predice.** BERT tiene casi cinco veces los parámetros de MiniLM. ¿Será también casi cinco veces mayor su adaptador?
# ¿Y cuántos puntos más acertará?

# %% [markdown] lang="en"
# ### Another model
#
# Does the same recipe do for another model? Train LoRA on each of `MODELS`, with everything else as in the profile: the
# same data, the same rank, the same rate, the same seed. Put each model's result into `results`, and the parameters of
# its adapter by the formula, without the head, into `adapters`. MiniLM has 6 blocks of 384; `bert-base-uncased` and
# `roberta-base`, 12 of 768. LoRA goes on query and value; what they are called in each architecture, `run` knows.
#
# Offline, leave `MODELS` as it is: in the `cpu` profile it is the lesson's run, and `run` loads it. Online, and better
# with a GPU, set `MODELS = ["bert-base-uncased", "roberta-base"]`: one run for each model. Be careful what you
# conclude: the rate is that of the profile's model, and may not suit the others.
#
# **Predict.** BERT has almost five times as many parameters as MiniLM. Will its adapter be almost five times as large,
# too? And how many points more will it score?

# %% exercise="another_model"
from loralab import check, run

MODELS = ["minilm-l6"]  # online: ["bert-base-uncased", "roberta-base"]
adapters = None  # {model: parameters of its adapter, by the formula}
results = None  # {model: its result}
### BEGIN SOLUTION
shapes = {"minilm-l6": (6, 384)}  # blocks, width
shapes |= dict.fromkeys(["bert-base-uncased", "roberta-base"], (12, 768))
adapters, results = {}, {}
for name in MODELS:
    chosen = profile.experiment("lora", model=name)
    blocks, width = shapes[name]
    adapters[name] = blocks * 2 * chosen.rank * (width + width)
    results[name] = run(chosen)
### END SOLUTION

check("another_model", profile, MODELS, adapters, results)

# %% [markdown] lang="es"
# ### Dos textos en una fila
#
# Hay tareas en las que cada ejemplo son dos textos: ¿dicen lo mismo?, ¿se deduce uno del otro? Escribe `encode_pair`,
# que recibe un tokenizador y los dos textos y devuelve los `input_ids` de la única fila que leerá el modelo. `check` la
# prueba con dos tokenizadores pequeños, uno que separa los textos como BERT y otro que los separa como RoBERTa, y no lo
# hacen igual.
#
# **Predice.** Si unes los dos textos con un espacio, ¿qué deja de saber el modelo?

# %% [markdown] lang="en"
# ### Two texts in a row
#
# There are tasks in which each example is two texts: do they say the same? does one follow from the other? Write
# `encode_pair`, which takes a tokenizer and the two texts and returns the `input_ids` of the one row that the model
# will read. `check` tries it with two small tokenizers, one that sets texts apart as BERT does and one that does so as
# RoBERTa does, and they do not do it alike.
#
# **Predict.** If you join the two texts with a space, what does the model no longer know?

# %% exercise="pair_encoding"
from loralab import check


def encode_pair(tokenizer, first, second):
    """The ids, with their special tokens, of one row that holds both texts."""
    ### BEGIN SOLUTION
    return tokenizer(first, second)["input_ids"]
    ### END SOLUTION


check("pair_encoding", encode_pair)

# %% [markdown] lang="es"
# ### Tres tareas, cada una con su medida
#
# GLUE ([Wang et al., 2019](https://arxiv.org/abs/1804.07461)) reúne tareas de clasificación y fija cómo se mide cada
# una. `sst2` (¿es favorable esta crítica?) se mide con la exactitud; `mrpc` (¿dicen lo mismo estas dos frases?), con
# F1; `cola` (¿es gramatical esta frase?), con MCC. Sin conexión las sustituyen tres conjuntos de datos del curso, con
# las mismas medidas y en el mismo orden: `amazon-reviews`; `film-pairs` (¿es más favorable la primera crítica que la
# segunda?); y `tweets`, en los que abundan los favorables. Con conexión, pon `DATASETS = ["sst2", "mrpc", "cola"]`.
#
# Para cada uno, con los tamaños de `SIZES` y lo demás como en el perfil, entrena LoRA y examina también la clase
# mayoritaria (el método `majority`). En `results` van los dos resultados, primero el de LoRA. En `table`, tres valores:
# el nombre de la medida, que da `metric_of`; la nota de LoRA en test, y la de la clase mayoritaria, ambas con esa
# medida y sin pasarlas a porcentaje. Son tres entrenamientos.
#
# GLUE no publica las etiquetas de su test: todas valen −1. Por eso el curso examina con la validación de GLUE, y la
# suya la aparta de los datos de entrenamiento.
#
# **Predice.** ¿En cuál de las tres sacará mejor nota la clase mayoritaria, que no lee nada? ¿Y en cuál no puede sacar
# más que un cero?

# %% [markdown] lang="en"
# ### Three tasks, each with its own measure
#
# GLUE ([Wang et al., 2019](https://arxiv.org/abs/1804.07461)) gathers classification tasks and fixes how each is
# measured. `sst2` (is this review favourable?) is measured by accuracy; `mrpc` (do these two sentences say the same?),
# by F1; `cola` (is this sentence grammatical?), by MCC. Offline, three data sets of the course stand in for them, with
# the same measures and in the same order: `amazon-reviews`; `film-pairs` (is the first review more favourable than the
# second?); and `tweets`, most of which are favourable. Online, set `DATASETS = ["sst2", "mrpc", "cola"]`.
#
# For each, with the sizes in `SIZES` and the rest as in the profile, train LoRA and examine the majority class too (the
# method `majority`). Both results go into `results`, LoRA's first. Into `table` go three values: the name of the
# measure, which `metric_of` gives; LoRA's score on the test; and that of the majority class, both by that measure and
# not turned into percentages. It takes three runs.
#
# GLUE does not publish its test labels: all of them are −1. So the course examines on GLUE's validation split, and
# takes its own from the training data.
#
# **Predict.** In which of the three will the majority class, which reads nothing, score best? And in which can it score
# no more than zero?

# %% exercise="glue_study"
from loralab import check, run
from loralab.lessons import metric_of

DATASETS = ["amazon-reviews", "film-pairs", "tweets"]
SIZES = {"train_size": 1000, "validation_size": 200, "test_size": 300}
if profile.settings["test_size"] < 100:  # a profile for tests, or few rows
    SIZES = {"train_size": 64, "validation_size": 32, "test_size": 64}

results = None  # {dataset: (LoRA's result, the majority's)}
table = None  # {dataset: (measure, LoRA's score, the majority's)}
### BEGIN SOLUTION
results, table = {}, {}
for name in DATASETS:
    methods = ("lora", "majority")
    both = [run(profile.experiment(m, dataset=name, **SIZES)) for m in methods]
    measure = metric_of(name)
    results[name] = both
    table[name] = (measure, *(result.test[measure] for result in both))
### END SOLUTION

check("glue_study", profile, SIZES, DATASETS, results, table)
