# %% [markdown] lang="es"
# # 3 · LoRA desde cero
#
# **Pregunta.** ¿Qué añade LoRA exactamente a una capa, y cómo lo sabemos?
#
# LoRA (*low-rank adaptation*, [Hu et al., 2021](https://arxiv.org/abs/2106.09685)) no toca los pesos $W$ de una capa:
# les suma el producto de dos matrices pequeñas, y solo entrena esas dos.
#
# $$W' = W + \frac{\alpha}{r} B A, \qquad A \in \mathbb{R}^{r \times d_{in}}, \quad B \in \mathbb{R}^{d_{out} \times r}$$
#
# $d_{in}$ y $d_{out}$ son los tamaños de entrada y de salida de la capa; el **rango** $r$ es pequeño (8, por ejemplo),
# y $\alpha$ regula cuánto pesa la suma. Al terminar sabrás:
#
# - escribir LoRA en diez líneas, y demostrar que es lo que hace la biblioteca `peft`;
# - contar sus parámetros a mano;
# - guardarlo, cargarlo, cambiarlo y fusionarlo, y ver qué puede fallar en cada paso.
#
# Hacen falta la lección 2, saber multiplicar matrices y derivar, y haber visto un `nn.Module` de PyTorch.

# %% [markdown] lang="en"
# # 3 · LoRA from scratch
#
# **Question.** What exactly does LoRA add to a layer, and how do we know?
#
# LoRA (*low-rank adaptation*, [Hu et al., 2021](https://arxiv.org/abs/2106.09685)) leaves a layer's weights $W$ alone:
# it adds the product of two small matrices to them, and trains those two alone.
#
# $$W' = W + \frac{\alpha}{r} B A, \qquad A \in \mathbb{R}^{r \times d_{in}}, \quad B \in \mathbb{R}^{d_{out} \times r}$$
#
# $d_{in}$ and $d_{out}$ are the layer's input and output sizes; the **rank** $r$ is small (8, say), and $\alpha$ sets
# how much the added term weighs. By the end you can:
#
# - write LoRA in ten lines, and prove that it is what the library `peft` does;
# - count its parameters by hand;
# - save, load, switch and merge it, and see what can go wrong at each step.
#
# You need lesson 2, matrix products and derivatives, and to have seen PyTorch's `nn.Module`.

# %%
from loralab import hand_over, start

LANGUAGE = "es"
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)

# %%
from loralab.lessons import encoder_diagram, lora_diagram, parameters_against_rank

lora_diagram()

# %% [markdown] lang="es"
# ## Un modelo de verdad
#
# En todos los perfiles, esta lección usa MiniLM ([Wang et al., 2020](https://arxiv.org/abs/2002.10957)). Una tabla
# cambia cada *token* por un vector de 384 números, y seis **bloques** corrigen esos vectores. En cada uno, tres capas
# sacan de cada vector una consulta (*query*, lo que busca), una clave (*key*, lo que ofrece) y un valor (*value*, lo
# que entrega); en la **atención**, cada *token* recibe los valores de los demás, ponderados según cuánto se parecen su
# consulta y cada clave. (Para seguir basta con saber que las tres son capas lineales, de 384×384.) Después, otras dos
# capas (`intermediate` y `output`) transforman cada vector por separado. Al final, el `pooler` transforma el vector de
# `[CLS]`, y de ahí la **cabeza** (`classifier`) saca dos números, los *logits*, uno por clase.
#
# La cabeza la añadimos nosotros, con números al azar. El `pooler` viene en el fichero, pero también al azar: nadie lo
# entrenó. Lo que es **nuevo** se entrena con cualquier método. (El dibujo omite la normalización y las sumas que saltan
# cada paso.)

# %% [markdown] lang="en"
# ## A real model
#
# In every profile this lesson uses MiniLM ([Wang et al., 2020](https://arxiv.org/abs/2002.10957)). A table turns each
# token into a vector of 384 numbers, and six **blocks** revise those vectors. In each, three layers take from every
# vector a *query* (what it seeks), a *key* (what it offers) and a *value* (what it hands over); in **attention**, each
# token receives the values of the others, weighted by how well its query matches each key. (To go on it is enough to
# know that all three are linear layers, of 384×384.) Two more layers (`intermediate` and `output`) then transform each
# vector by itself. At the end the `pooler` transforms the vector of `[CLS]`, and from that the **head** (`classifier`)
# makes two numbers, the logits, one per class.
#
# We add the head ourselves, with random numbers. The `pooler` is in the file, but random too: nobody trained it. What
# is **fresh** is trained in every method. (The drawing leaves out normalization and the sums that skip each step.)

