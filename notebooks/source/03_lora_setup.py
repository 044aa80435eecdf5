# %% [markdown] lang="es"
# # 3 · LoRA desde cero
#
# **Pregunta.** ¿Qué añade LoRA exactamente a una capa, y cómo lo sabemos?
#
# LoRA (*low-rank adaptation*, [Hu et al., 2021](https://arxiv.org/abs/2106.09685)) no toca los pesos $W$ de una capa.
# Les suma el producto de dos matrices pequeñas:
#
# $$W' = W + \frac{\alpha}{r} B A, \qquad A \in \mathbb{R}^{r \times d_{in}}, \quad B \in \mathbb{R}^{d_{out} \times r}$$
#
# $d_{in}$ y $d_{out}$ son los tamaños de entrada y de salida de la capa. El **rango** $r$ es pequeño (8, por ejemplo) y
# $\alpha$ regula cuánto pesa lo que se suma. Solo se entrenan $A$ y $B$. Al terminar sabrás:
#
# - escribir LoRA en una docena de líneas, y demostrar que es lo mismo que hace la biblioteca `peft`;
# - deducir por qué aprende;
# - contar sus parámetros a mano;
# - guardarlo, cargarlo, cambiarlo y fusionarlo, y ver cómo se rompe cada cosa.
#
# Hace falta saber multiplicar matrices y haber visto un `nn.Module` de PyTorch.

# %% [markdown] lang="en"
# # 3 · LoRA from scratch
#
# **Question.** What exactly does LoRA add to a layer, and how do we know?
#
# LoRA (*low-rank adaptation*, [Hu et al., 2021](https://arxiv.org/abs/2106.09685)) leaves a layer's weights $W$ alone.
# It adds the product of two small matrices to them:
#
# $$W' = W + \frac{\alpha}{r} B A, \qquad A \in \mathbb{R}^{r \times d_{in}}, \quad B \in \mathbb{R}^{d_{out} \times r}$$
#
# $d_{in}$ and $d_{out}$ are the layer's input and output sizes. The **rank** $r$ is small (8, say) and $\alpha$ sets
# how much the added term weighs. Only $A$ and $B$ are trained. By the end you can:
#
# - write LoRA in a dozen lines, and prove that it is what the library `peft` does;
# - derive why it learns;
# - count its parameters by hand;
# - save, load, switch and merge it, and see how each of these breaks.
#
# You need to know how matrices are multiplied, and to have seen PyTorch's `nn.Module`.

# %%
from loralab import hand_over, start

LANGUAGE = "es"
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)

# %% [markdown] lang="es"
# ## Una capa de verdad
#
# Cargamos MiniLM ([Wang et al., 2020](https://arxiv.org/abs/2002.10957); la nuestra conserva seis de sus doce bloques y
# se siguió entrenando para representar frases), que es un *transformer*. Por dentro, una tabla (*embeddings*) cambia
# cada *token* por un vector de 384 números. Seis **bloques** iguales, uno tras otro, corrigen esos vectores: cada uno
# deja que los *tokens* se miren entre sí (**atención**) y luego transforma cada vector por su cuenta. Al final, una
# **cabeza**, que ponemos nueva, lee el vector de `[CLS]` y da dos números, los *logits*. (Entre los dos hay una capa
# más, el `pooler`, que en este modelo nadie entrenó: sus números son los del azar. Para el curso es parte de lo nuevo,
# como la cabeza: se entrena con cualquier método.) En la atención, tres capas lineales sacan de cada vector una
# consulta (*query*, lo que busca), una clave (*key*, lo que ofrece) y un valor (*value*, lo que entrega); cada *token*
# recibe la suma de los valores, ponderados según cuánto se parecen su consulta y cada clave. Miramos la capa que
# calcula las consultas del primer bloque.

# %% [markdown] lang="en"
# ## A real layer
#
# We load MiniLM ([Wang et al., 2020](https://arxiv.org/abs/2002.10957); ours keeps six of its twelve blocks and was
# trained further to represent sentences), which is a *transformer*. Inside, a table (*embeddings*) turns each token
# into a vector of 384 numbers. Six equal **blocks**, one after another, revise those vectors: each lets the tokens look
# at each other (**attention**) and then transforms every vector on its own. At the end a **head**, a fresh one of ours,
# reads the vector of `[CLS]` and gives two numbers, the logits. (Between the two there is one more layer, the `pooler`,
# which in this model nobody trained: its numbers are those of chance. To the course it is fresh, as the head is, and
# every method trains it.) In attention, three linear layers take from each vector a *query* (what it seeks), a *key*
# (what it offers) and a *value* (what it hands over); each token receives the sum of the values, weighted by how well
# its query matches each key. We look at the layer that computes the first block's queries.

# %% tags=["nbval-check-output"]
from loralab.data import locate
from loralab.train import load_base

base = load_base("minilm-l6", seed=0).eval()
layer = base.bert.encoder.layer[0].attention.self.query
assert base.bert.pooler.dense.bias.abs().max() == 0  # as it was made: never trained
whole = locate("minilm-l6") / "model.safetensors"
print(layer)
size = sum(parameter.numel() for parameter in base.parameters())
print(size, "× 4 B ≈", round(whole.stat().st_size / 1e6, 1), "MB")

# %% [markdown] lang="es"
# Son unos 91 MB. Al final de la lección guardaremos lo que LoRA ha añadido a la consulta y al valor de los seis
# bloques, con rango 8, junto con la cabeza. ¿Cuánto ocupará? ¿Y cuántos parámetros serán? (La cabeza es una capa de 384
# entradas y 2 salidas, con sus 2 términos independientes. El `pooler` lo dejamos fuera de esta cuenta.)

# %% [markdown] lang="en"
# That is about 91 MB. At the end of the lesson we save what LoRA added to the query and the value of the six blocks,
# with rank 8, together with the head. How much space will it take up? And how many parameters will it be? (The head is
# a layer with 384 inputs and 2 outputs, and its 2 biases. The `pooler` we leave out of this sum.)

# %%
from loralab import predict

guess_size = predict("saved_size", None)
guess_parameters = predict("lora_parameters", None)

# %% [markdown] lang="es"
# ## Antes del primer paso
#
# Otra apuesta. Ponemos LoRA en el modelo sin entrenar nada y le damos dos frases. Salen cuatro *logits* (dos frases,
# dos clases), que valen unas centésimas. ¿Cuánto cambiará, en valor absoluto, el que más cambie?

