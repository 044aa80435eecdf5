# %% [markdown] lang="es"
# # 4 · Entrenar
#
# **Pregunta.** ¿Qué pasa durante el entrenamiento, y puedes fiarte del número que sale?
#
# Primero entrenas con `Trainer` y `peft` a la vista; del curso salen solo los datos, la base y los lotes. Después
# compruebas que `run` hace exactamente lo mismo, y entrenas de verdad.

# %% [markdown] lang="en"
# # 4 · Training
#
# **Question.** What happens during training, and can you trust the number that comes out?
#
# First you train with `Trainer` and `peft` in plain sight; only the data, the base and the batches come from the
# course. Then you check that `run` does exactly the same, and train for real.

# %%
from loralab.lesson import start

LANGUAGE = "es"
profile = start(LANGUAGE)

# %% [markdown] lang="es"
# ## Un experimento pequeño
#
# `but` devuelve el mismo experimento con algunos campos cambiados. Con 64 frases y una época basta para comparar.

# %% [markdown] lang="en"
# ## A small experiment
#
# `but` returns the same experiment with some fields changed. 64 sentences and one epoch are enough for a comparison.

# %%
from loralab.data import load_splits
from loralab.models import load_base, load_tokenizer
from loralab.tokenization import encode

experiment = profile.experiment("lora")
small = experiment.but(
    train_size=64, validation_size=32, test_size=32, epochs=1, precision="fp32"
)
splits = load_splits(small)
tokenizer = load_tokenizer(small.model)
train = encode(splits.train, tokenizer, small.max_length)
small.identity()

# %% [markdown] lang="es"
# ## La pérdida antes de empezar
#
# La **pérdida** es la entropía cruzada: la media, sobre los ejemplos, de $-\ln p$, donde $p$ es la probabilidad que el
# modelo da a la clase correcta (en nats, por el logaritmo natural). Una cabeza recién creada no sabe nada y reparte
# casi a medias entre dos clases: $-\ln \tfrac{1}{2} = \ln 2 \approx 0{,}693$. Si no empieza cerca de ahí, algo está mal
# montado.

# %% [markdown] lang="en"
# ## The loss before we start
#
# The **loss** is cross-entropy: the mean over the examples of $-\ln p$, where $p$ is the probability that the model
# gives to the right class (in nats, from the natural logarithm). A fresh head knows nothing and splits almost evenly
# between two classes: $-\ln \tfrac{1}{2} = \ln 2 \approx 0.693$. If it does not start near there, something is set up
# wrong.

# %% tags=["nbval-check-output"]
import math

import torch
from transformers import DataCollatorWithPadding

from loralab.messages import number

collate = DataCollatorWithPadding(tokenizer)
with torch.no_grad():
    fresh = load_base(small.model, small.seed).eval()
    first_loss = fresh(**collate(list(train.dataset))).loss.item()
assert abs(first_loss - math.log(2)) < 0.05
print("loss:", number(first_loss, 3), "· ln 2:", number(math.log(2), 3))

# %% [markdown] lang="es"
# ## Con `Trainer`, a la vista
#
# `Trainer` ejecuta el bucle: lote, pérdida, gradiente, paso. El paso lo da AdamW, que además reduce un poco los pesos
# (`weight_decay`). La tasa de aprendizaje sube al principio (`warmup_steps`, aquí una fracción de los pasos) y luego
# baja en línea recta hasta cero. Solo cambiamos una cosa: los lotes, que son los de longitud parecida de la lección 2.

# %% [markdown] lang="en"
# ## With `Trainer`, in plain sight
#
# `Trainer` runs the loop: batch, loss, gradient, step. The step is AdamW's, which also shrinks the weights a little
# (`weight_decay`). The learning rate rises at first (`warmup_steps`, here a share of all steps) and then falls linearly
# to zero. We change one thing only: the batches are those of similar length from lesson 2.

# %%
import tempfile

from peft import LoraConfig, get_peft_model
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from loralab.hardware import detect
from loralab.models import target_modules
from loralab.tokenization import BatchesByLength

base = load_base(small.model, small.seed)
config = LoraConfig(
    task_type="SEQ_CLS",
    r=small.rank,
    lora_alpha=small.alpha,
    target_modules=target_modules(base, "default"),
)
arguments = TrainingArguments(
    output_dir=tempfile.mkdtemp(),
    num_train_epochs=small.epochs,
    per_device_train_batch_size=small.batch_size,
    learning_rate=small.learning_rate,
    weight_decay=small.weight_decay,
    warmup_steps=small.warmup_ratio,
    seed=small.seed,
    logging_steps=1,
    save_strategy="no",
    report_to="none",
    use_cpu=detect().kind == "cpu",
)


# %%
class PlainTrainer(Trainer):
    def get_train_dataloader(self):
        batches = BatchesByLength(train.lengths, small.batch_size, small.seed)
        loader = DataLoader(
            self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator
        )
        return self.accelerator.prepare(loader)