# %% tags=["nbval-check-output"]
from loralab.train import load_base, load_tokenizer

base = load_base("minilm-l6", seed=0).eval()
layer = base.bert.encoder.layer[0].attention.self.query
assert base.bert.pooler.dense.bias.abs().max() == 0  # as it was made: never trained
size = sum(parameter.numel() for parameter in base.parameters())
print(layer, size, "× 4 B ≈", round(4 * size / 1e6), "MB")

# %%
encoder_diagram(blocks=6, width=384)

# %% [markdown] lang="es"
# Cuatro apuestas. Ponemos LoRA con $r = 8$ en la consulta y el valor de los seis bloques, que son capas de 384×384, y
# entrenamos además la cabeza (384 entradas, 2 salidas y 2 sesgos, *bias*; el `pooler`, de momento, queda
# fijo). ¿Cuántos parámetros serán? ¿Cuántos MB ocupará lo que se guarda, a 4 bytes por número? Antes de entrenar nada,
# ¿cuánto cambiará, en valor absoluto, el *logit* que más cambie? ¿Y con qué rango tendrían $A$ y $B$ juntas tantos
# números como $W$?

# %% [markdown] lang="en"
# Four bets. We put LoRA with $r = 8$ on the query and the value of the six blocks, which are layers of 384×384, and
# train the head too (384 inputs, 2 outputs and 2 biases; the `pooler` stays frozen for now). How many parameters will
# it be? How many MB will the saved file take, at 4 bytes per number? Before anything is trained, how much will the
# logit that changes most change, in absolute value? And at which rank would $A$ and $B$ together hold as many numbers
# as $W$?

# %%
from loralab import load_profile, number, percent, predict

guess_parameters = predict("lora_parameters", None)
guess_size = predict("saved_size", None)
guess_change = predict("first_change", None)
guess_rank = predict("even_rank", None)

# %% [markdown] lang="es"
# ## LoRA en diez líneas
#
# $A$ empieza con números pequeños al azar y $B$ con ceros. Las entradas van en filas, así que `linear(x, A)` es
# $xA^\top$: la $Ax$ de la fórmula.

# %% [markdown] lang="en"
# ## LoRA in ten lines
#
# $A$ starts with small random numbers and $B$ with zeros. Inputs go in rows, so `linear(x, A)` is $xA^\top$: the
# formula's $Ax$.

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


# %%
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
# Sean $L$ la **pérdida**, el número que el entrenamiento hace bajar; $y = W'x$ la salida;
# $g = \partial L / \partial y$, y $s = \alpha / r$. Por cada unidad que sube $B_{ij}$, $y_i$ sube $s\,(Ax)_j$, así que
# $\partial L / \partial B = s\, g (Ax)^\top$. En $A$ el cambio atraviesa $B$:
# $\partial L / \partial A = s\, B^\top g\, x^\top$, que es cero mientras $B$ lo sea. El primer paso mueve solo $B$;
# desde el segundo se mueven las dos. (AdamW es el optimizador de todo el curso; con `weight_decay`, $A$ encogería un
# poco aun con gradiente cero.)

# %% [markdown] lang="en"
# ## And can it learn, if it starts at zero?
#
# Let $L$ be the **loss**, the number that training brings down; $y = W'x$ the output; $g = \partial L / \partial y$,
# and $s = \alpha / r$. For each unit that $B_{ij}$ rises, $y_i$ rises by $s\,(Ax)_j$, so
# $\partial L / \partial B = s\, g (Ax)^\top$. In $A$ the change passes through $B$:
# $\partial L / \partial A = s\, B^\top g\, x^\top$, which is zero as long as $B$ is. The first step moves only $B$;
# from the second on both move. (AdamW is the optimizer of the whole course; with `weight_decay`, $A$ would shrink a
# little even with a gradient of zero.)