# %% [markdown] lang="en"
# ## Before the first step
#
# Another bet. We put LoRA on the model without training anything and give it two sentences. Out come four logits (two
# sentences, two classes), of the order of hundredths. How much will the one that changes most change, in absolute
# value?

# %%
guess_change = predict("first_change", None)

# %% [markdown] lang="es"
# ## LoRA en doce líneas
#
# $A$ empieza con números pequeños al azar (`peft` usa otros parecidos) y $B$ con ceros. Las entradas van en filas, así
# que `linear(x, A)` es $xA^\top$: la $Ax$ de la fórmula.

# %% [markdown] lang="en"
# ## LoRA in twelve lines
#
# $A$ starts with small random numbers (`peft` uses similar ones) and $B$ with zeros. Inputs go in rows, so
# `linear(x, A)` is $xA^\top$: the formula's $Ax$.

# %%
import torch
from torch import nn
from torch.nn.functional import linear


class LoRALinear(nn.Module):
    def __init__(self, layer, rank, alpha):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        start = torch.randn(rank, layer.in_features) / layer.in_features**0.5
        self.A = nn.Parameter(start)
        self.B = nn.Parameter(torch.zeros(layer.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x):
        return self.layer(x) + self.scale * linear(linear(x, self.A), self.B)


# %% [markdown] lang="es"
# Lo ponemos en la consulta y el valor de cada bloque, con tres rangos y tres valores de $\alpha$ muy distintos.

# %% [markdown] lang="en"
# We put it on the query and the value of each block, with three very different ranks and values of $\alpha$.

# %%
from loralab.train import load_tokenizer

tokenizer = load_tokenizer("minilm-l6")
sentences = ["A joy from start to finish.", "Dull, and far too long."]
batch = tokenizer(sentences, padding=True, return_tensors="pt")


@torch.no_grad()
def logits(model):
    return model(**batch).logits


def add_lora(model, rank, alpha):
    """LoRA on query and value of each block; the rest frozen, except the head."""
    model.requires_grad_(False)
    model.classifier.requires_grad_(True)
    for block in model.bert.encoder.layer:
        attention = block.attention.self
        attention.query = LoRALinear(attention.query, rank, alpha)
        attention.value = LoRALinear(attention.value, rank, alpha)
    return model


base_logits = logits(base)
for rank, alpha in ((1, 1), (8, 16), (64, 1000)):
    adapted = add_lora(load_base("minilm-l6", seed=0).eval(), rank, alpha)
    assert torch.equal(logits(adapted), base_logits)
guess_change.compare((logits(adapted) - base_logits).abs().max())

# %% [markdown] lang="es"
# ## ¿Y puede aprender, si empieza en cero?
#
# Sean $L$ la **pérdida** (el número que el entrenamiento hace bajar), $y = W'x$ la salida para una entrada $x$,
# $g = \partial L / \partial y$ y $s = \alpha / r$. Subir un poco $B_{ij}$ sube $y_i$ en $s\,(Ax)_j$, y cada unidad de
# $y_i$ sube $L$ en $g_i$. En forma de matriz, $\partial L / \partial B = s\, g (Ax)^\top$. Con $A$ pasa lo mismo, pero
# el cambio atraviesa $B$: $\partial L / \partial A = s\, B^\top g\, x^\top$, que es cero mientras $B$ lo sea. La
# primera no lo es.
#
# Para comprobarlo no hace falta una pérdida de verdad: con $L = \sum y \cdot g$ y $g$ al azar,
# $\partial L / \partial y$ es esa $g$. Con varias entradas, las derivadas se suman.

# %% [markdown] lang="en"
# ## And can it learn, if it starts at zero?
#
# Let $L$ be the **loss** (the number that training brings down), $y = W'x$ the output for an input $x$,
# $g = \partial L / \partial y$ and $s = \alpha / r$. Raising $B_{ij}$ a little raises $y_i$ by $s\,(Ax)_j$, and each
# unit of $y_i$ raises $L$ by $g_i$. As a matrix, $\partial L / \partial B = s\, g (Ax)^\top$. It is the same with $A$,
# except that the change passes through $B$: $\partial L / \partial A = s\, B^\top g\, x^\top$, which is zero as long as
# $B$ is. The first is not.
#
# To check it we need no real loss: with $L = \sum y \cdot g$ for a random $g$, $\partial L / \partial y$ is that $g$.
# With several inputs, the derivatives add up.

# %%
torch.manual_seed(0)
x = torch.randn(5, 384)
lora = LoRALinear(layer, rank=8, alpha=16)
y = lora(x)
g = torch.randn_like(y)
(y * g).sum().backward()
assert torch.all(lora.A.grad == 0)
assert torch.allclose(lora.B.grad, lora.scale * g.T @ linear(x, lora.A), atol=1e-4)

# %% [markdown] lang="es"
# El primer paso mueve solo $B$. En cuanto $B$ deja de ser cero, $A$ tiene gradiente, y desde el segundo paso se mueven
# las dos. Damos un paso con AdamW, el optimizador de todo el curso, sin su reducción de pesos (`weight_decay=0`; con
# ella, $A$ encogería un poco aunque su gradiente fuera cero).

# %% [markdown] lang="en"
# The first step moves only $B$. Once $B$ is no longer zero, $A$ has a gradient, and from the second step on both move.
# We take one step with AdamW, the optimizer of the whole course, without its weight decay (`weight_decay=0`; with it,
# $A$ would shrink a little even though its gradient is zero).

# %%
torch.manual_seed(0)
lora = LoRALinear(layer, rank=8, alpha=16)
(lora(x) * g).sum().backward()
before = {"A": lora.A.detach().clone(), "B": lora.B.detach().clone()}
optimizer = torch.optim.AdamW([lora.A, lora.B], lr=1e-3, weight_decay=0)
optimizer.step()
assert torch.equal(lora.A, before["A"]) and not torch.equal(lora.B, before["B"])

optimizer.zero_grad()
(lora(x) * g).sum().backward()
assert lora.A.grad.abs().max() > 0

# %% [markdown] lang="es"
# **Hazlo mal a propósito.** ¿Por qué no empezar de otra manera? Hay tres alternativas: dos fallan y una sirve.

# %% [markdown] lang="en"
# **Break it.** Why not start in another way? There are three alternatives: two fail and one works.


# %%
def started(a_scale, b_scale):
    """Does it start as the base? Which of A and B have a gradient at the first step?"""
    torch.manual_seed(0)
    lora = LoRALinear(layer, rank=8, alpha=16)
    with torch.no_grad():
        lora.A.normal_().mul_(a_scale)
        lora.B.normal_().mul_(b_scale)
    (lora(x) * g).sum().backward()
    moved = [name for name in "AB" if getattr(lora, name).grad.abs().max() > 0]
    return torch.equal(lora(x), layer(x)), moved


assert started(a_scale=1, b_scale=0) == (True, ["B"])  # LoRA
assert started(a_scale=0, b_scale=0) == (True, [])  # never moves
assert started(a_scale=0, b_scale=1) == (True, ["A"])  # works too
assert started(a_scale=1, b_scale=1) == (False, ["A", "B"])  # spoils the base at once

# %% [markdown] lang="es"
# Con las dos a cero no se mueve nunca. Con las dos al azar, y así de grandes, la salida ya no es la de la base. Poner a
# cero $A$ en lugar de $B$ también sirve para empezar; después no se entrenan igual, y lo habitual, también en `peft`,
# es $B$ ([Hayou et al., 2024](https://arxiv.org/abs/2406.08447)).
#
# ## Contar parámetros
#
# Cada capa añade $r(d_{in} + d_{out})$ números. Tres cuentas de lo mismo: los parámetros que de verdad se entrenan, la
# fórmula a mano y lo que dice `peft`.

# %% [markdown] lang="en"
# With both at zero it never moves. With both random, and this large, the output is no longer the base's. Setting $A$ to
# zero instead of $B$ works as a start too; they do not train alike afterwards, and the usual choice, in `peft` too, is
# $B$ ([Hayou et al., 2024](https://arxiv.org/abs/2406.08447)).
#
# ## Counting parameters
#
# Each layer adds $r(d_{in} + d_{out})$ numbers. Three counts of the same thing: the parameters that are really trained,
# the formula by hand, and what `peft` says.

# %%
from peft import LoraConfig, get_peft_model

from loralab import number

rank, alpha = 8, 16
model = add_lora(load_base("minilm-l6", seed=0).eval(), rank, alpha)
counted = sum(p.numel() for p in model.parameters() if p.requires_grad)
one, head = rank * (384 + 384), 384 * 2 + 2
modules = ["query", "value"]
config = LoraConfig(
    task_type="SEQ_CLS", r=rank, lora_alpha=alpha, target_modules=modules
)
theirs = get_peft_model(load_base("minilm-l6", seed=0), config).eval()
by_peft, total = theirs.get_nb_trainable_parameters()
assert counted == 12 * one + head == by_peft
guess_parameters.compare(counted, one=one, adapter=number(12 * one, 0), head=head)

# %% [markdown] lang="es"
# ¿Qué parte del modelo es eso? Se suele decir que «alrededor del 1 %», pero no es ninguna constante: depende del tamaño
# de la capa, del rango y de la cabeza. Lo contamos en tres arquitecturas sin cargar sus pesos, en el dispositivo
# `meta`, que solo apunta los tamaños.

# %% [markdown] lang="en"
# What share of the model is that? People say “about 1%”, but it is no constant: it depends on the size of the layers,
# on the rank and on the head. We count it in three architectures without loading their weights, on the `meta` device,
# which only records sizes.

# %% tags=["nbval-check-output"]
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
)

