# %% [markdown] lang="es"
# # 2 · Tokens y lotes
#
# **Pregunta.** ¿Qué lee el modelo, y cuánto de lo que calcula se desperdicia?
#
# Un modelo no lee letras, sino números. Aquí sigues una frase desde el texto hasta los *tokens*, y de ahí al lote
# (*batch*, las frases que se procesan de una vez), y mides cuánto de ese lote es relleno.

# %% [markdown] lang="en"
# # 2 · Tokens and batches
#
# **Question.** What does the model read, and how much of what it computes is waste?
#
# A model does not read letters, but numbers. Here you follow a sentence from text to *tokens*, and from there to a
# *batch* (the sentences that are processed at once), and measure how much of that batch is padding.

# %%
from loralab.lesson import start

LANGUAGE = "es"
profile = start(LANGUAGE)

# %% [markdown] lang="es"
# ## De texto a números, y vuelta
#
# El *tokenizador* parte el texto en *tokens*: trozos de un vocabulario fijo, cada uno con su número. Cada modelo tiene
# el suyo; aquí es el del modelo del experimento, que presenta la lección 3. Una palabra rara sale en varios trozos
# (`##` marca uno que continúa la misma palabra). Además añade *tokens* especiales: `[CLS]` al principio, `[SEP]` al
# final.

# %% [markdown] lang="en"
# ## From text to numbers, and back
#
# The *tokenizer* cuts text into *tokens*: pieces from a fixed vocabulary, each with its number. Each model has its own;
# here it is that of the experiment's model, which lesson 3 introduces. A rare word comes out in several pieces (`##`
# marks one that continues the same word). It also adds special *tokens*: `[CLS]` at the start, `[SEP]` at the end.

# %% tags=["nbval-check-output"]
from loralab.models import load_tokenizer

experiment = profile.experiment("lora")
tokenizer = load_tokenizer(experiment.model)
ids = tokenizer("An unfunny, overlong biopic.")["input_ids"]
print(ids)
print(tokenizer.convert_ids_to_tokens(ids))
print(tokenizer.decode(ids))

# %%
assert ids[0] == tokenizer.cls_token_id and ids[-1] == tokenizer.sep_token_id
assert tokenizer.decode(ids, skip_special_tokens=True) == "an unfunny, overlong biopic."

# %% [markdown] lang="es"
# El texto vuelve en minúsculas: este modelo no distingue mayúsculas de minúsculas (*uncased*).
#
# ## Longitudes y recortes
#
# `encode` codifica una partición. Lo que pase de `max_length` se recorta, y `truncated` cuenta cuántas frases han
# perdido algo: un recorte que no se cuenta es un dato que falta sin que lo sepas.

# %% [markdown] lang="en"
# The text comes back in lower case: this model ignores case (*uncased*).
#
# ## Lengths and cuts
#
# `encode` encodes a split. What exceeds `max_length` is cut, and `truncated` counts how many sentences lost something:
# a cut that nobody counts is data missing without your knowing it.

# %%
import numpy as np
import pandas as pd

from loralab.data import load_splits
from loralab.tokenization import encode

splits = load_splits(experiment)
train = encode(splits.train, tokenizer, experiment.max_length)
assert max(train.lengths) <= experiment.max_length
print("truncated:", train.truncated)
pd.Series(train.lengths, name="tokens").describe().round(1)

# %% [markdown] lang="es"
# ## El relleno
#
# Un lote es una tabla, y las filas de una tabla miden lo mismo: las cortas se rellenan (*padding*). Las capas hacen con
# cada *token* de relleno las mismas operaciones que con uno de verdad. ¿Cuánto relleno hay? Depende de hasta dónde se
# rellene:
#
# - hasta un número fijo, 512 o 128;
# - hasta la frase más larga de todo el conjunto;
# - hasta la más larga de cada lote (relleno dinámico);
# - hasta la más larga de cada lote, con lotes de frases de longitud parecida.

# %% [markdown] lang="en"
# ## Padding
#
# A batch is a table, and the rows of a table are equally long: short ones are padded. The layers do the same operations
# on each padding *token* as on a real one. How much *padding* is there? It depends on how far we pad:
#
# - to a fixed number, 512 or 128;
# - to the longest sentence of the whole set;
# - to the longest of each batch (dynamic padding);
# - to the longest of each batch, with batches of sentences of similar length.

# %%
from loralab.figures import padding_bars
from loralab.tokenization import batches_by_length, padding_waste

