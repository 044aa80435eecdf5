# %% [markdown] lang="es"
# # 2 · Tokens y lotes
#
# **Pregunta.** ¿Qué lee el modelo, y cuánto de lo que calcula se desperdicia?
#
# Un modelo no lee letras, sino números. Aquí sigues una frase desde el texto hasta los *tokens*, y de ahí al **lote**
# (*batch*, las frases que se procesan de una vez), y mides cuánto de ese lote no es texto. Al terminar sabrás:
#
# - decodificar cualquier lote y decir qué es cada número;
# - calcular qué porcentaje de un lote es relleno, y reducirlo;
# - comprobar que el relleno no cambia la respuesta, y qué pasa si se olvida la máscara;
# - elegir la función que forma los lotes, y decir por qué falla otra;
# - decir qué *tokens* de una conversación enseñan algo al modelo, y cuáles solo se leen.
#
# Hace falta la lección 1: de ahí salen los datos y el experimento.

# %% [markdown] lang="en"
# # 2 · Tokens and batches
#
# **Question.** What does the model read, and how much of what it computes is waste?
#
# A model does not read letters, but numbers. Here you follow a sentence from text to tokens, and from there to a
# **batch** (the sentences that are processed at once), and measure how much of that batch is not text. By the end you
# can:
#
# - decode any batch and say what each number is;
# - work out what share of a batch is padding, and reduce it;
# - check that padding does not change the answer, and see what happens if the mask is forgotten;
# - choose the function that makes the batches, and say why another fails;
# - say which tokens of a conversation teach the model something, and which are only read.
#
# You need lesson 1: data and experiment come from there.

# %%
from loralab import start

LANGUAGE = "es"
profile = start(LANGUAGE)

# %% [markdown] lang="es"
# ## De texto a números, y vuelta
#
# El tokenizador parte el texto en *tokens*: trozos de un vocabulario fijo, cada uno con su número. Cada modelo tiene el
# suyo; aquí es el del modelo del experimento (en el perfil `cpu`, el de la lección 3). Una palabra rara sale en varios
# trozos (en los clasificadores del curso, `##` marca uno que continúa la misma palabra). Además añade *tokens*
# especiales: en ellos, `[CLS]` al principio y `[SEP]` al final.

# %% [markdown] lang="en"
# ## From text to numbers, and back
#
# The tokenizer cuts text into tokens: pieces from a fixed vocabulary, each with its number. Each model has its own;
# here it is that of the experiment's model (in the `cpu` profile, lesson 3's). A rare word comes out in several pieces
# (in the course's classifiers, `##` marks one that continues the same word). It also adds special tokens: in those,
# `[CLS]` at the start and `[SEP]` at the end.

# %% tags=["nbval-check-output"]
from loralab.train import load_tokenizer

experiment = profile.experiment("lora")
tokenizer = load_tokenizer(experiment.model)
ids = tokenizer("An unfunny, overlong biopic.")["input_ids"]
print(ids)
print(tokenizer.convert_ids_to_tokens(ids))
print(tokenizer.decode(ids))

# %%
assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
read = tokenizer.decode(ids, skip_special_tokens=True)
assert read.lower() == "an unfunny, overlong biopic."

# %% [markdown] lang="es"
# ¿Vuelve en minúsculas? Los clasificadores del curso no distinguen mayúsculas de minúsculas (*uncased*). También
# pierden los acentos y los signos que el vocabulario no tiene. Lo demás está todo.
#
# ## Longitudes
#
# ¿Cuántos *tokens* tienen las frases? Las contamos enteras, sin recortar nada. La línea discontinua es `max_length`, el
# máximo que se le dará al modelo: lo que pase de ahí se corta.

# %% [markdown] lang="en"
# Does it come back in lower case? The course's classifiers ignore case (*uncased*). They lose accents too, and signs
# that the vocabulary does not have. Everything else is there.
#
# ## Lengths
#
# How many tokens do the sentences have? We count them whole, without cutting anything. The dashed line is `max_length`,
# the most that the model will be given: what exceeds it is cut off.

# %%
from loralab import load_splits
from loralab.lessons import length_histogram

splits = load_splits(experiment)
columns = [name for name in ("text", "text_pair") if name in splits.train]
texts = [list(splits.train[name]) for name in columns]
whole = [len(ids) for ids in tokenizer(*texts, verbose=False)["input_ids"]]
length_histogram(whole, experiment.max_length)

# %% [markdown] lang="es"
# `encode` codifica una de las partes, recorta lo que haga falta y cuenta en `truncated` cuántas frases han perdido
# algo. Un recorte que no se cuenta es un dato que falta sin que lo sepas.