from loralab import percent
from loralab.train import count_parameters, target_modules

minilm = AutoConfig.from_pretrained(locate("minilm-l6"))
for name, settings in (
    ("MiniLM-L6", minilm),
    ("DistilBERT", DistilBertConfig()),
    ("BERT-base", BertConfig()),
):
    with torch.device("meta"):
        plain = AutoModelForSequenceClassification.from_config(settings)
        names = target_modules(plain, "default")
        config = LoraConfig(task_type="SEQ_CLS", r=8, target_modules=names)
        sizes = count_parameters(get_peft_model(plain, config))
    share = percent(sizes["trainable"] / sizes["total"], 2)
    print(f"{name:10} {names}", sizes["adapter"], "+", sizes["head"], "→", share)

# %% [markdown] lang="es"
# En DistilBERT la mayor parte de lo que se entrena es la cabeza, que tiene una capa más. Por eso este curso cuenta
# siempre aparte el adaptador y la cabeza.
#
# Los nombres también cambian de una arquitectura a otra: lo que en BERT es `query`, en DistilBERT es `q_lin`. **Hazlo
# mal a propósito:** pide `q_lin` en MiniLM, que es un BERT. `peft` se niega, y el curso dice además qué nombres hay.

# %% [markdown] lang="en"
# In DistilBERT most of what is trained is the head, which has one layer more. That is why this course always counts
# adapter and head apart.
#
# Names change from one architecture to another, too: what is `query` in BERT is `q_lin` in DistilBERT. **Break it:**
# ask for `q_lin` in MiniLM, which is a BERT. `peft` refuses, and the course also says which names there are.

# %%
wrong = LoraConfig(task_type="SEQ_CLS", r=8, target_modules=["q_lin", "v_lin"])
plain = load_base("minilm-l6", seed=0)
for attempt in (
    lambda: get_peft_model(plain, wrong),
    lambda: target_modules(plain, "q_lin"),
):
    try:
        attempt()
        raise AssertionError("q_lin was found")
    except ValueError as error:
        print(str(error).split(". ")[0])
assert target_modules(plain, "default") == ["query", "value"]

# %% [markdown] lang="es"
# Y hay un fallo peor que negarse: si uno de los nombres existe y el otro no, `peft` sigue adelante con la mitad. Con
# `query` y `v_lin` el modelo se entrena, y le falta la mitad del adaptador. Contar los parámetros lo descubre.

# %% [markdown] lang="en"
# And there is a failure worse than refusing: if one of the names exists and the other does not, `peft` goes on with
# half of them. With `query` and `v_lin` the model trains, and lacks half of its adapter. Counting the parameters finds
# it out.

# %%
half = LoraConfig(task_type="SEQ_CLS", r=8, target_modules=["query", "v_lin"])
found = count_parameters(get_peft_model(load_base("minilm-l6", seed=0), half))
assert found["adapter"] == 6 * one != 12 * one
print(found["adapter"], "≠", 12 * one)

