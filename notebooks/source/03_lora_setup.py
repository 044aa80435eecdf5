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
# $\alpha$ regula cuánto pesa lo que se suma. Solo se entrenan $A$ y $B$. En esta lección lo escribes tú, en una docena
# de líneas, y compruebas que coincide con la biblioteca `peft`.

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
# how much the added term weighs. Only $A$ and $B$ are trained. In this lesson you write it yourself, in a dozen lines,
# and check that it agrees with the library `peft`.

# %%
from loralab.lesson import start

LANGUAGE = "es"
profile = start(LANGUAGE)

# %% [markdown] lang="es"
# ## Una capa de verdad
#
# Cargamos MiniLM ([Wang et al., 2020](https://arxiv.org/abs/2002.10957); nuestra versión se siguió entrenando después
# para representar frases), un transformer de seis bloques, con una **cabeza** nueva encima: la capa que convierte su
# salida en las puntuaciones de dos clases. En cada bloque, la **atención** mezcla los vectores de los *tokens*: compara
# la consulta (*query*) de cada uno con las claves (*key*) de todos, también la suya, y suma sus valores (*value*)
# ponderados según el parecido. Miramos la capa que calcula las consultas del primer bloque.

# %% [markdown] lang="en"
# ## A real layer
#
# We load MiniLM ([Wang et al., 2020](https://arxiv.org/abs/2002.10957); our version was trained further to represent
# sentences), a transformer of six blocks, with a fresh **head** on top: the layer that turns its output into the scores
# of two classes. In each block, **attention** mixes the vectors of the *tokens*: it compares each one's *query* with
# the *keys* of all (its own too) and adds up their *values*, weighted by the match. We look at the layer that computes
# the first block's queries.

# %% tags=["nbval-check-output"]
from loralab.models import load_base

model = load_base("minilm-l6", seed=0).eval()
layer = model.bert.encoder.layer[0].attention.self.query
print(layer)
print("parameters:", sum(parameter.numel() for parameter in model.parameters()))

# %% [markdown] lang="es"
# ## LoRA en doce líneas
#
# $A$ empieza con números al azar y $B$ con ceros.

# %% [markdown] lang="en"
# ## LoRA in twelve lines
#
# $A$ starts with random numbers and $B$ with zeros.

# %%
import torch
from torch import nn
from torch.nn.functional import linear