trainer = PlainTrainer(
    model=get_peft_model(base, config),
    args=arguments,
    train_dataset=train.dataset,
    data_collator=collate,
)
trainer.train()
plain_losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

# %% [markdown] lang="es"
# ## Con `run`, lo mismo
#
# `run` recibe el experimento y devuelve su resultado. En una CPU las pérdidas coinciden hasta la última cifra; en una
# GPU, salvo por el redondeo.

# %% [markdown] lang="en"
# ## With `run`, the same
#
# `run` takes the experiment and returns its result. On a CPU the losses agree to the last digit; on a GPU, except for
# rounding.

# %%
from loralab.runner import run

result = run(small)
tolerance = 0 if detect().kind == "cpu" else 1e-3
pairs = zip(plain_losses, result.loss_by_step, strict=True)
assert all(abs(ours - theirs) <= tolerance for ours, theirs in pairs)
print(plain_losses)
print(result.loss_by_step)

# %% [markdown] lang="es"
# ## Ahora de verdad
#
# El experimento del perfil, entero. Tras cada época se mide en validación. El número de épocas está fijado de antemano:
# al test va, una sola vez, el modelo de la última, aunque una anterior tuviera menos pérdida de validación.

# %% [markdown] lang="en"
# ## Now for real
#
# The profile's experiment, in full. After each epoch it is measured on validation. The number of epochs is fixed
# beforehand: the model after the last one is tested, once, even if an earlier epoch had a lower validation loss.

# %%
lora = run(experiment)

# %%
from loralab.figures import loss_curve

loss_curve(lora)

# %% [markdown] lang="es"
# La tabla da la validación después de cada época. La exactitud y la pérdida pueden no ir de la mano: la pérdida castiga
# equivocarse con mucha seguridad. La nota del test no tiene por qué ser la misma: sale de otras frases, y la tasa de
# aprendizaje se eligió con estas.

# %% [markdown] lang="en"
# The table gives validation after each epoch. Accuracy and loss need not go together: the loss punishes being wrong
# with great confidence. The test score need not equal this one: it comes from other sentences, and the learning rate
# was chosen on these.

# %%
import pandas as pd

pd.DataFrame(lora.epochs, index=range(1, experiment.epochs + 1)).round(3)

# %% [markdown] lang="es"
# ## Cuánto ha costado
#
# El entrenamiento y la evaluación se cronometran por separado, en segundos. La memoria máxima va en bytes, y `method`
# dice cómo se midió: `profiler`, con el perfilador de PyTorch en una CPU; `cuda`, con el contador de la propia GPU.

# %% [markdown] lang="en"
# ## What it cost
#
# Training and evaluation are timed separately, in seconds. The peak memory is in bytes, and `method` says how it was
# measured: `profiler`, by PyTorch's profiler on a CPU; `cuda`, by the GPU's own counter.

# %%
from loralab.report import comparison_table

print({name: round(seconds, 1) for name, seconds in lora.seconds.items()})
print(lora.memory)
comparison_table([lora])

# %% [markdown] lang="es"
# ## Nada se entrena dos veces
#
# Un resultado queda en disco con la huella del código, los datos y los pesos que lo produjeron. Pedirlo otra vez lo
# carga. Si algo de eso cambia, el resultado anterior se aparta y el modelo se entrena de nuevo. Si el entrenamiento se
# corta a la mitad, sigue desde la última época completa.

# %% [markdown] lang="en"
# ## Nothing is trained twice
#
# A result stays on disk with the fingerprints of the code, the data and the weights that made it. Asking for it again
# loads it. If any of them changes, the old result is moved aside and the model is trained again. If training is cut off
# halfway, it goes on from the last whole epoch.

# %%
assert run(experiment) == lora

# %% [markdown] lang="es"
# ## Y funciona fuera de esta sesión
#
# Cargamos el adaptador guardado sobre una base recién leída y volvemos a clasificar las 32 primeras frases del test.

# %% [markdown] lang="en"
# ## And it works outside this session
#
# We load the saved adapter onto a freshly read base and classify the first 32 test sentences again.

# %%
from loralab.models import load_trained, predict_texts
from loralab.runner import run_folder

model = load_trained(experiment, run_folder(experiment))
test = load_splits(experiment).test.head(32)
logits = predict_texts(model, tokenizer, list(test["text"]), experiment.max_length)
again = logits.argmax(dim=1).tolist()
differing = sum(a != b for a, b in zip(again, lora.predictions[:32], strict=True))
assert differing <= (0 if detect().kind == "cpu" else 1)

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya
#
# - La pérdida empieza cerca de $\ln 2$, como debe.
# - `run` da, paso a paso, las mismas pérdidas que `Trainer` a la vista.
# - El resultado se puede repetir, cargar y llevar a otro sitio.
#
# Siguiente lección: ¿importa el rango?

# %% [markdown] lang="en"
# ## What you may now claim
#
# - The loss starts near $\ln 2$, as it should.
# - `run` gives, step by step, the same losses as `Trainer` in plain sight.
# - The result can be repeated, loaded and taken elsewhere.
#
# Next lesson: does the rank matter?