# %% [markdown] lang="es"
# ## Por qué «de rango bajo»
#
# $BA$ tiene tantas filas y columnas como $W$, pero está hecha de muy pocos números. El **rango** de una matriz dice
# cuántas de sus filas son de verdad independientes; el de $BA$ no pasa de $r$. Al empezar es 0. Para verlo después de
# entrenar, damos a $B$ valores al azar.

# %% [markdown] lang="en"
# ## Why “low-rank”
#
# $BA$ has as many rows and columns as $W$, but is made of very few numbers. The **rank** of a matrix says how many of
# its rows are really independent; that of $BA$ is at most $r$. At the start it is 0. To see it as it would be after
# training, we give $B$ random values.

# %%
from loralab.lessons import matrices

ours = [module for module in model.modules() if isinstance(module, LoRALinear)]
torch.manual_seed(0)
for mine in ours:
    nn.init.zeros_(mine.B)  # as they start
assert torch.linalg.matrix_rank(ours[0].B @ ours[0].A) == 0
for mine in ours:
    nn.init.normal_(mine.B, std=0.02)
assert torch.linalg.matrix_rank(ours[0].B @ ours[0].A) == 8
assert torch.linalg.matrix_rank(layer.weight) > 300
wide = LoRALinear(base.bert.encoder.layer[0].intermediate.dense, rank, alpha)
assert (wide.B @ wide.A).shape == wide.layer.weight.shape == (1536, 384)
assert wide.A.numel() + wide.B.numel() == rank * (384 + 1536)
matrices(layer.weight, ours[0].B, ours[0].A)

# %% [markdown] lang="es"
# Por eso ahorra, y por eso el ahorro se acaba: $r(d_{in} + d_{out})$ crece con $r$. ¿Con qué rango tendrán $A$ y $B$
# juntas tantos números como $W$, que es de 384×384? (En una capa de 384×1536, con
# $384 \cdot 1536 / (384 + 1536) = 307{,}2$.)

# %% [markdown] lang="en"
# That is why it saves, and why the saving ends: $r(d_{in} + d_{out})$ grows with $r$. At which rank do $A$ and $B$
# together hold as many numbers as $W$, which is 384×384? (In a 384×1536 layer, at
# $384 \cdot 1536 / (384 + 1536) = 307.2$.)

# %%
guess_rank = predict("even_rank", None)

# %%
from peft import inject_adapter_in_model

from loralab.lessons import parameters_against_rank


def count_by_peft(rank):
    settings = LoraConfig(r=rank, target_modules=["0"])
    adapted = inject_adapter_in_model(settings, nn.Sequential(nn.Linear(384, 384)))
    return sum(p.numel() for name, p in adapted.named_parameters() if "lora_" in name)


counts = {rank: count_by_peft(rank) for rank in (1, 8, 32, 64, 128, 192, 256)}
assert all(count == rank * (384 + 384) for rank, count in counts.items())
guess_rank.compare(384 * 384 / (384 + 384))
parameters_against_rank(counts, 384, 384)

# %% [markdown] lang="es"
# ## La escala
#
# El factor es $s = \alpha / r$. Doblar $\alpha$ dobla lo que se suma; doblar $r$ con la misma $\alpha$ reduce $s$ a la
# mitad.

# %% [markdown] lang="en"
# ## The scale
#
# The factor is $s = \alpha / r$. Doubling $\alpha$ doubles what is added; doubling $r$ with the same $\alpha$ halves
# $s$.


# %%
def added(lora):
    return lora(x) - lora.layer(x)


double = LoRALinear(layer, rank=8, alpha=32)
double.load_state_dict(ours[0].state_dict())
assert torch.allclose(added(double), 2 * added(ours[0]), atol=1e-5)
assert LoRALinear(layer, rank=16, alpha=16).scale == ours[0].scale / 2

# %% [markdown] lang="es"
# **Hazlo mal a propósito.** El error más frecuente al escribir LoRA a mano es olvidar el $1/r$. El código funciona, el
# modelo aprende, y con $r = 8$ cada suma es ocho veces mayor de lo que $\alpha$ promete. No hay mensaje de error. Lo
# que lo descubre es compararlo con `peft`: damos a los dos las mismas $A$ y $B$, y los *logits* no coinciden.

# %% [markdown] lang="en"
# **Break it.** The most frequent mistake in writing LoRA by hand is to forget the $1/r$. The code runs, the model
# learns, and at $r = 8$ each addition is eight times larger than $\alpha$ promises. There is no error message. What
# finds it out is a comparison with `peft`: we give both the same $A$ and $B$, and the logits do not agree.

# %%
peers = [module for module in theirs.modules() if hasattr(module, "lora_A")]
with torch.no_grad():
    for mine, peer in zip(ours, peers, strict=True):
        peer.lora_A["default"].weight.copy_(mine.A)
        peer.lora_B["default"].weight.copy_(mine.B)

for mine in ours:
    mine.scale = alpha  # without the 1/r
print("s = α:  ", number((logits(model) - logits(theirs)).abs().max().item(), 4))
assert not torch.allclose(logits(model), logits(theirs), atol=1e-3)

# %% [markdown] lang="es"
# Con el $1/r$ en su sitio coinciden hasta el último bit. Es la prueba de que nuestras doce líneas y `peft` son lo
# mismo.

# %% [markdown] lang="en"
# With the $1/r$ in its place they agree to the last bit. That is the proof that our twelve lines and `peft` are the
# same thing.

# %%
for mine in ours:
    mine.scale = alpha / rank
print("s = α/r:", number((logits(model) - logits(theirs)).abs().max().item(), 4))
assert torch.equal(logits(model), logits(theirs))
assert not torch.equal(logits(theirs), base_logits)

# %% [markdown] lang="es"
# ## $A$ y $B$ no son únicas
#
# Con cualquier matriz invertible $M$, $(BM)(M^{-1}A) = BA$. Dos adaptadores pueden ser el mismo y tener números
# distintos. Por eso promediar las $A$ y las $B$ de dos entrenamientos no es promediar lo que aprendieron.

# %% [markdown] lang="en"
# ## $A$ and $B$ are not unique
#
# For any invertible matrix $M$, $(BM)(M^{-1}A) = BA$. Two adapters can be the same and hold different numbers. So
# averaging the $A$s and $B$s of two training runs is not averaging what they learnt.