class LoRALinear(nn.Module):
    def __init__(self, layer, rank, alpha):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(rank, layer.in_features) / rank)
        self.B = nn.Parameter(torch.zeros(layer.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x):
        return self.layer(x) + self.scale * linear(linear(x, self.A), self.B)


# %% [markdown] lang="es"
# ## Antes del primer paso no cambia nada
#
# Como $B = 0$, también $BA = 0$: la salida tiene que ser la misma, bit a bit, para cualquier $r$ y cualquier $\alpha$.

# %% [markdown] lang="en"
# ## Before the first step nothing changes
#
# As $B = 0$, so is $BA = 0$: the output has to be the same, bit for bit, for any $r$ and any $\alpha$.

# %%
torch.manual_seed(0)
x = torch.randn(5, layer.in_features)
lora = LoRALinear(layer, rank=8, alpha=16)
assert torch.equal(lora(x), layer(x))

# %% [markdown] lang="es"
# ¿Y puede aprender, si $B = 0$? Sean $L$ la pérdida, $y = W'x$ la salida para una entrada $x$, $g = \partial L /
# \partial y$ y $s = \alpha / r$. Las derivadas son $\partial L / \partial B = s\, g (Ax)^\top$ y $\partial L / \partial
# A = s\, B^\top g\, x^\top$. La segunda es cero mientras $B$ lo sea; la primera no. El gradiente mueve primero solo
# $B$; en cuanto $B$ deja de ser cero, mueve las dos.
#
# Para comprobarlo no hace falta una pérdida de verdad: con $L = \sum y \cdot g$ y $g$ al azar, $\partial L / \partial
# y$ es esa $g$. Con varias entradas, las derivadas se suman.

# %% [markdown] lang="en"
# And can it learn, if $B = 0$? Let $L$ be the loss, $y = W'x$ the output for an input $x$, $g = \partial L / \partial
# y$ and $s = \alpha / r$. The derivatives are $\partial L / \partial B = s\, g (Ax)^\top$ and $\partial L / \partial A
# = s\, B^\top g\, x^\top$. The second is zero as long as $B$ is; the first is not. The gradient first moves only $B$;
# once $B$ is no longer zero, it moves both.
#
# To check it we need no real loss: with $L = \sum y \cdot g$ for a random $g$, $\partial L / \partial y$ is that $g$.
# With several inputs, the derivatives add up.

# %%
y = lora(x)
g = torch.randn_like(y)
(y * g).sum().backward()
assert torch.all(lora.A.grad == 0)
assert torch.allclose(lora.B.grad, lora.scale * g.T @ linear(x, lora.A), atol=1e-4)

# %% [markdown] lang="es"
# ## En todo el modelo
#
# Ponemos LoRA en la consulta (*query*) y el valor (*value*) de los seis bloques y congelamos lo demás, menos la cabeza,
# que es nueva y tiene que aprender. Cada capa añade $r(d_{in} + d_{out})$ parámetros.

# %% [markdown] lang="en"
# ## In the whole model
#
# We put LoRA on the *query* and the *value* of the six blocks and freeze the rest, except the head, which is new and
# has to learn. Each layer adds $r(d_{in} + d_{out})$ parameters.

# %%
rank, alpha = 8, 16
model.requires_grad_(False)
model.classifier.requires_grad_(True)
for block in model.bert.encoder.layer:
    attention = block.attention.self
    attention.query = LoRALinear(attention.query, rank, alpha)
    attention.value = LoRALinear(attention.value, rank, alpha)

# %% [markdown] lang="es"
# Tres cuentas de lo mismo: los parámetros que de verdad se entrenan, la fórmula a mano y lo que dice `peft`.

# %% [markdown] lang="en"
# Three counts of the same thing: the parameters that are really trained, the formula by hand, and what `peft` says.

# %% tags=["nbval-check-output"]
from peft import LoraConfig, get_peft_model

from loralab.messages import percent

config = LoraConfig(
    task_type="SEQ_CLS", r=rank, lora_alpha=alpha, target_modules=["query", "value"]
)
theirs = get_peft_model(load_base("minilm-l6", seed=0), config).eval()

counted = sum(
    parameter.numel() for parameter in model.parameters() if parameter.requires_grad
)
by_hand = 6 * 2 * rank * (384 + 384) + (384 * 2 + 2)
by_peft, total = theirs.get_nb_trainable_parameters()
assert counted == by_hand == by_peft
print("trainable:", counted, "·", percent(counted / total, 2))

# %% [markdown] lang="es"
# ## ¿Es lo mismo que `peft`?
#
# Damos a nuestras $B$ valores al azar (con ceros coincidirían sin mérito) y copiamos $A$ y $B$ en el modelo de `peft`.
# Los *logits* tienen que coincidir hasta el último bit.

# %% [markdown] lang="en"
# ## Is it the same as `peft`?
#
# We give our $B$ random values (with zeros they would agree trivially) and copy $A$ and $B$ into `peft`'s model. The
# *logits* have to agree to the last bit.

# %%
from loralab.models import load_tokenizer

ours = [module for module in model.modules() if isinstance(module, LoRALinear)]
peers = [module for module in theirs.modules() if hasattr(module, "lora_A")]
with torch.no_grad():
    for mine, peer in zip(ours, peers, strict=True):
        mine.B.normal_(std=0.02)
        peer.lora_A["default"].weight.copy_(mine.A)
        peer.lora_B["default"].weight.copy_(mine.B)

tokenizer = load_tokenizer("minilm-l6")
texts = ["A joy from start to finish.", "Dull, and far too long."]
batch = tokenizer(texts, padding=True, return_tensors="pt")


@torch.no_grad()
def logits(model):
    return model(**batch).logits


assert torch.equal(logits(model), logits(theirs))
assert not torch.equal(logits(theirs), logits(load_base("minilm-l6", seed=0).eval()))

# %% [markdown] lang="es"
# ## Por qué «de rango bajo»
#
# $BA$ tiene tantas filas y columnas como $W$, pero su rango no pasa de $r$.

# %% [markdown] lang="en"
# ## Why “low-rank”
#
# $BA$ has as many rows and columns as $W$, but its rank is at most $r$.

# %% tags=["nbval-check-output"]
update = ours[0].B @ ours[0].A
assert update.shape == layer.weight.shape
print(tuple(update.shape), torch.linalg.matrix_rank(update).item())

# %% [markdown] lang="es"
# Por eso ahorra, y por eso el ahorro se acaba: $r(d_{in} + d_{out})$ crece con $r$, y llega un rango en el que $A$ y $B$
# juntas tienen tantos números como $W$.

# %% [markdown] lang="en"
# That is why it saves, and why the saving ends: $r(d_{in} + d_{out})$ grows with $r$, and at some rank $A$ and $B$
# together hold as many numbers as $W$.

# %%
from peft import inject_adapter_in_model

from loralab.figures import parameters_against_rank


def count_by_peft(rank):
    adapted = inject_adapter_in_model(
        LoraConfig(r=rank, target_modules=["0"]), nn.Sequential(nn.Linear(384, 384))
    )
    return sum(
        parameter.numel()
        for name, parameter in adapted.named_parameters()
        if "lora_" in name
    )


counts = {rank: count_by_peft(rank) for rank in (1, 8, 32, 64, 128, 192, 256)}
assert all(count == rank * (384 + 384) for rank, count in counts.items())
parameters_against_rank(counts, 384, 384)

# %% [markdown] lang="es"
# ## Guardar, cargar, cambiar, fusionar
#
# Las $A$ y las $B$ forman el **adaptador**, y `peft` guarda con él la cabeza. El modelo base no se toca; la celda
# imprime cuánto ocupa cada uno. Cargamos sobre una base con *otra* cabeza (`seed=1`): si las respuestas coinciden, es
# que la cabeza también se guardó.

# %% [markdown] lang="en"
# ## Save, load, switch, merge
#
# The $A$s and $B$s make up the **adapter**, and `peft` saves the head along with it. The base model is left alone; the
# cell prints the size of each. We load onto a base with *another* head (`seed=1`): if the answers agree, the head was
# saved too.

# %%
import tempfile
from pathlib import Path

from peft import PeftModel

from loralab.messages import number
from loralab.models import locate

folder = Path(tempfile.mkdtemp())
theirs.save_pretrained(folder / "first")
for saved in (folder / "first", locate("minilm-l6")):
    for weights in saved.glob("*model.safetensors"):
        print(weights.name, number(weights.stat().st_size / 1e6, 1), "MB")

another_head = load_base("minilm-l6", seed=1)
reloaded = PeftModel.from_pretrained(
    another_head, folder / "first", adapter_name="first"
).eval()
assert torch.equal(logits(reloaded), logits(theirs))

# %% [markdown] lang="es"
# Sobre una misma base caben varios adaptadores, y se cambia de uno a otro sin volver a cargarla. Para tener un segundo
# sin entrenarlo, cambiamos el signo de $B$.

# %% [markdown] lang="en"
# One base holds several adapters, and we switch from one to another without loading it again. To have a second one
# without training it, we change the sign of $B$.

# %%
first_answer = logits(theirs)
with torch.no_grad():
    for peer in peers:
        peer.lora_B["default"].weight.mul_(-1)
second_answer = logits(theirs)
theirs.save_pretrained(folder / "second")

reloaded.load_adapter(folder / "second", adapter_name="second")
reloaded.set_adapter("second")
assert torch.equal(logits(reloaded), second_answer)
reloaded.set_adapter("first")
assert torch.equal(logits(reloaded), first_answer)

# %% [markdown] lang="es"
# Y se puede **fusionar** (*merge*): se calcula $W + \frac{\alpha}{r} B A$ una vez y queda un modelo corriente, sin
# ningún módulo de más. Así, usarlo cuesta lo mismo que usar la base. El modelo fusionado coincide con el anterior salvo
# por el redondeo, porque las sumas van en otro orden.

# %% [markdown] lang="en"
# And it can be **merged**: $W + \frac{\alpha}{r} B A$ is computed once and a plain model is left, without any extra
# module. Using it then costs what using the base costs. The merged model agrees with the previous one except for
# rounding, because the sums are done in another order.

# %%
merged = reloaded.merge_and_unload()
assert not any("lora" in name for name, _ in merged.named_modules())
assert torch.allclose(logits(merged), first_answer, atol=1e-5)

# %% [markdown] lang="es"
# ## Lo que hará el paquete
#
# En adelante no escribirás esto a mano: `apply_method` aplica el método del experimento, con `peft`. Tiene que dar las
# mismas cuentas. `count_parameters` cuenta aparte el adaptador y la cabeza, porque la cabeza la entrenan también los
# demás métodos.

# %% [markdown] lang="en"
# ## What the package will do
#
# From now on you will not write this by hand: `apply_method` applies the experiment's method, with `peft`. It has to
# give the same counts. `count_parameters` counts adapter and head apart, because the other methods train the head too.

# %% tags=["nbval-check-output"]
from loralab.models import apply_method, count_parameters

experiment = profile.experiment("lora", model="minilm-l6", rank=rank, alpha=alpha)
parameters = count_parameters(apply_method(load_base("minilm-l6", seed=0), experiment))
assert parameters["trainable"] == counted
parameters

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya
#
# - LoRA suma a una capa una matriz de rango $r$ como mucho, y empieza sumando cero.
# - Sus parámetros se cuentan con $r(d_{in} + d_{out})$ por capa; $\alpha$ no añade ninguno.
# - Un adaptador se guarda aparte, se cambia por otro y se fusiona sin cambiar la respuesta, salvo redondeo.
#
# Siguiente lección: entrenarlo.

# %% [markdown] lang="en"
# ## What you may now claim
#
# - LoRA adds to a layer a matrix of rank $r$ at most, and it starts by adding zero.
# - Its parameters are counted by $r(d_{in} + d_{out})$ per layer; $\alpha$ adds none.
# - An adapter is saved separately, swapped for another and merged without changing the answer, except for rounding.
#
# Next lesson: training it.