# %%
torch.manual_seed(0)
x = torch.randn(5, 384)
lora = LoRALinear(layer, rank=8, alpha=16)
y = lora(x)
g = torch.randn_like(y)
(y * g).sum().backward()  # a loss whose ∂L/∂y is g
assert torch.all(lora.A.grad == 0)
assert torch.allclose(lora.B.grad, lora.scale * g.T @ linear(x, lora.A), atol=1e-4)

before = lora.A.detach().clone()
optimizer = torch.optim.AdamW([lora.A, lora.B], lr=1e-3, weight_decay=0)
optimizer.step()
assert torch.equal(lora.A, before) and lora.B.abs().max() > 0
optimizer.zero_grad()
(lora(x) * g).sum().backward()
assert lora.A.grad.abs().max() > 0

# %% [markdown] lang="es"
# **Hazlo mal a propósito.** ¿Y si empezara de otra manera? Con las dos a cero no se mueve nunca. Con las dos al azar,
# la salida ya no es la de la base. Poner a cero $A$ en lugar de $B$ también sirve para empezar, aunque después no se
# entrenan igual ([Hayou et al., 2024](https://arxiv.org/abs/2406.08447)).

# %% [markdown] lang="en"
# **Break it.** What if it started in another way? With both at zero it never moves. With both random, the output is no
# longer the base's. Setting $A$ to zero instead of $B$ works as a start too, although they do not train alike
# afterwards ([Hayou et al., 2024](https://arxiv.org/abs/2406.08447)).


# %%
def started(a_scale, b_scale):
    """Does it start as the base? Which of A and B have a gradient at the first step?"""
    lora = LoRALinear(layer, rank=8, alpha=16)
    with torch.no_grad():
        lora.A.normal_().mul_(a_scale)
        lora.B.normal_().mul_(b_scale)
    (lora(x) * g).sum().backward()
    moved = [name for name in "AB" if getattr(lora, name).grad.abs().max() > 0]
    return torch.equal(lora(x), layer(x)), moved


assert started(a_scale=1, b_scale=0) == (True, ["B"])  # LoRA
assert started(a_scale=0, b_scale=0) == (True, [])
assert started(a_scale=0, b_scale=1) == (True, ["A"])
assert started(a_scale=1, b_scale=1) == (False, ["A", "B"])

# %% [markdown] lang="es"
# ## Contar parámetros
#
# Cada capa añade $r(d_{in} + d_{out})$ números. Los contamos a mano, en nuestro modelo y en el que hace `peft`. Cuántos
# son no depende de $\alpha$.

# %% [markdown] lang="en"
# ## Counting parameters
#
# Each layer adds $r(d_{in} + d_{out})$ numbers. We count them by hand, in our model and in the one that `peft` makes.
# How many there are does not depend on $\alpha$.

# %%
from peft import LoraConfig, get_peft_model

rank, alpha = 8, 16
model = add_lora(load_base("minilm-l6", seed=0).eval(), rank, alpha)
ours = [module for module in model.modules() if isinstance(module, LoRALinear)]
counted = sum(p.numel() for p in model.parameters() if p.requires_grad)
one, head = rank * (384 + 384), 384 * 2 + 2

settings = {"r": rank, "lora_alpha": alpha, "target_modules": ["query", "value"]}
config = LoraConfig(task_type="SEQ_CLS", **settings)
theirs = get_peft_model(load_base("minilm-l6", seed=0), config).eval()
by_peft, total = theirs.get_nb_trainable_parameters()
assert counted == 12 * one + head == by_peft
guess_parameters.compare(counted, one=one, adapter=number(12 * one, 0), head=head)

per_layer = {r: LoRALinear(layer, r, alpha) for r in (1, 8, 64, 128, 192, 256)}
counts = {r: made.A.numel() + made.B.numel() for r, made in per_layer.items()}
guess_rank.compare(384 * 384 / (384 + 384))
parameters_against_rank(counts, 384, 384)

# %% [markdown] lang="es"
# ¿Qué parte del modelo es eso? Se suele decir que «alrededor del 1 %», pero no es ninguna constante. Lo contamos en
# tres arquitecturas sin cargar sus pesos, en el dispositivo `meta`, que solo apunta los tamaños. En DistilBERT, la
# mayor parte de lo que se entrena es la cabeza: por eso el curso cuenta la cabeza aparte. Y los nombres cambian: lo que
# en BERT es `query`, en DistilBERT es `q_lin`. Si uno de los nombres que pides no existe, `peft` sigue adelante con los
# demás, sin avisar; se descubre contando los parámetros.