# %%
a, b = ours[0].A.double(), ours[0].B.double()
torch.manual_seed(1)
m = torch.randn(rank, rank).double()
assert torch.allclose((b @ m) @ (m.inverse() @ a), b @ a)
average = (b + b @ m) / 2 @ ((a + m.inverse() @ a) / 2)
assert not torch.allclose(average, b @ a, rtol=0.1)

# %% [markdown] lang="es"
# ## Guardar y cargar
#
# Las $A$ y las $B$ forman el **adaptador**, y `peft` guarda con él la cabeza. El modelo base no se toca. Cargamos sobre
# una base con *otra* cabeza (`seed=1`): si las respuestas coinciden, es que la cabeza también se guardó.

# %% [markdown] lang="en"
# ## Save and load
#
# The $A$s and $B$s make up the **adapter**, and `peft` saves the head along with it. The base model is left alone. We
# load onto a base with *another* head (`seed=1`): if the answers agree, the head was saved too.

# %%
import tempfile
from pathlib import Path

from peft import PeftModel

folder = Path(tempfile.mkdtemp())
theirs.save_pretrained(folder / "first")
saved = (folder / "first" / "adapter_model.safetensors").stat().st_size
whole_size = number(whole.stat().st_size / 1e6, 1)
guess_size.compare(saved / 1e6, parameters=number(counted, 0), whole=whole_size)

other = load_base("minilm-l6", seed=1)
reloaded = PeftModel.from_pretrained(
    other, folder / "first", adapter_name="first"
).eval()
assert torch.equal(logits(reloaded), logits(theirs))

# %% [markdown] lang="es"
# **Hazlo mal a propósito.** `peft` sabe que hay una cabeza porque le dijimos la tarea, `task_type="SEQ_CLS"`. Sin ella
# congela la cabeza al azar que le des, no la guarda, y al cargar en otro sitio te encuentras con otra distinta. De
# nuevo, ningún error.

# %% [markdown] lang="en"
# **Break it.** `peft` knows that there is a head because we told it the task, `task_type="SEQ_CLS"`. Without it, it
# freezes whatever random head you give it, does not save it, and when you load elsewhere you meet a different one.
# Again, no error.

# %%
no_task = LoraConfig(r=rank, lora_alpha=alpha, target_modules=modules)
forgetful = get_peft_model(load_base("minilm-l6", seed=0), no_task).eval()
print(forgetful.get_nb_trainable_parameters()[0], "≠", counted)
forgetful.save_pretrained(folder / "forgetful")
elsewhere = PeftModel.from_pretrained(
    load_base("minilm-l6", seed=1), folder / "forgetful"
).eval()
print(logits(forgetful), logits(elsewhere), sep="\n")
assert not torch.allclose(logits(elsewhere), logits(forgetful), atol=1e-3)

# %% [markdown] lang="es"
# Se arregla diciendo la tarea, o nombrando lo que además hay que entrenar y guardar (`modules_to_save`), que es lo que
# hace el curso: vale para cualquier cabeza, y para lo que nadie haya entrenado, como aquí el `pooler`.

# %% [markdown] lang="en"
# The fix is to name the task, or to name what else has to be trained and saved (`modules_to_save`), which is what the
# course does: it works for any head, and for whatever nobody has trained, here the `pooler`.

# %%
fresh = ["classifier", "bert.pooler"]
mended = LoraConfig(
    r=rank, lora_alpha=alpha, target_modules=modules, modules_to_save=fresh
)
careful = get_peft_model(load_base("minilm-l6", seed=0), mended).eval()
pooler = 384 * 384 + 384
assert count_parameters(careful)["trainable"] == counted + pooler
careful.save_pretrained(folder / "careful")
elsewhere = PeftModel.from_pretrained(
    load_base("minilm-l6", seed=1), folder / "careful"
).eval()
assert torch.equal(logits(elsewhere), logits(careful))

# %% [markdown] lang="es"
# ## Cambiar, apagar, fusionar
#
# Sobre una misma base caben varios adaptadores, y se cambia de uno a otro sin volver a cargarla. Para tener un segundo
# sin entrenarlo, cambiamos el signo de $B$. Y con `disable_adapter` queda la base, tal como era (con la cabeza que
# `peft` apartó).

# %% [markdown] lang="en"
# ## Switch, turn off, merge
#
# One base holds several adapters, and we switch from one to another without loading it again. To have a second one
# without training it, we change the sign of $B$. And `disable_adapter` leaves the base as it was (with the head that
# `peft` put aside).


# %%
@torch.no_grad()
def change_sign():
    for peer in peers:
        peer.lora_B["default"].weight.mul_(-1)


first_answer = logits(theirs)
change_sign()
second_answer = logits(theirs)
theirs.save_pretrained(folder / "second")
change_sign()  # and back

reloaded.load_adapter(folder / "second", adapter_name="second")
reloaded.set_adapter("second")
assert torch.equal(logits(reloaded), second_answer)
reloaded.set_adapter("first")
assert torch.equal(logits(reloaded), first_answer)
with theirs.disable_adapter():
    assert torch.equal(logits(theirs), base_logits)

# %% [markdown] lang="es"
# Y se puede **fusionar** (*merge*): se calcula $W + \frac{\alpha}{r} B A$ una vez y queda un modelo corriente, sin
# ningún módulo de más. Así, usarlo cuesta lo mismo que usar la base: LoRA no hace el modelo más rápido ni más lento. El
# modelo fusionado coincide con el anterior salvo por el redondeo, porque las sumas van en otro orden.

# %% [markdown] lang="en"
# And it can be **merged**: $W + \frac{\alpha}{r} B A$ is computed once and a plain model is left, without any extra
# module. Using it then costs what using the base costs: LoRA makes the model neither faster nor slower. The merged
# model agrees with the previous one except for rounding, because the sums are done in another order.

# %%
again = PeftModel.from_pretrained(load_base("minilm-l6", seed=1), folder / "first")
merged = again.merge_and_unload().eval()
assert not any("lora" in name for name, _ in merged.named_modules())
assert torch.allclose(logits(merged), first_answer, atol=1e-5)

# %% [markdown] lang="es"
# **Hazlo mal a propósito.** Fusionar en media precisión (números de 16 bits, y no de 32) pierde parte de lo aprendido.
# Un `bfloat16` guarda dos o tres cifras; si a un peso le sumas algo cien veces menor, una parte se pierde en el
# redondeo; si es mil veces menor, la mayor parte. Lo medimos con $\Delta W = \frac{\alpha}{r}BA$ de varios tamaños
# respecto a $W$ ($|\cdot|$ es la norma: la raíz de la suma de los cuadrados). Cada línea da el error de la fusión, en
# porcentaje de $|\Delta W|$. La solución es fusionar en `float32` y convertir, si hace falta, al final; o no fusionar.