# %% [markdown] lang="en"
# `encode` encodes a split, cuts what has to be cut, and counts in `truncated` how many sentences lost something. A cut
# that nobody counts is data missing without your knowing it.

# %%
from loralab.train import encode

train = encode(splits.train, tokenizer, experiment.max_length)
assert train.truncated == sum(length > experiment.max_length for length in whole)
assert max(train.lengths) <= experiment.max_length
train.truncated

# %% [markdown] lang="es"
# ¿Y si el máximo fuera demasiado pequeño? Con 12 *tokens*, esta crítica pierde justo la mitad que decide. La etiqueta
# seguiría siendo la misma: el modelo tendría que aprender «desfavorable» de un elogio.

# %% [markdown] lang="en"
# And if the maximum were too small? With 12 tokens, this review loses the very half that decides. Its label would stay
# the same: the model would have to learn “unfavourable” from praise.

# %% tags=["nbval-check-output"]
review = "Gorgeous to look at and superbly acted, but the plot is a complete disaster."
cut = tokenizer(review, truncation=True, max_length=12)["input_ids"]
assert len(cut) == 12 and cut[-1] == tokenizer.sep_token_id
print(tokenizer.decode(cut))

# %%
short = encode(splits.train, tokenizer, 12)
assert short.truncated == sum(length > 12 for length in whole)
print(short.truncated, "/", len(whole))

# %% [markdown] lang="es"
# ## El relleno
#
# Un lote es una tabla, y las filas de una tabla miden lo mismo: las cortas se rellenan (*padding*) con un *token* que
# no significa nada (en los clasificadores del curso, `[PAD]`). Así queda un lote de dos frases.

# %% [markdown] lang="en"
# ## Padding
#
# A batch is a table, and the rows of a table are equally long: short ones are padded with a token that means nothing
# (in the course's classifiers, `[PAD]`). This is a batch of two sentences.

# %% tags=["nbval-check-output"]
pair = tokenizer(["Dull.", "A joy from start to finish."], padding=True)
for row in pair["input_ids"]:
    print(tokenizer.convert_ids_to_tokens(row))
pair["attention_mask"]

# %% [markdown] lang="es"
# Las capas del modelo hacen con cada *token* de relleno las mismas operaciones que con uno de verdad. ¿Cuánto relleno
# hay? Depende de hasta dónde se rellene:
#
# - hasta un número fijo, 512 o 128;
# - hasta la frase más larga de todo el conjunto;
# - hasta la más larga de cada lote (relleno dinámico);
# - hasta la más larga de cada lote, con lotes de frases de longitud parecida.
#
# Haz dos predicciones: qué porcentaje de los *tokens* será relleno si todo se lleva a 512, que es lo que hacía el
# cuaderno del que nació este curso, y cuánto habrá en lotes formados al azar y rellenados hasta su frase más larga. (Un
# lote tiene las frases que imprime la celda.)

# %% [markdown] lang="en"
# The model's layers do the same operations on each padding token as on a real one. How much padding is there? It
# depends on how far we pad:
#
# - to a fixed number, 512 or 128;
# - to the longest sentence of the whole set;
# - to the longest of each batch (dynamic padding);
# - to the longest of each batch, with batches of sentences of similar length.
#
# Predict two: what percentage of the tokens will be padding if everything is filled up to 512, as in the notebook that
# this course grew out of, and how much there will be in batches drawn at random and padded to their longest sentence.
# (A batch has as many sentences as the cell prints.)

# %%
from loralab import predict

print("n =", experiment.batch_size)
guess_512 = predict("padding_512", None)
guess_batch = predict("padding_batch", None)

# %% [markdown] lang="es"
# La cuenta es la misma en todos los casos: 1 menos los *tokens* de verdad entre los que se procesan. `padding_waste` la
# hace lote a lote.

# %% [markdown] lang="en"
# The calculation is the same in every case: 1 minus the real tokens over those processed. `padding_waste` does it batch
# by batch.

# %%
import numpy as np
import pandas as pd

from loralab.lessons import padding_waste
from loralab.train import batches_by_length

size, real, rows = experiment.batch_size, sum(train.lengths), len(train.lengths)
shuffled = np.random.default_rng(0).permutation(rows)
random_batches = [shuffled[i : i + size] for i in range(0, rows, size)]
similar_batches = batches_by_length(train.lengths, size, seed=0, epoch=0)

width = max(512, max(train.lengths))
fixed = [width, 128] if max(train.lengths) <= 128 else [width]
waste = {str(n): 1 - real / (rows * n) for n in fixed}
waste["longest"] = 1 - real / (rows * max(train.lengths))
waste["batch"] = padding_waste(train.lengths, random_batches)
waste["similar"] = padding_waste(train.lengths, similar_batches)