# %% [markdown] lang="en"
# What share of the model is that? People say “about 1%”, but it is no constant. We count it in three architectures
# without loading their weights, on the `meta` device, which only records sizes. In DistilBERT most of what is trained
# is the head: that is why the course counts the head separately. And names change: what is `query` in BERT is `q_lin`
# in DistilBERT. If one of the names that you ask for does not exist, `peft` goes on with the others, without a warning;
# one finds it out by counting the parameters.

# %% tags=["nbval-check-output"]
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
)

from loralab.train import apply_method, count_parameters, empty_model, target_modules

for name, shape in (
    ("MiniLM-L6", base.config),
    ("DistilBERT", DistilBertConfig()),
    ("BERT-base", BertConfig()),
):
    with torch.device("meta"):
        plain = AutoModelForSequenceClassification.from_config(shape)
        names = target_modules(plain, "default")
        chosen = LoraConfig(task_type="SEQ_CLS", r=8, target_modules=names)
        sizes = count_parameters(get_peft_model(plain, chosen))
    share = percent(sizes["trainable"] / sizes["total"], 2)
    print(f"{name:10} {names}", sizes["adapter"], "+", sizes["head"], "→", share)

half = LoraConfig(task_type="SEQ_CLS", r=8, target_modules=["query", "v_lin"])
found = count_parameters(get_peft_model(load_base("minilm-l6", seed=0), half))
assert found["adapter"] == 6 * one != 12 * one

# %% [markdown] lang="es"
# ## ¿Es lo mismo que hace `peft`?
#
# $BA$ tiene tantas filas y columnas como $W$, pero su **rango**, cuántas de sus filas son de verdad independientes, no
# pasa de $r$. Damos a nuestro modelo y al de `peft` las mismas $A$ y $B$, al azar.
#
# **Hazlo mal a propósito.** Un error fácil al escribir LoRA a mano es olvidar el $1/r$. El código funciona, el
# modelo aprende, y con $r = 8$ cada suma es ocho veces mayor de lo que $\alpha$ promete. Con el $1/r$ en su sitio, los
# *logits* coinciden hasta el último bit.

# %% [markdown] lang="en"
# ## Is it what `peft` does?
#
# $BA$ has as many rows and columns as $W$, but its **rank**, how many of its rows are really independent, is at most
# $r$. We give our model and `peft`'s the same $A$ and $B$, at random.
#
# **Break it.** An easy mistake in writing LoRA by hand is to forget the $1/r$. The code runs, the model
# learns, and at $r = 8$ each addition is eight times larger than $\alpha$ promises. With the $1/r$ in its place, the
# logits agree to the last bit.

# %%
torch.manual_seed(0)
peers = [module for module in theirs.modules() if hasattr(module, "lora_A")]
with torch.no_grad():
    for mine, peer in zip(ours, peers, strict=True):
        mine.B.normal_(std=0.02)
        peer.lora_A["default"].weight.copy_(mine.A)
        peer.lora_B["default"].weight.copy_(mine.B)
assert torch.linalg.matrix_rank(ours[0].B @ ours[0].A) == 8
assert torch.linalg.matrix_rank(layer.weight) > 300

for text, scale in (("s = α:  ", alpha), ("s = α/r:", alpha / rank)):
    for mine in ours:
        mine.scale = scale
    apart = (logits(model) - logits(theirs)).abs().max().item()
    print(text, number(apart, 4))
assert torch.equal(logits(model), logits(theirs))
assert not torch.equal(logits(theirs), base_logits)

# %% [markdown] lang="es"
# ## Guardar y cargar
#
# Las $A$ y las $B$ forman el **adaptador**, y `peft` guarda con él la cabeza, porque sabe por `task_type` que la hay.
# Cargamos sobre una base con *otra* cabeza (`seed=1`): si las respuestas coinciden, es que también se guardó.
#
# **Hazlo mal a propósito.** Sin `task_type`, `peft` congela la cabeza al azar que le des y no la guarda: al cargar en
# otro sitio te encuentras con otra. Ningún error. La solución es nombrar lo que además hay que entrenar y guardar,
# `modules_to_save`. Es lo que hace el curso, y vale también para el `pooler`. La celda imprime cuántos números se
# entrenan, y si las respuestas coinciden en otro sitio.