# %% [markdown] lang="en"
# **Break it.** Merging in half precision (numbers of 16 bits, not 32) loses part of what was learnt. A `bfloat16` keeps
# two or three digits; if you add something a hundred times smaller to a weight, part of it is lost in the rounding; a
# thousand times smaller, most of it. We measure it with $\Delta W = \frac{\alpha}{r}BA$ of several sizes relative to
# $W$ ($|\cdot|$ is the norm: the root of the sum of squares). Each line gives the error of the merge, as a percentage
# of $|\Delta W|$. The fix is to merge in `float32` and convert, if need be, at the end; or not to merge.

# %% tags=["nbval-check-output"]
weight, update = layer.weight.detach(), (ours[0].B @ ours[0].A).detach()
weight = weight.bfloat16().float()  # a base that came in half precision
for size in (0.1, 0.01, 0.001):
    delta = update * (size * weight.norm() / update.norm())
    kept = (weight + delta).bfloat16().float() - weight
    lost = ((kept - delta).norm() / delta.norm()).item()
    exact = (((weight + delta) - weight - delta).norm() / delta.norm()).item()
    print(
        f"|ΔW| / |W| = {percent(size)}: bf16 {percent(lost, 0)}, fp32 {percent(exact, 2)}"
    )
    assert exact < lost / 100

# %% [markdown] lang="es"
# ## Lo que hará el paquete
#
# En adelante no escribirás esto a mano: `apply_method` aplica el método del experimento, con `peft`. Tiene que dar las
# mismas cuentas, con el `pooler` sumado a la cabeza (`head`).

# %% [markdown] lang="en"
# ## What the package will do
#
# From now on you will not write this by hand: `apply_method` applies the experiment's method, with `peft`. It has to
# give the same counts, with the `pooler` added to the head (`head`).

# %% tags=["nbval-check-output"]
from loralab.train import apply_method

usual = {"target_modules": "default", "dropout": 0.0, "rank": rank, "alpha": alpha}
experiment = profile.experiment("lora", model="minilm-l6", **usual)
parameters = count_parameters(apply_method(load_base("minilm-l6", seed=0), experiment))
assert parameters["trainable"] == counted + pooler
parameters

# %% [markdown] lang="es"
# ## El mismo LoRA, en un modelo que escribe
#
# El modelo que contestará como don Quijote en una CPU, SmolLM2, es un **decodificador** de la familia de Llama: en cada
# posición ve solo lo anterior. Tiene siete capas lineales por bloque: cuatro de atención (`q_proj`, `k_proj`, `v_proj`,
# `o_proj`) y tres más (`gate_proj`, `up_proj`, `down_proj`). La receta original las adapta todas, con $r = 16$, y
# partía de Gemma 3, mucho mayor. Para contar sus parámetros no hay que cargarla: basta su configuración, en el
# dispositivo `meta`.

# %% [markdown] lang="en"
# ## The same LoRA, in a model that writes
#
# The model that will answer as Don Quixote on a CPU, SmolLM2, is a **decoder** of the Llama family: at each position it
# sees only what came before. It has seven linear layers per block: four of attention (`q_proj`, `k_proj`, `v_proj`,
# `o_proj`) and three more (`gate_proj`, `up_proj`, `down_proj`). The original recipe adapts them all, with $r = 16$,
# and started from Gemma 3, which is far larger. To count its parameters there is no need to load it: its configuration
# is enough, on the `meta` device.

# %% tags=["nbval-check-output"]
import pandas as pd

from loralab import load_profile
from loralab.train import empty_model


def lora_sizes(experiment):
    """What LoRA trains of a model, which is counted without its weights."""
    found = count_parameters(apply_method(empty_model(experiment), experiment))
    return found | {"%": round(100 * found["trainable"] / found["total"], 2)}


persona = load_profile("cpu").generation.experiment("lora")
gemma = load_profile("large").generation.experiment("lora")
decoders = {chosen.model: lora_sizes(chosen) for chosen in (persona, gemma)}
assert decoders[persona.model]["adapter"] == 4_884_480
pd.DataFrame(decoders, dtype=object).T

# %% [markdown] lang="es"
# No hay cabeza nueva que entrenar: el modelo escribe con la misma tabla con la que lee (*tied embeddings*). Y la
# proporción vuelve a ser otra.
#
# **Hazlo mal a propósito.** Gemma 3 también ve: lleva una torre de visión, y en ella hay capas que se llaman igual que
# las del texto. Si pides `q_proj` y `v_proj` por su nombre, `peft` adapta las dos, y añades matrices a capas por las
# que no pasa ningún texto: se cuentan y se guardan, pero con texto no aprenden nada. La solución es un patrón que
# nombra el modelo de lenguaje. La celda cuenta las capas adaptadas por su nombre, las que de ellas son de visión, y las
# adaptadas con el patrón.

# %% [markdown] lang="en"
# There is no new head to train: the model writes with the same table it reads with (*tied embeddings*). And the share
# is different again.
#
# **Break it.** Gemma 3 can see as well: it has a vision tower, and some layers in it have the same names as those of
# the language model. If you ask for `q_proj` and `v_proj` by name, `peft` adapts both, and you add matrices to layers
# that no text passes through: they are counted and saved, but from text they learn nothing. The fix is a pattern that
# names the language model. The cell counts the layers adapted by name, those of them that are for vision, and those
# adapted by the pattern.


# %% tags=["nbval-check-output"]
def adapted(wanted):
    config = LoraConfig(target_modules=wanted)
    model = get_peft_model(empty_model(gemma), config)
    return [name for name, _ in model.named_modules() if name.endswith("lora_A")]


by_name = adapted(["q_proj", "v_proj"])
by_pattern = adapted(r".*language_model.*\.(q_proj|v_proj)")
in_vision = sum("vision_tower" in name for name in by_name)
assert len(by_pattern) == len(by_name) - in_vision
print(len(by_name), in_vision, len(by_pattern))