# %%
from loralab import message, number

longest = np.mean(
    [max(train.lengths[row] for row in batch) for batch in random_batches]
)
mean = number(real / rows, 1)
guess_512.compare(100 * waste[str(width)], mean=mean)
print()
guess_batch.compare(100 * waste["batch"], mean=mean, longest=number(longest, 1))

# %%
from loralab.lessons import padding_bars

assert waste["similar"] <= waste["batch"] <= waste["longest"] <= waste[str(width)]
padding_bars(waste)

# %% [markdown] lang="es"
# El relleno en sí no enseña nada: es cálculo perdido, y evitarlo no tiene nada que ver con LoRA. (Agrupar por longitud
# sí cambia qué frases coinciden en un lote; es otro orden al azar, y la lección 4 mide cuánto pesa esa suerte.)
#
# ## ¿Cambia el relleno la respuesta?
#
# No, si se le dice al modelo qué es relleno. Eso hace `attention_mask`: 1 en los *tokens* de verdad, 0 en el relleno.
# La misma frase, sola y rellenada dentro de un lote, tiene que dar los mismos *logits* (las puntuaciones de cada clase
# antes de convertirlas en probabilidades). Tomamos la frase más corta y la más larga; abajo, la forma del lote y los
# *tokens* de verdad de cada una.

# %% [markdown] lang="en"
# Padding itself teaches nothing: it is wasted computation, and avoiding it has nothing to do with LoRA. (Grouping by
# length does change which sentences share a batch; it is another random order, and lesson 4 measures how much that luck
# weighs.)
#
# ## Does padding change the answer?
#
# No, if the model is told what padding is. That is what `attention_mask` does: 1 on real tokens, 0 on padding. The same
# sentence, alone and padded inside a batch, has to give the same logits (the scores of each class before they are
# turned into probabilities). We take the shortest and the longest sentence; below, the shape of the batch and the real
# tokens of each.

# %%
import torch
from transformers import DataCollatorWithPadding

from loralab.train import load_for

model = load_for(experiment).eval()
order = np.argsort(train.lengths)
examples = [train.dataset[int(i)] for i in (order[0], order[-1])]
batch = DataCollatorWithPadding(tokenizer)(examples)
print(batch["input_ids"].shape, batch["attention_mask"].sum(dim=1))

# %%
with torch.no_grad():
    alone = model(input_ids=torch.tensor([examples[0]["input_ids"]])).logits[0]
    masked = model(batch["input_ids"], batch["attention_mask"]).logits[0]
assert torch.allclose(alone, masked, atol=1e-5)
torch.stack([alone, masked])

# %% [markdown] lang="es"
# **Hazlo mal a propósito.** Si se olvida la máscara, `transformers` supone que todo es texto, sin decir nada. No hay
# error: hay otra respuesta.

# %% [markdown] lang="en"
# **Break it.** If the mask is forgotten, `transformers` assumes that everything is text, and says nothing. There is no
# error: there is another answer.

# %%
with torch.no_grad():
    unmasked = model(batch["input_ids"]).logits[0]
if (batch["attention_mask"] == 0).any():  # not if all texts are as long as can be
    assert not torch.allclose(alone, unmasked, atol=1e-3)
torch.stack([alone, unmasked])

# %% [markdown] lang="es"
# ## Quién forma el lote
#
# Convertir una lista de ejemplos en una tabla es trabajo de un *collator*. `transformers` trae varios, y no todos
# sirven. Ponemos los mismos 4 ejemplos, de longitudes distintas, delante de tres de ellos:
#
# - `default_data_collator` apila lo que recibe, sin rellenar;
# - `DataCollatorWithPadding` rellena `input_ids` y `attention_mask` hasta el ejemplo más largo, y no toca las
#   etiquetas;
# - `DataCollatorForTokenClassification` rellena también las etiquetas, porque espera una por *token*.

# %% [markdown] lang="en"
# ## Who makes the batch
#
# Turning a list of examples into a table is the job of a collator. `transformers` has several, and not all of them will
# do. We put the same 4 examples, of different lengths, before three of them:
#
# - `default_data_collator` stacks what it gets, without padding;
# - `DataCollatorWithPadding` pads `input_ids` and `attention_mask` to the longest example, and leaves the labels alone;
# - `DataCollatorForTokenClassification` pads the labels too, because it expects one per token.

# %%
from transformers import DataCollatorForTokenClassification, default_data_collator