# %% [markdown] lang="en"
# ## Save and load
#
# The $A$s and $B$s make up the **adapter**, and `peft` saves the head along with it, because `task_type` tells it that
# there is one. We load onto a base with *another* head (`seed=1`): if the answers agree, it was saved too.
#
# **Break it.** Without `task_type`, `peft` freezes whatever random head you give it and does not save it: when you load
# elsewhere you meet a different one. No error. The fix is to name what else has to be trained and saved,
# `modules_to_save`. That is what the course does, and it works for the `pooler` too. The cell prints how many numbers
# are trained, and whether the answers agree elsewhere.

# %%
import tempfile
from pathlib import Path

from peft import PeftModel

folder = Path(tempfile.mkdtemp())


def elsewhere(name):
    """A saved adapter on a base with another head."""
    other = load_base("minilm-l6", seed=1)
    return PeftModel.from_pretrained(other, folder / name, adapter_name="first").eval()


theirs.save_pretrained(folder / "first")
saved = (folder / "first" / "adapter_model.safetensors").stat().st_size
whole = number(4 * size / 1e6, 1)
guess_size.compare(saved / 1e6, parameters=number(counted, 0), whole=whole)
assert torch.equal(logits(elsewhere("first")), logits(theirs))

# %%
for name, extra in (("forgetful", None), ("careful", ["classifier", "bert.pooler"])):
    chosen = LoraConfig(**settings, modules_to_save=extra)
    saved_one = get_peft_model(load_base("minilm-l6", seed=0), chosen).eval()
    saved_one.save_pretrained(folder / name)
    same = torch.equal(logits(elsewhere(name)), logits(saved_one))
    print(name, saved_one.get_nb_trainable_parameters()[0], same)
    assert same == (name == "careful")

# %% [markdown] lang="es"
# ## Cambiar, apagar, fusionar
#
# Sobre una misma base caben varios adaptadores. Para tener un segundo sin entrenarlo, cambiamos el signo de $B$. Con
# `disable_adapter` queda la base. Y **fusionar** (*merge*) es calcular $W + \frac{\alpha}{r} B A$ una vez: queda un
# modelo corriente, y usarlo cuesta lo mismo que la base. Coincide salvo por el redondeo.

# %% [markdown] lang="en"
# ## Switch, turn off, merge
#
# One base holds several adapters. To have a second one without training it, we change the sign of $B$.
# `disable_adapter` leaves the base. And to **merge** is to compute $W + \frac{\alpha}{r} B A$ once: a plain model is
# left, and using it costs what the base costs. It agrees except for rounding.

# %%
first_answer = logits(theirs)
with theirs.disable_adapter():
    assert torch.equal(logits(theirs), base_logits)
with torch.no_grad():
    for peer in peers:
        peer.lora_B["default"].weight.mul_(-1)
theirs.save_pretrained(folder / "second")

both = elsewhere("first")
both.load_adapter(folder / "second", adapter_name="second")
both.set_adapter("second")
assert torch.equal(logits(both), logits(theirs))
both.set_adapter("first")
assert torch.equal(logits(both), first_answer)

merged = elsewhere("first").merge_and_unload()
assert not any("lora" in name for name, _ in merged.named_modules())
assert torch.allclose(logits(merged), first_answer, atol=1e-5)

# %% [markdown] lang="es"
# **Hazlo mal a propósito.** Un `bfloat16` (16 bits) guarda dos o tres cifras: si a un peso le sumas algo mil veces
# menor, la mayor parte se pierde en el redondeo. La celda fusiona una $\Delta W = \frac{\alpha}{r}BA$ de varios tamaños
# respecto a $W$ y da el error, en porcentaje de $|\Delta W|$. La solución es fusionar en `float32` y guardarlo así, sin
# volver a `bfloat16`; o no fusionar.