# %% [markdown] lang="es"
# ## ¿Cabrá? Primero, en papel
#
# Antes de cargar un modelo conviene saber si habrá memoria para entrenarlo. Hay cuatro cosas que contar. En `float32`
# cada número ocupa 4 bytes.
#
# 1. **Pesos**: 4 bytes por cada uno, se entrene o no.
# 2. **Gradientes**: 4 por cada uno que se entrena.
# 3. **Promedios de AdamW**: por cada número que entrena, AdamW guarda un promedio de sus gradientes y otro de sus
#    cuadrados: 8 bytes.
# 4. **Activaciones**: lo que la pasada hacia delante guarda para la de vuelta, que calcula los gradientes. Si
#    $y = xW^\top$ y $g = \partial L/\partial y$ (en filas), $\partial L/\partial W = g^\top x$ necesita $x$;
# $\partial L/\partial x = gW$, no. Así que una capa congelada no guarda su entrada, salvo que lleve LoRA: $A$ necesita
#    esa $x$. La normalización, la función de activación y la atención guardan lo que piden sus derivadas, aun
#    congeladas.
#
# Las tres primeras no dependen de los textos. La cuarta crece con el tamaño del lote y la longitud de los textos.
#
# **Predice.** MiniLM con el LoRA de «Lo que hará el paquete»: ¿cuántos MiB suman las tres primeras? Usa las cuentas de
# esa celda, cuyo `total` ya incluye adaptador y cabeza (1 MiB son $2^{20}$ bytes). De la cabeza, `peft` conserva además
# el original, congelado.

# %% [markdown] lang="en"
# ## Will it fit? First, on paper
#
# Before you load a model it is good to know whether there will be memory to train it. There are four things to count.
# In `float32` each number takes 4 bytes.
#
# 1. **Weights**: 4 bytes for each, trained or not.
# 2. **Gradients**: 4 for each one that is trained.
# 3. **AdamW's averages**: for each number it trains, AdamW keeps an average of its gradients and one of their squares:
#    8 bytes.
# 4. **Activations**: what the forward pass keeps for the backward one, which computes the gradients. If $y = xW^\top$
#    and $g = \partial L/\partial y$ (in rows), $\partial L/\partial W = g^\top x$ needs $x$; $\partial L/\partial x =
#    gW$ does not. So a frozen layer does not keep its input, unless it carries LoRA: $A$ needs that $x$. Normalization,
#    activation function and attention keep what their derivatives need, even when frozen.
#
# The first three do not depend on the texts. The fourth grows with batch size and text length.
#
# **Predict.** MiniLM with the LoRA of “What the package will do”: how many MiB do the first three add up to? Use that
# cell's counts, whose `total` already includes adapter and head (1 MiB is $2^{20}$ bytes). Of the head, `peft` also
# keeps the original, frozen.

# %%
guess_static = predict("paper_memory", None)

# %% [markdown] lang="es"
# `plan` hace esa cuenta y también la cuarta, sin cargar nada: da el paso con tensores que tienen forma y no tienen
# contenido, y lleva la cuenta de la memoria que se reserva y se libera. La celda compara tu cuenta con la suya.

# %% [markdown] lang="en"
# `plan` does that sum and the fourth as well, without loading anything: it takes the step with tensors that have a
# shape and no content, and notes what is made and what is freed. The cell compares your sum with its own.

# %%
from loralab import detect, message, plan

device, rows, length = detect(), 16, 64
full_name, lora_name = message("full"), message("lora")
methods = {full_name: experiment.but(method="full"), lora_name: experiment}
plans = {name: plan(chosen, device, rows, length) for name, chosen in methods.items()}
there = parameters["total"] + parameters["head"]  # its original too
on_paper = 4 * there + 12 * parameters["trainable"]
planned = sum(plans[lora_name].static.values())
assert abs(planned / on_paper - 1) < 0.001
guess_static.compare(
    on_paper / 2**20,
    total=number(there, 0),
    trainable=number(parameters["trainable"], 0),
    full=number(sum(plans[full_name].static.values()) / 2**20, 0),
)

# %% [markdown] lang="es"
# ¿Acierta el plan? La prueba es dar de verdad los dos pasos, con 16 textos de 64 *tokens*, cada uno en un proceso propio,
# y medir su memoria máxima. La celda tarda unos segundos.

# %% [markdown] lang="en"
# Is the plan right? The test is to take both steps for real, on 16 texts of 64 tokens, each in a process of its own,
# and to measure its peak memory. The cell takes some seconds.

# %%
from loralab.memory import measure_apart, memory_bars

measured = {
    name: measure_apart(chosen, rows, length).peak for name, chosen in methods.items()
}
for name, planned in plans.items():
    assert abs(planned.peak / measured[name] - 1) < 0.2
memory_bars(plans, measured)

# %% [markdown] lang="es"
# La línea es la medida y las barras son el plan. Casi no se ven gradientes, y no es un descuido: el pico llega al
# empezar la pasada hacia atrás (*backward*), con todas las activaciones guardadas; los gradientes van naciendo mientras
# ellas desaparecen. Por eso el máximo no es la suma de las cuatro cosas. LoRA se ahorra casi todos los promedios de
# AdamW, que en el completo ocupan el doble que los pesos. De las activaciones se ahorra solo una parte. Cuándo
# compensa, y cuándo no, se ve en la lección 6.

# %% [markdown] lang="en"
# The line is the measurement and the bars are the plan. Hardly any gradients can be seen, and that is no oversight: the
# fullest moment comes when the backward pass starts, with all activations kept; gradients are made while those
# disappear. So the peak is not the sum of all four. LoRA saves nearly all of AdamW's averages, which in full
# fine-tuning take twice what the weights do. Of the activations it saves only a part. When that pays, and when it does
# not, is for lesson 6.

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - LoRA suma a una capa una matriz de rango $r$ como mucho, y empieza sumando cero: los *logits* no cambian ni en un
#   bit.
# - Aprende porque $B$ tiene gradiente desde el principio, y $A$ desde el segundo paso.
# - Sus parámetros se cuentan con $r(d_{in} + d_{out})$ por capa; $\alpha$ no añade ninguno, y por encima de cierto
#   rango no hay ahorro. Qué parte son del total depende del modelo: en los que has contado, de un 0,3 % a un 3,5 %.
# - Un adaptador se guarda aparte (con su cabeza, si lo dices), se cambia por otro y se fusiona sin cambiar la
#   respuesta, salvo redondeo.
# - La memoria de un paso se puede saber antes de darlo: 4 bytes por peso y 12 más por cada uno que se entrena, y las
#   activaciones, que no coinciden todas a la vez: el máximo lo da el plan y lo confirma una medida.
#
# Siguiente lección: entrenarlo.