four = [train.dataset[int(i)] for i in order[:: rows // 4][:4]]
for collate in (
    default_data_collator,
    DataCollatorWithPadding(tokenizer),
    DataCollatorForTokenClassification(tokenizer),
):
    name = getattr(collate, "__name__", type(collate).__name__)
    try:
        made = collate([dict(example) for example in four])
        print(name, {column: tuple(tensor.shape) for column, tensor in made.items()})
    except (ValueError, TypeError) as error:
        print(name, "→", type(error).__name__, str(error)[:60])

# %% [markdown] lang="es"
# Solo el segundo hace lo que necesitamos: cuatro filas igual de largas, con máscara, y cuatro etiquetas. El primero no
# puede apilar filas desiguales. El tercero busca una etiqueta en cada *token* y encuentra un número suelto. La lección
# es corta: el *collator* tiene que saber qué forma tienen las etiquetas.

# %% [markdown] lang="en"
# Only the second does what we need: four rows of equal length, with a mask, and four labels. The first cannot stack
# uneven rows. The third looks for a label on each token and finds a single number. The lesson is short: the collator
# has to know the shape of the labels.

# %%
made = DataCollatorWithPadding(tokenizer)([dict(example) for example in four])
lengths = [len(example["input_ids"]) for example in four]
assert made["input_ids"].shape == (4, max(lengths))
assert made["attention_mask"].sum(dim=1).tolist() == lengths
assert made["labels"].tolist() == [example["labels"] for example in four]

# %% [markdown] lang="es"
# ## La otra tarea: una conversación
#
# El modelo que contestará como don Quijote hace una sola cosa: lee una fila de *tokens* y da a cada *token* del
# vocabulario una probabilidad de ser el siguiente. Para escribir, se elige uno, se añade a la fila y se vuelve a
# preguntar. ¿Dónde acaba la pregunta y dónde empieza la respuesta? Lo dice la **plantilla de chat** del modelo, que
# viene con su tokenizador: envuelve cada turno en *tokens* especiales. Le damos una pregunta suelta. ¿Qué habrá delante
# de ella?

# %% [markdown] lang="en"
# ## The other task: a conversation
#
# The model that will answer as Don Quixote does one thing: it reads a row of tokens and gives each token of the
# vocabulary a probability of coming next. To write, one is chosen, added to the row, and the model is asked again.
# Where does the question end and the answer begin? The model's **chat template** says so; it comes with the tokenizer,
# and wraps each turn in special tokens. We give it a bare question. What will stand before it?

# %% tags=["nbval-check-output"]
persona = profile.generation.experiment("lora")
chat = load_tokenizer(persona.model)
asked = [{"role": "user", "content": "Should I buy a horse?"}]
bare = chat.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
print(bare)

# %% [markdown] lang="es"
# Si no le das un mensaje de sistema, la plantilla puede poner el suyo, como la de SmolLM2 o la de Qwen2.5. (En los
# perfiles `smoke` y `cpu` el modelo es `SmolLM2-135M-Instruct`, que ya aprendió a conversar; sus pesos vienen
# redondeados a 4 bits.) Entrenar con uno y usar el modelo con otro es darle dos tareas distintas, y nadie avisa. Por
# eso el nuestro, que es la columna `instruction` de los datos, va siempre: al entrenar y al preguntar. `encode_pairs`
# lo monta, y pone en cada posición una etiqueta: el *token* que hay en ella si es de la respuesta o de su final, y −100
# en las demás, que para PyTorch quiere decir «esto no se juzga».

# %% [markdown] lang="en"
# If you give it no system message, the template may put in its own, as SmolLM2's and Qwen2.5's do. (In the profiles
# `smoke` and `cpu` the model is `SmolLM2-135M-Instruct`, which has already learnt to converse; its weights come rounded
# to 4 bits.) To train with one and use the model with another is to set it two different tasks, and nobody warns you.
# So ours, the column `instruction` of the data, is always there: in training and in use. `encode_pairs` puts it
# together, and gives each position a label: the token that stands there if it belongs to the answer or its end, and
# −100 elsewhere, which to PyTorch means “not judged”.

# %%
from loralab.train import IGNORED, PairCollator, encode_pairs, end_of_turn

pairs = load_splits(persona).train
dialogues = encode_pairs(pairs, chat, persona.max_length)
kept = [row for row in range(len(pairs)) if row not in dialogues.left_out]
limit = persona.max_length or chat.model_max_length
uncut = [i for i, length in enumerate(dialogues.lengths) if length < limit]
first = dialogues.dataset[uncut[0]]
told = [label != IGNORED for label in first["labels"]]
answer = [label for label in first["labels"] if label != IGNORED]
assert answer[-1] == end_of_turn(chat)
assert chat.decode(answer[:-1]).strip() == pairs["output"].iloc[kept[uncut[0]]]
print(dialogues.truncated, dialogues.left_out)

# %%
from loralab.lessons import token_boxes

pieces = [chat.decode([token]).replace("\n", "⏎") for token in first["input_ids"]]
token_boxes(pieces, told)

# %% [markdown] lang="es"
# Se entrena con lo azul: la respuesta y el *token* que cierra el turno. Sin ese último, nada le enseñaría a callar. La
# pregunta se lee, y decide la respuesta, pero no se le pide al modelo que la escriba. Los dos valores impresos antes de
# la figura dicen cuántas conversaciones ha recortado `max_length` y cuáles se han dejado fuera (`left_out`) porque
# perdían la respuesta entera.
#
# ## Hazlo mal a propósito: el relleno que es también un final
#
# En muchos modelos de chat el *token* de relleno es el mismo que cierra el turno. Parece natural enmascarar «todo lo
# que sea relleno». Mira qué pasa si se busca por su número, y qué si se busca por su posición. La celda imprime el
# *token* de relleno, el final y cuántos finales conservan su etiqueta, de una manera y de la otra, en un lote de dos
# respuestas.

# %% [markdown] lang="en"
# The blue is trained on: the answer and the token that closes the turn. Without that last one, nothing would teach it
# to stop. The question is read, and decides the answer, but the model is not asked to write it. The two values printed
# before the figure tell how many conversations `max_length` has cut, and which were left out (`left_out`) because they
# lost their whole answer.
#
# ## Break it: padding that is also an ending
#
# In many chat models the padding token is the very one that closes the turn. It seems natural to mask “all that is
# padding”. See what happens if it is looked for by its number, and what if by its position. The cell prints the padding
# token, the ending, and how many endings keep their label, one way and the other, in a batch of two answers.

# %%
by_length = sorted(uncut, key=dialogues.lengths.__getitem__)
two = [dialogues.dataset[i] for i in (by_length[0], by_length[-1])]
padded = PairCollator(chat)(two)
end = end_of_turn(chat)
by_position = padded["labels"]
by_number = by_position.masked_fill(padded["input_ids"] == chat.pad_token_id, IGNORED)
ends = [(labels == end).sum().item() for labels in (by_number, by_position)]
print(chat.pad_token, chat.decode([end]), ends)
assert ends[1] == 2
assert ends[0] == (0 if chat.pad_token_id == end else 2)

# %% [markdown] lang="es"
# Si relleno y final son el mismo *token*, al enmascarar por número no queda ningún final en las etiquetas. El arreglo
# es no mirar el número: el relleno se pone después de codificar, y quien lo pone sabe dónde está.
#
# ## Los *collators*, con otra forma de etiqueta
#
# Ahora hay una etiqueta por *token*, así que las filas de etiquetas son tan desiguales como las de entrada. Probamos
# los dos primeros de antes y otros dos: `DataCollatorForLanguageModeling`, pensado para texto seguido, y
# `DataCollatorForSeq2Seq`, para entrada y respuesta. De cada uno que funcione se imprime la forma del lote, cuántos
# *tokens* juzga en cada fila y si conserva el final. Antes de ejecutar: ¿cuáles fallarán? ¿Y cuál funcionará sin hacer
# lo que queremos?

# %% [markdown] lang="en"
# If padding and ending are one token, masking by number leaves no ending in the labels. The fix is not to look at the
# number: padding is added after encoding, and whoever adds it knows where it is.
#
# ## Collators, and another shape of label
#
# Now there is one label per token, so rows of labels are as uneven as rows of input. We try the first two of before and
# two more: `DataCollatorForLanguageModeling`, meant for running text, and `DataCollatorForSeq2Seq`, for input and
# answer. For each that works, the cell prints the shape of the batch, how many tokens it judges in each row, and
# whether it keeps the end. Before you run it: which will fail? And which will work without doing what we want?

# %%
from transformers import DataCollatorForLanguageModeling, DataCollatorForSeq2Seq

for collate in (
    default_data_collator,
    DataCollatorWithPadding(chat),
    DataCollatorForLanguageModeling(chat, mlm=False),
    DataCollatorForSeq2Seq(chat),
):
    name = getattr(collate, "__name__", type(collate).__name__)
    inputs = {"input_ids", "attention_mask"}
    unlabelled = isinstance(collate, DataCollatorForLanguageModeling)
    rows_in = [
        {k: v for k, v in row.items() if k in inputs or not unlabelled} for row in two
    ]
    try:
        made = collate(rows_in)
        judged = made["labels"] != IGNORED
        print(name, tuple(made["input_ids"].shape), judged.sum(dim=1).tolist(), end=" ")
        print((made["labels"] == end).any(dim=1).tolist())
    except ValueError as error:
        print(name, "→", type(error).__name__, str(error)[:50])

# %% [markdown] lang="es"
# El primero no sabe rellenar. El segundo rellena la entrada y deja las etiquetas como están: falla también. El tercero
# se las inventa (por eso se las hemos quitado; si las lleva, falla como los otros): copia la entrada entera, pregunta
# incluida, y borra por su número todo lo que sea relleno. Entrena con más *tokens* que la respuesta y, donde el relleno
# es también el final, con ningún final. El cuarto rellena las etiquetas con −100: es el que usa el paquete, dentro de
# `PairCollator`.

# %% [markdown] lang="en"
# The first cannot pad. The second pads the input and leaves the labels as they are: it fails too. The third makes them
# up (that is why we took them away; if it gets them it fails like the others): it copies the whole input, question
# included, and wipes by its number all that is padding. It trains on more tokens than the answer and, where padding is
# also the end, on no end at all. The fourth pads the labels with −100: it is the one that the package uses, inside
# `PairCollator`.

# %%
seq2seq = DataCollatorForSeq2Seq(chat)(two)
assert torch.equal(seq2seq["labels"], padded["labels"])
assert (padded["labels"] != IGNORED).sum().item() == sum(
    label != IGNORED for row in two for label in row["labels"]
)

# %% [markdown] lang="es"
# ## ¿Quién desplaza las etiquetas?
#
# El modelo predice el *token* siguiente, y sin embargo las etiquetas están en su sitio, no una posición más allá. Es
# que el modelo las desplaza por dentro: compara lo que predice en cada posición con la etiqueta de la siguiente. Si las
# desplazas tú también, entrenas con el *token* que está dos posiciones más allá, y nada falla. Lo comprobamos haciendo
# la cuenta a mano, y de paso otra. La **pérdida** es la media de $-\ln p$, donde $p$ es la probabilidad que el modelo
# da al *token* que de verdad viene; su unidad es el nat, y 0 sería acertar siempre con seguridad. ¿Cuánto vale en la
# **base**, el modelo sin entrenar, si solo se cuenta la respuesta? ¿Y si se cuentan **todos** los *tokens*?

# %% [markdown] lang="en"
# ## Who shifts the labels?
#
# The model predicts the next token, and yet the labels stand in their own place, not one position further on. The model
# shifts them inside: it compares what it predicts at each position with the label of the next. If you shift them too,
# you train on the token after next, and nothing fails. We check it by doing the sum by hand, and another on the way.
# The **loss** is the mean of $-\ln p$, where $p$ is the probability that the model gives the token that really comes;
# its unit is the nat, and 0 would be always right and sure. How large is it in the **base**, the model before training,
# if only the answer counts? And if **all** tokens do?

# %%
guess_answer = predict("answer_loss", None)

# %%
from loralab.train import load_language_model

base = load_language_model(persona.model).eval()
some = [dialogues.dataset[i] for i in by_length[:4]]
batch = PairCollator(chat)(some)
with torch.no_grad():
    output = base(**batch)
by_hand = torch.nn.functional.cross_entropy(
    output.logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten()
)
assert torch.allclose(by_hand, output.loss, atol=1e-4)
everything = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORED)
with torch.no_grad():
    all_tokens = base(**batch | {"labels": everything}).loss.item()
guess_answer.compare(by_hand.item(), everything=number(all_tokens, 2))

# %% [markdown] lang="es"
# ## Lo que costaba la receta original
#
# El cuaderno del que nació este curso unía pregunta y respuesta sin plantilla, rellenaba cada fila hasta 512 *tokens* y
# copiaba la entrada entera como etiqueta: entrenaba también con la pregunta y con el relleno. Es el experimento
# `original` del perfil; aquí, con nuestra plantilla, para que solo cambie eso. (El perfil `smoke` rellena menos, para
# que no tarde.) Contamos los *tokens* de un lote: los que se calculan, los que se juzgan y los que son respuesta.

# %% [markdown] lang="en"
# ## What the original recipe cost
#
# The notebook that this course grew out of joined question and answer without a template, padded each row to 512 tokens
# and copied the whole input as labels: it trained on the question and on the padding too. It is the profile's
# experiment `original`; here with our template, so that nothing else differs. (The `smoke` profile pads less, to be
# quick.) We count the tokens of a batch: those computed, those judged, and those that are the answer.

# %%
original = profile.generation.variant("original")
counts = {}
for recipe, pad_to in ((original, original.max_length), (persona, None)):
    batch = PairCollator(chat, recipe.loss_on, pad_to)(some)
    judged = batch["labels"] != IGNORED
    of_answers = sum(label != IGNORED for row in some for label in row["labels"])
    counts[f"{recipe.padding}, {recipe.loss_on}"] = [
        batch["input_ids"].numel(),
        judged.sum().item(),
        of_answers,
    ]
columns = [
    message(name) for name in ("tokens_computed", "tokens_judged", "tokens_of_answers")
]
pd.DataFrame(counts, index=columns).T

# %% [markdown] lang="es"
# La primera fila paga por *tokens* que no dicen nada y, además, le pide al modelo que los escriba. Su pérdida puede
# bajar solo con eso, sin que mejore ninguna respuesta. Dos pérdidas sobre posiciones distintas no se pueden comparar.
# La lección 4 cronometra las dos recetas.

# %% [markdown] lang="en"
# The first row pays for tokens that say nothing and, besides, asks the model to write them. Its loss can fall through
# that alone, with no answer any better. Two losses over different positions cannot be compared. Lesson 4 times both
# recipes.

# %% [markdown] lang="es"
# ## Lotes que se pueden repetir
#
# Los lotes de longitud parecida tienen que seguir siendo aleatorios, y ser distintos en cada **época** (cada pasada por
# los datos de entrenamiento). A la vez deben poder repetirse: si el *fine-tuning* completo y LoRA ven los mismos lotes
# en el mismo orden, su diferencia no se debe a la suerte del orden. Por eso `batches_by_length` es una función pura
# (mismos argumentos, mismo resultado) de longitudes, tamaño de lote, semilla y época.

# %% [markdown] lang="en"
# ## Batches that can be repeated
#
# Batches of similar length still have to be random, and different in each **epoch** (each pass through the training
# data). At the same time they must be repeatable: if full fine-tuning and LoRA see the same batches in the same order,
# their difference is not due to the luck of the order. So `batches_by_length` is a pure function (same arguments, same
# result) of lengths, batch size, seed and epoch.

# %%
again = batches_by_length(train.lengths, size, seed=0, epoch=0)
next_epoch = batches_by_length(train.lengths, size, seed=0, epoch=1)
assert again == similar_batches
assert next_epoch != similar_batches
assert sorted(row for batch in next_epoch for row in batch) == list(range(rows))

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - De los *tokens* se vuelve al texto, salvo lo que el tokenizador simplifica. Lo que se recorta se pierde, y está
#   contado.
# - El relleno no cambia la respuesta si hay máscara, pero cuesta las mismas operaciones que los *tokens* de verdad. La
#   figura dice cuántas.
# - Rellenar hasta la frase más larga del lote, con frases de longitud parecida, quita el relleno que dice la figura sin
#   cambiar los *logits* de cada frase, salvo redondeo.
# - En una conversación se entrena con la respuesta y su final, y con nada más: se ve decodificando las etiquetas.
# - Los lotes dependen solo de longitudes, tamaño de lote, semilla y época: dos métodos pueden compararse con los
#   mismos.
#
# Siguiente lección: qué añade LoRA exactamente a una capa.

# %% [markdown] lang="en"
# ## What you may now claim, and on what evidence
#
# - From tokens one gets back to the text, except for what the tokenizer simplifies. What is cut is lost, and it is
#   counted.
# - Padding does not change the answer if there is a mask, but it costs the same operations as real tokens. The figure
#   says how many.
# - Padding to the longest sentence of the batch, with sentences of similar length, removes the padding that the figure
#   says without changing a sentence's logits, except for rounding.
# - In a conversation the answer and its end are trained on, and nothing else: decoding the labels shows it.
# - Batches depend only on lengths, batch size, seed and epoch: two methods can be compared on the same ones.
#
# Next lesson: what exactly LoRA adds to a layer.

# %% [markdown] lang="es"
# ## Ejercicios
#
# Escribe tu respuesta en lugar de `...` y ejecuta la celda: `check` te dice si es correcta y, si no, qué error has
# cometido. Puedes intentarlo tantas veces como quieras. Antes de programar, haz la predicción que pide cada ejercicio,
# aunque sea a ojo. No hay que entrenar nada.

# %% [markdown] lang="en"
# ## Exercises
#
# Write your answer in place of `...` and run the cell: `check` tells you whether it is right and, if not, which mistake
# you have made. Try as often as you like. Before you program, make the prediction that each exercise asks for, if only
# by eye. Nothing has to be trained.

# %% [markdown] lang="es"
# ### El relleno, lote a lote
#
# `waste` recibe las longitudes de unas frases, en *tokens*, y el tamaño de lote. Los lotes se forman con las frases en
# el orden en que vienen, y cada uno se rellena hasta su frase más larga; el último puede tener menos frases. Devuelve
# qué parte de los *tokens* que se procesan es relleno, de 0 a 1.
#
# **Predice.** Las longitudes son 10, 10, 10, 50, 10 y 10. ¿Se desperdicia más con lotes de 2 frases o de 3? Responde
# antes de echar cuentas y compruébalo después con tu función.

# %% [markdown] lang="en"
# ### Padding, batch by batch
#
# `waste` takes the lengths of some sentences, in tokens, and the batch size. Batches are made of the sentences in the
# order in which they come, and each is padded to its longest sentence; the last may have fewer sentences. It returns
# what share of the tokens processed is padding, from 0 to 1.
#
# **Predict.** The lengths are 10, 10, 10, 50, 10 and 10. Is more wasted with batches of 2 sentences or of 3? Decide
# before you do any sums, and check it afterwards with your function.

# %% exercise="waste"
from loralab import check


def waste(lengths, batch_size):
    """The share of the tokens in the batches that is padding, 0 to 1."""
    ### BEGIN SOLUTION
    processed = 0
    for first_row in range(0, len(lengths), batch_size):
        batch = lengths[first_row : first_row + batch_size]
        processed += len(batch) * max(batch)
    return 1 - sum(lengths) / processed
    ### END SOLUTION


check("waste", waste)

# %% [markdown] lang="es"
# ### Qué se juzga en una fila
#
# `answer_labels` recibe una fila de un lote de conversaciones, `ids`: una lista con los números de sus *tokens*. Los
# `prompt_length` primeros son la pregunta con su plantilla; después vienen la respuesta y su final, hasta completar
# `length` en total; lo que quede es relleno. El final y el relleno llevan el mismo número, el 2. Devuelve una lista
# igual de larga con las etiquetas: el propio número en la respuesta y en su final, y −100 en lo demás. A una fila que
# `max_length` haya cortado le falta el final, y la función tiene que valer también para ella.
#
# **Predice.** En la fila `[1, 4, 2, 9, 8, 2, 2, 2]`, con `prompt_length=3` y `length=6`, ¿qué es cada uno de los cuatro
# doses, y cuál se juzga? Escribe las ocho etiquetas en un papel antes de programar.

# %% [markdown] lang="en"
# ### What is judged in a row
#
# `answer_labels` takes one row of a batch of conversations, `ids`: a list with the numbers of its tokens. The first
# `prompt_length` are the question with its template; then come the answer and its end, up to `length` in all; what is
# left is padding. The end and the padding have the same number, 2. It returns a list of the same length with the
# labels: the number itself in the answer and its end, and −100 elsewhere. A row that `max_length` has cut lacks its
# end, and the function has to work for that one too.
#
# **Predict.** In the row `[1, 4, 2, 9, 8, 2, 2, 2]`, with `prompt_length=3` and `length=6`, what is each of the four
# twos, and which one is judged? Write down the eight labels on paper before you program.

# %% exercise="answer_labels"
from loralab import check


def answer_labels(ids, prompt_length, length):
    """The labels of one padded row: its ids in the answer and its end, else -100."""
    ### BEGIN SOLUTION
    answer = ids[prompt_length:length]
    padding = len(ids) - length
    return [-100] * prompt_length + answer + [-100] * padding
    ### END SOLUTION


check("answer_labels", answer_labels)

# %% [markdown] lang="es"
# ### La pérdida de varias respuestas
#
# `token_loss` recibe la pérdida media de cada respuesta de un lote (`losses`, en nats por *token*) y cuántos *tokens*
# se juzgan en cada una (`tokens`). Devuelve la pérdida del lote, que se calcula como en la lección: con todos los
# *tokens* que se juzgan, sean de la respuesta que sean.
#
# **Predice.** Tres respuestas, de 4, 10 y 30 *tokens*, tienen pérdidas de 5,0; 2,5 y 1,5. ¿La del lote será
# mayor o menor que 3, la media de las tres? Quien compara pérdidas tiene que saber qué respuestas pesan más.

# %% [markdown] lang="en"
# ### The loss of several answers
#
# `token_loss` takes the mean loss of each answer in a batch (`losses`, in nats per token) and how many tokens are
# judged in each (`tokens`). It returns the loss of the batch, which is computed as in the lesson: over all tokens that
# are judged, whichever answer they belong to.
#
# **Predict.** Three answers, of 4, 10 and 30 tokens, have losses of 5.0, 2.5 and 1.5. Will the batch's be larger
# or smaller than 3, the mean of the three? Whoever compares losses has to know which answers weigh most.

# %% exercise="token_loss"
from loralab import check


def token_loss(losses, tokens):
    """The loss of a batch, from each answer's mean loss and number of tokens."""
    ### BEGIN SOLUTION
    nats = [loss * count for loss, count in zip(losses, tokens, strict=True)]
    return sum(nats) / sum(tokens)
    ### END SOLUTION


check("token_loss", token_loss)