# %% [markdown] lang="en"
# **Break it.** A `bfloat16` (16 bits) keeps two or three digits: if you add something a thousand times smaller to a
# weight, most of it is lost in the rounding. The cell merges a $\Delta W = \frac{\alpha}{r}BA$ of several sizes
# relative to $W$ and gives the error, as a percentage of $|\Delta W|$. The fix is to merge in `float32` and keep it so,
# without going back to `bfloat16`; or not to merge.

# %% tags=["nbval-check-output"]
weight, update = layer.weight.detach(), (ours[0].B @ ours[0].A).detach()
weight = weight.bfloat16().float()  # a base that came in half precision
for part in (0.1, 0.01, 0.001):
    delta = update * (part * weight.norm() / update.norm())
    kept = (weight + delta).bfloat16().float() - weight
    lost = ((kept - delta).norm() / delta.norm()).item()
    exact = (((weight + delta) - weight - delta).norm() / delta.norm()).item()
    shares = percent(part), percent(lost, 0), percent(exact, 2)
    print("|ΔW| / |W| = {}: bf16 {}, fp32 {}".format(*shares))
    assert exact < lost / 100

# %% [markdown] lang="es"
# ## En un modelo que escribe
#
# En adelante, `apply_method` pone el método del experimento, con `peft`. El modelo que contestará como don Quijote en
# una CPU, SmolLM2, es un **decodificador**: en cada posición ve solo lo que hay hasta ella. Tiene siete capas lineales
# por bloque, y el cuaderno del que nació este curso las adapta todas, con $r = 16$; partía de Gemma 3, mucho mayor, que
# aquí se cuenta sin cargarla. (En la tabla, la cabeza de MiniLM incluye ya el `pooler`: por eso su 0,33 % pasa a 0,98
# %.)
#
# **Hazlo mal a propósito.** Gemma 3 también ve: en su torre de visión hay capas que se llaman igual que las del texto.
# Si pides `q_proj` y `v_proj` por su nombre, `peft` adapta las dos, y con texto las de visión no aprenden nada. La
# solución es un patrón que nombra el modelo de lenguaje. La celda cuenta las capas adaptadas por su nombre, las que de
# ellas son de visión, y las adaptadas con el patrón.

# %% [markdown] lang="en"
# ## In a model that writes
#
# From now on `apply_method` puts the experiment's method on, with `peft`. The model that will answer as Don Quixote on
# a CPU, SmolLM2, is a **decoder**: at each position it sees only what there is up to it. It has seven linear layers per
# block, and the notebook that this course grew out of adapts them all, with $r = 16$; it started from Gemma 3, far
# larger, which is counted here without loading it. (In the table MiniLM's head includes the `pooler`: hence 0.98%
# instead of 0.33%.)
#
# **Break it.** Gemma 3 can see as well: in its vision tower some layers have the same names as those of the language
# model. If you ask for `q_proj` and `v_proj` by name, `peft` adapts both, and from text those for vision learn nothing.
# The fix is a pattern that names the language model. The cell counts the layers adapted by name, those of them that are
# for vision, and those adapted by the pattern.

# %% tags=["nbval-check-output"]
import pandas as pd

usual = {"target_modules": "default", "dropout": 0.0, "rank": rank, "alpha": alpha}
encoder = profile.experiment("lora", model="minilm-l6", **usual)
persona, gemma = (
    load_profile(name).generation.experiment("lora") for name in ("cpu", "large")
)
bases = [load_base("minilm-l6", seed=0), empty_model(persona), empty_model(gemma)]
trained = {
    chosen.model: count_parameters(apply_method(model, chosen))
    for chosen, model in zip((encoder, persona, gemma), bases, strict=True)
}
pooler = 384 * 384 + 384
assert trained["minilm-l6"]["trainable"] == counted + pooler
table = pd.DataFrame(trained).T
table.assign(**{"%": (100 * table["trainable"] / table["total"]).round(2)})


# %% tags=["nbval-check-output"]
def adapted_layers(wanted):
    model = get_peft_model(empty_model(gemma), LoraConfig(target_modules=wanted))
    return [name for name, _ in model.named_modules() if name.endswith("lora_A")]