size = experiment.batch_size
shuffled = np.random.default_rng(0).permutation(len(train.lengths))
random_batches = [shuffled[i : i + size] for i in range(0, len(shuffled), size)]
similar_batches = batches_by_length(train.lengths, size, seed=0, epoch=0)

real = sum(train.lengths)
waste = {}
for fixed in sorted({512, experiment.max_length}, reverse=True):
    waste[str(fixed)] = 1 - real / (len(train.lengths) * fixed)
waste["longest"] = 1 - real / (len(train.lengths) * max(train.lengths))
waste["batch"] = padding_waste(train.lengths, random_batches)
waste["similar"] = padding_waste(train.lengths, similar_batches)
padding_bars(waste)

# %%
assert waste["similar"] < waste["batch"] / 2 < waste["longest"] / 2

# %% [markdown] lang="es"
# ## Lotes que se pueden repetir
#
# Los lotes de longitud parecida tienen que seguir siendo aleatorios, y ser distintos en cada época. A la vez deben
# poder repetirse: si el *fine-tuning* completo y LoRA ven los mismos lotes en el mismo orden, su diferencia no se debe
# a la suerte del orden. Por eso `batches_by_length` es una función pura (mismos argumentos, mismo resultado) de
# longitudes, tamaño de lote, semilla y época.

# %% [markdown] lang="en"
# ## Batches that can be repeated
#
# Batches of similar length still have to be random, and different in each epoch. At the same time they must be
# repeatable: if full *fine-tuning* and LoRA see the same batches in the same order, their difference is not due to the
# luck of the order. So `batches_by_length` is a pure function (same arguments, same result) of lengths, batch size,
# seed and epoch.

# %%
again = batches_by_length(train.lengths, size, seed=0, epoch=0)
next_epoch = batches_by_length(train.lengths, size, seed=0, epoch=1)
assert again == similar_batches
assert next_epoch != similar_batches
assert sorted(row for batch in next_epoch for row in batch) == list(
    range(len(train.lengths))
)

# %% [markdown] lang="es"
# ## ¿Cambia el relleno la respuesta?
#
# No, si se le dice al modelo qué es relleno. Eso hace `attention_mask`: 1 en los *tokens* de verdad, 0 en el relleno.
# La misma frase, sola y rellenada dentro de un lote, tiene que dar los mismos *logits* (las puntuaciones de cada clase
# antes de convertirlas en probabilidades). Tomamos la frase más corta y la más larga; abajo, la forma del lote y los
# *tokens* de verdad de cada una.

# %% [markdown] lang="en"
# ## Does padding change the answer?
#
# No, if the model is told what padding is. That is what `attention_mask` does: 1 on real *tokens*, 0 on padding. The
# same sentence, alone and padded inside a batch, has to give the same *logits* (the scores of each class before they
# are turned into probabilities). We take the shortest and the longest sentence; below, the shape of the batch and the
# real *tokens* of each.

# %%
import torch
from transformers import DataCollatorWithPadding

from loralab.models import load_base

model = load_base(experiment.model, seed=0).eval()
order = np.argsort(train.lengths)
rows = [train.dataset[int(i)] for i in (order[0], order[-1])]
batch = DataCollatorWithPadding(tokenizer)(rows)
print(batch["input_ids"].shape, batch["attention_mask"].sum(dim=1))

# %%
with torch.no_grad():
    alone = model(input_ids=torch.tensor([rows[0]["input_ids"]])).logits[0]
    masked = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
    ).logits[0]
    unmasked = model(input_ids=batch["input_ids"]).logits[0]
assert torch.allclose(alone, masked, atol=1e-5)
assert not torch.allclose(alone, unmasked, atol=1e-3)

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya
#
# - El relleno no cambia la respuesta si hay máscara, pero cuesta las mismas operaciones que los *tokens* de verdad.
# - Rellenar hasta la longitud del lote, con frases de longitud parecida, quita la mayor parte del relleno sin cambiar
#   los *logits* de cada frase, salvo redondeo.
# - Los lotes dependen solo de longitudes, tamaño de lote, semilla y época: dos métodos pueden compararse con los
#   mismos.
#
# Siguiente lección: qué añade LoRA exactamente a una capa.

# %% [markdown] lang="en"
# ## What you may now claim
#
# - Padding does not change the answer if there is a mask, but it costs the same operations as real *tokens*.
# - Padding to the length of the batch, with sentences of similar length, removes most of the padding without changing a
#   sentence's *logits*, except for rounding.
# - Batches depend only on lengths, batch size, seed and epoch: two methods can be compared on the same ones.
#
# Next lesson: what exactly LoRA adds to a layer.