# %% [markdown] lang="en"
# ## What you may now claim, and on what evidence
#
# - LoRA adds to a layer a matrix of rank $r$ at most, and it starts by adding zero: the logits do not change by a
#   single bit.
# - It learns because $B$ has a gradient from the start, and $A$ from the second step.
# - Its parameters are counted by $r(d_{in} + d_{out})$ per layer; $\alpha$ adds none, and above a certain rank there is
#   no saving. What share of all they are depends on the model: from 0.3% to 3.5% in those you have counted.
# - An adapter is saved separately (with its head, if you say so), swapped for another and merged without changing the
#   answer, except for rounding.
# - A step's memory can be known before it is taken: 4 bytes a weight and 12 more for each that is trained, and the
#   activations, which are not all there at once: the plan gives the peak and a measurement confirms it.
#
# Next lesson: training it.

# %% [markdown] lang="es"
# ## Ejercicios
#
# Escribe tu respuesta en lugar de `...` o de `None` y ejecuta la celda: `check` te dice si es correcta y, si no, qué
# error has cometido. Puedes intentarlo tantas veces como quieras. Antes de calcular, haz la predicción que pide cada
# ejercicio, aunque sea a ojo. No hay que entrenar nada.

# %% [markdown] lang="en"
# ## Exercises
#
# Write your answer in place of `...` or `None` and run the cell: `check` tells you whether it is right and, if not,
# which mistake you have made. Try as often as you like. Before you compute, make the prediction that each exercise asks
# for, if only by eye. Nothing has to be trained.

# %% [markdown] lang="es"
# ### El tamaño de otro adaptador
#
# Pon LoRA con $r = 16$ en la consulta, la clave y el valor de los seis bloques de MiniLM. Las tres son capas de
# 384×384. ¿Cuántos parámetros tiene el adaptador? (La cabeza se cuenta aparte.)
#
# **Predice.** ¿Cuántas veces mayor será que el de la lección, de $r = 8$ y solo con la consulta y el valor? Responde
# sin multiplicar tamaños de capas: lo que importa es saber qué lo hace crecer.

# %% [markdown] lang="en"
# ### The size of another adapter
#
# Put LoRA with $r = 16$ on the query, the key and the value of MiniLM's six blocks. All three are layers of 384×384.
# How many parameters does the adapter have? (The head is counted apart.)
#
# **Predict.** How many times larger will it be than the lesson's, of $r = 8$ and with query and value only? Answer
# without multiplying sizes of layers: what matters is to know what makes it grow.

# %% exercise="adapter_size"
from loralab import check

parameters = None
### BEGIN SOLUTION
parameters = 6 * 3 * 16 * (384 + 384)
### END SOLUTION

check("adapter_size", parameters)

# %% [markdown] lang="es"
# ### Fusionar a mano
#
# `merge` recibe los pesos de una capa y su adaptador, como tensores, y devuelve los pesos de la capa ya fusionada. Las
# formas son las de PyTorch: `W` es `(d_out, d_in)`; `A`, `(r, d_in)`; y `B`, `(d_out, r)`. El rango no se da aparte: lo
# dicen las formas. Tiene que valer para cualquier capa, también para una de 384 entradas y 1536 salidas.
#
# **Predice.** En esa capa, con $r = 8$, ¿qué forma tiene $BA$? ¿Se puede calcular $AB$? ¿Y si la capa fuera de 384×384?
# Mirar las formas antes de ejecutar descubre muchos errores, pero en una capa cuadrada alguno pasa sin avisar.

# %% [markdown] lang="en"
# ### Merging by hand
#
# `merge` takes the weights of a layer and its adapter, as tensors, and returns the weights of the merged layer. The
# shapes are PyTorch's: `W` is `(d_out, d_in)`; `A`, `(r, d_in)`; and `B`, `(d_out, r)`. The rank is not given: the
# shapes tell it. It has to work for any layer, also for one of 384 inputs and 1,536 outputs.
#
# **Predict.** In that layer, with $r = 8$, what shape is $BA$? Can $AB$ be computed? And if the layer were 384×384?
# Looking at shapes before you run finds many mistakes, but in a square layer some slip through without a warning.

# %% exercise="merge"
from loralab import check


def merge(W, A, B, alpha):
    """The weights of the layer with its adapter merged in."""
    ### BEGIN SOLUTION
    rank = A.shape[0]
    return W + alpha / rank * B @ A
    ### END SOLUTION


check("merge", merge)

# %% [markdown] lang="es"
# ### Solo la atención, y solo la del texto
#
# La lección adapta dos proyecciones del modelo de lenguaje de Gemma 3. Escribe el patrón que adapta las cuatro de su
# atención (`q_proj`, `k_proj`, `v_proj` y `o_proj`) y nada más: ni la torre de visión, ni las otras tres proyecciones
# de cada bloque. Vale lo que `peft` acepta en `target_modules`: una expresión regular, que tiene que casar con el
# nombre entero de cada capa, o una lista con finales de nombre. Un nombre entero es
# `model.language_model.layers.0.self_attn.q_proj`. Para comprobarlo bastan los nombres: no se descarga ningún peso.
#
# **Predice.** ¿Cuántas capas serán? Parte de los tres números que ha impreso la última celda de la lección. Si no sabes
# cuántas esperas, no notarás si sobran o faltan.

# %% [markdown] lang="en"
# ### Attention only, and only that of the text
#
# The lesson adapts two projections of Gemma 3's language model. Write the pattern that adapts the four of its attention
# (`q_proj`, `k_proj`, `v_proj` and `o_proj`) and nothing else: neither the vision tower nor the other three projections
# of each block. Anything that `peft` accepts in `target_modules` will do: a regular expression, which has to match the
# whole name of each layer, or a list with ends of names. A whole name is
# `model.language_model.layers.0.self_attn.q_proj`. No weights are downloaded: the names are enough for the check.
#
# **Predict.** How many layers will it be? Start from the three numbers that the lesson's last cell printed. If you do
# not know how many you expect, you will not notice whether there are too many or too few.

# %% exercise="gemma_pattern"
from loralab import check

pattern = None
### BEGIN SOLUTION
pattern = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj)"
### END SOLUTION

check("gemma_pattern", pattern)