by_name = adapted_layers(["q_proj", "v_proj"])
by_pattern = adapted_layers(r".*language_model.*\.(q_proj|v_proj)")
in_vision = sum("vision_tower" in name for name in by_name)
assert len(by_pattern) == len(by_name) - in_vision
print(len(by_name), in_vision, len(by_pattern))

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - LoRA suma a una capa una matriz de rango $r$ como mucho, y empieza sumando cero: los *logits* no cambian ni en un
#   bit.
# - Aprende porque $B$ tiene gradiente desde el principio, y $A$ desde el segundo paso.
# - Sus parámetros son $r(d_{in} + d_{out})$ por capa. Qué parte son del total depende del modelo.
# - Un adaptador se guarda aparte (con su cabeza, si lo dices), se cambia por otro y se fusiona sin cambiar la
#   respuesta, salvo redondeo.
#
# Siguiente lección: entrenarlo.

# %% [markdown] lang="en"
# ## What you may now claim, and on what evidence
#
# - LoRA adds to a layer a matrix of rank $r$ at most, and it starts by adding zero: the logits do not change by a
#   single bit.
# - It learns because $B$ has a gradient from the start, and $A$ from the second step.
# - Its parameters are $r(d_{in} + d_{out})$ per layer. What share of all they are depends on the model.
# - An adapter is saved separately (with its head, if you say so), swapped for another and merged without changing the
#   answer, except for rounding.
#
# Next lesson: training it.

# %% [markdown] lang="es"
# ## Ejercicios
#
# Escribe tu respuesta en lugar de `...` o de `None` y ejecuta la celda: `check` te dice si es correcta y, si no, qué
# error has cometido. Antes de calcular, predice. Las soluciones están en `notebooks/source`, junto a cada ejercicio;
# `make solutions` las pone en cuadernos.

# %% [markdown] lang="en"
# ## Exercises
#
# Write your answer in place of `...` or `None` and run the cell: `check` tells you whether it is right and, if not,
# which mistake you have made. Before you compute, predict. The solutions are in `notebooks/source`, beside each
# exercise; `make solutions` puts them into notebooks.

# %% [markdown] lang="es"
# ### El tamaño de otro adaptador
#
# Pon LoRA con $r = 16$ en la consulta, la clave y el valor de los seis bloques de MiniLM. Las tres son capas de
# 384×384. ¿Cuántos parámetros tiene el adaptador? (La cabeza se cuenta aparte.)
#
# **Predice.** ¿Cuántas veces mayor será que el de la lección, de $r = 8$ y solo con la consulta y el valor?

# %% [markdown] lang="en"
# ### The size of another adapter
#
# Put LoRA with $r = 16$ on the query, the key and the value of MiniLM's six blocks. All three are layers of 384×384.
# How many parameters does the adapter have? (The head is counted apart.)
#
# **Predict.** How many times larger will it be than the lesson's, of $r = 8$ and with query and value only?

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

# %% [markdown] lang="en"
# ### Merging by hand
#
# `merge` takes the weights of a layer and its adapter, as tensors, and returns the weights of the merged layer. The
# shapes are PyTorch's: `W` is `(d_out, d_in)`; `A`, `(r, d_in)`; and `B`, `(d_out, r)`. The rank is not given: the
# shapes tell it. It has to work for any layer, also for one of 384 inputs and 1,536 outputs.
#
# **Predict.** In that layer, with $r = 8$, what shape is $BA$? Can $AB$ be computed? And if the layer were 384×384?

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
# **Predice.** ¿Cuántas capas serán? Parte de los tres números que ha impreso la última celda de la lección.

# %% [markdown] lang="en"
# ### Attention only, and only that of the text
#
# The lesson adapts two projections of Gemma 3's language model. Write the pattern that adapts the four of its attention
# (`q_proj`, `k_proj`, `v_proj` and `o_proj`) and nothing else: neither the vision tower nor the other three projections
# of each block. Anything that `peft` accepts in `target_modules` will do: a regular expression, which has to match the
# whole name of each layer, or a list with ends of names. A whole name is
# `model.language_model.layers.0.self_attn.q_proj`. No weights are downloaded: the names are enough for the check.
#
# **Predict.** How many layers will it be? Start from the three numbers that the lesson's last cell printed.

# %% exercise="gemma_pattern"
from loralab import check

pattern = None
### BEGIN SOLUTION
pattern = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj)"
### END SOLUTION

check("gemma_pattern", pattern)
