# %% [markdown] lang="es"
# # 2 · Tokens y lotes
#
# **Pregunta.** ¿Qué lee el modelo, y cuánto de lo que calcula se desperdicia?
#
# Un modelo no lee letras, sino números. Aquí sigues una frase desde el texto hasta los *tokens*, y de ahí al **lote**
# (*batch*, las frases que se procesan de una vez). Al terminar sabrás:
#
# - decodificar cualquier lote y decir qué es cada número;
# - calcular qué parte de un lote es relleno, y reducirla;
# - decir qué *tokens* de una conversación enseñan algo al modelo, y cuáles solo se leen;
# - elegir la función que forma los lotes.
#
# Hace falta la lección 1.

# %% [markdown] lang="en"
# # 2 · Tokens and batches
#
# **Question.** What does the model read, and how much of what it computes is waste?
#
# A model does not read letters, but numbers. Here you follow a sentence from text to tokens, and from there to a
# **batch** (the sentences that are processed at once). By the end you can:
#
# - decode any batch and say what each number is;
# - work out what share of a batch is padding, and reduce it;
# - say which tokens of a conversation teach the model something, and which are only read;
# - choose the function that makes the batches.
#
# You need lesson 1.

# %%
from loralab import hand_over, start

LANGUAGE = "es"
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)

# %% [markdown] lang="es"
# ## Del texto a los números, ida y vuelta
#
# El tokenizador parte el texto en *tokens*: trozos de un vocabulario fijo, cada uno con su número. Cada modelo tiene el
# suyo; este es el del clasificador de tu perfil (`ENCODER`). Una palabra rara sale en varios trozos: `##` marca uno que
# continúa la misma palabra. Y se añaden *tokens* especiales, `[CLS]` al principio y `[SEP]` al final. Los
# clasificadores del curso no distinguen mayúsculas (*uncased*).

# %% [markdown] lang="en"
# ## From text to numbers, and back
#
# The tokenizer cuts text into tokens: pieces from a fixed vocabulary, each with its number. Each model has its own;
# this is that of your profile's classifier (`ENCODER`). A rare word comes out in several pieces: `##` marks one that
# continues the same word. And special tokens are added, `[CLS]` at the start and `[SEP]` at the end. The course's
# classifiers ignore case (*uncased*).

# %% tags=["nbval-check-output"]
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(ENCODER)
ids = tokenizer("An unfunny, overlong biopic.")["input_ids"]
print(ids)
print(tokenizer.convert_ids_to_tokens(ids))
read = tokenizer.decode(ids, skip_special_tokens=True)
assert read.lower() == "an unfunny, overlong biopic."

# %% [markdown] lang="es"
# ¿Cuántos *tokens* tienen las frases? La línea discontinua es `max_length`, el máximo que se le dará al modelo: lo que
# pase de ahí se corta. Un recorte que no se cuenta es un dato que falta sin que lo sepas: `encode` lo cuenta en
# `truncated`.

# %% [markdown] lang="en"
# How many tokens do the sentences have? The dashed line is `max_length`, the most that the model will be given: what
# exceeds it is cut off. A cut that nobody counts is data missing without your knowing it: `encode` counts it in
# `truncated`.

# %%
from loralab import load_splits, number, predict
from loralab.lessons import length_histogram, padding_bars, padding_waste, token_boxes
from loralab.train import batches_by_length, encode

experiment = profile.experiment("lora")
splits = load_splits(experiment)
columns = [name for name in ("text", "text_pair") if name in splits.train]
texts = [list(splits.train[name]) for name in columns]
whole = [len(row) for row in tokenizer(*texts, verbose=False)["input_ids"]]

train = encode(splits.train, tokenizer, experiment.max_length)
assert train.lengths == [min(length, experiment.max_length) for length in whole]
print(train.truncated, "/", len(whole))
length_histogram(whole, experiment.max_length)

# %% [markdown] lang="es"
# ¿Y si el máximo fuera demasiado pequeño? Con 12 *tokens*, esta crítica pierde justo la mitad que decide, y su etiqueta
# seguiría siendo la misma: el modelo tendría que aprender «desfavorable» de un elogio.

# %% [markdown] lang="en"
# And if the maximum were too small? With 12 tokens, this review loses the very half that decides, and its label would
# stay the same: the model would have to learn “unfavourable” from praise.

# %% tags=["nbval-check-output"]
review = "Gorgeous to look at and superbly acted, but the plot is a complete disaster."
cut = tokenizer(review, truncation=True, max_length=12)["input_ids"]
assert len(cut) == 12 and cut[-1] == tokenizer.sep_token_id
print(tokenizer.decode(cut))

# %% [markdown] lang="es"
# ## El relleno
#
# Un lote es una tabla, y las filas de una tabla miden lo mismo: las cortas se rellenan (*padding*) con un *token* que
# no significa nada. `attention_mask` dice qué es texto (1) y qué es relleno (0).

# %% [markdown] lang="en"
# ## Padding
#
# A batch is a table, and the rows of a table are equally long: short ones are padded with a token that means nothing.
# `attention_mask` tells what is text (1) and what is padding (0).

# %% tags=["nbval-check-output"]
pair = tokenizer(["Dull.", "A joy from start to finish."], padding=True)
for row in pair["input_ids"]:
    print(tokenizer.convert_ids_to_tokens(row))
pair["attention_mask"]

# %% [markdown] lang="es"
# El modelo hace con cada *token* de relleno las mismas operaciones que con uno de verdad. Cuánto relleno hay depende de
# hasta dónde se rellene: hasta un número fijo, hasta la frase más larga de todas, hasta la más larga de cada lote, o
# hasta esa misma en lotes de frases de longitud parecida.
#
# Haz dos predicciones: qué porcentaje de los *tokens* será relleno si todo se rellena hasta 512, como hacía el cuaderno
# del que nació este curso, y cuánto habrá en lotes formados al azar (de 16 frases en el perfil `cpu`) y rellenados
# hasta su frase más larga.

# %% [markdown] lang="en"
# The model does the same operations on each padding token as on a real one. How much padding there is depends on how
# far we pad: to a fixed number, to the longest sentence of all, to the longest of each batch, or to that one in batches
# of sentences of similar length.
#
# Make two predictions: what percentage of the tokens will be padding if everything is filled up to 512, as in the
# notebook that this course grew out of, and how much there will be in batches drawn at random (of 16 sentences in the
# `cpu` profile) and padded to their longest sentence.

# %%
guess_512 = predict("padding_512", None)
guess_batch = predict("padding_batch", None)

# %%
import numpy as np

size, real, rows = experiment.batch_size, sum(train.lengths), len(train.lengths)
shuffled = np.random.default_rng(0).permutation(rows)
at_random = [shuffled[i : i + size] for i in range(0, rows, size)]
similar = batches_by_length(train.lengths, size, seed=0, epoch=0)
assert similar == batches_by_length(train.lengths, size, seed=0, epoch=0)
assert similar != batches_by_length(train.lengths, size, seed=0, epoch=1)

width = max(512, max(train.lengths))
waste = {str(width): 1 - real / (rows * width)}
waste["longest"] = 1 - real / (rows * max(train.lengths))
waste["batch"] = padding_waste(train.lengths, at_random)
waste["similar"] = padding_waste(train.lengths, similar)
assert waste["similar"] <= waste["batch"] <= waste["longest"] <= waste[str(width)]

mean = number(real / rows, 1)
longest = np.mean([max(train.lengths[row] for row in batch) for batch in at_random])
guess_512.compare(100 * waste[str(width)], mean=mean)
guess_batch.compare(100 * waste["batch"], mean=mean, longest=number(longest, 1))
padding_bars(waste)

# %% [markdown] lang="es"
# El relleno es cálculo perdido, y evitarlo no tiene nada que ver con LoRA. Los lotes de longitud parecida cambian en
# cada **época** (cada pasada por los datos) y se pueden repetir: dependen solo de las longitudes, el tamaño de lote, la
# semilla y la época. Así, dos métodos se comparan con los mismos lotes.
#
# ## ¿Cambia el relleno la respuesta?
#
# No, si se le pasa la máscara. El modelo da un vector por *token*; comparamos los tres primeros números del de `[CLS]`
# para la frase más corta: sola, rellenada junto a la más larga con máscara, y sin ella. **Hazlo mal a propósito:** sin
# máscara, `transformers` supone que todo es texto y no dice nada. No hay error: hay otra respuesta.

# %% [markdown] lang="en"
# Padding is wasted computation, and avoiding it has nothing to do with LoRA. Batches of similar length change in each
# **epoch** (each pass through the data) and can be repeated: they depend only on the lengths, the batch size, the seed
# and the epoch. So two methods are compared on the same batches.
#
# ## Does padding change the answer?
#
# No, if the mask is given. The model gives one vector per token; we compare the first three numbers of `[CLS]`'s for
# the shortest sentence: alone, padded beside the longest with the mask, and without it. **Break it:** without a mask,
# `transformers` assumes that everything is text, and says nothing. There is no error: there is another answer.

# %%
import torch
from transformers import AutoModel, DataCollatorWithPadding

model = AutoModel.from_pretrained(ENCODER, dtype=torch.float32).eval()
order = np.argsort(train.lengths)
short, long = (train.dataset[int(i)] for i in (order[0], order[-1]))
batch = DataCollatorWithPadding(tokenizer)([short, long])
ids, mask = batch["input_ids"], batch["attention_mask"]
with torch.no_grad():
    alone = model(torch.tensor([short["input_ids"]])).last_hidden_state[0, 0]
    masked = model(ids, mask).last_hidden_state[0, 0]
    unmasked = model(ids).last_hidden_state[0, 0]
print(alone[:3], masked[:3], unmasked[:3], sep="\n")
assert torch.allclose(alone, masked, atol=1e-4)
if (mask == 0).any():  # not if all texts are as long as can be
    assert not torch.allclose(alone, unmasked, atol=1e-3)

# %% [markdown] lang="es"
# ## Quién forma el lote
#
# Convertir una lista de ejemplos en una tabla es trabajo de un *collator*, y no todos sirven. `default_data_collator`
# apila lo que recibe, sin rellenar; `DataCollatorWithPadding` rellena la entrada y la máscara, y no toca las etiquetas,
# que aquí son una por frase.

# %% [markdown] lang="en"
# ## Who makes the batch
#
# Turning a list of examples into a table is the job of a collator, and not all of them will do. `default_data_collator`
# stacks what it gets, without padding; `DataCollatorWithPadding` pads the input and the mask, and leaves the labels
# alone: here there is one per sentence.

# %%
from transformers import default_data_collator

four = [train.dataset[int(i)] for i in order[:: rows // 4][:4]]
made = DataCollatorWithPadding(tokenizer)(four)
print({name: tuple(tensor.shape) for name, tensor in made.items()})
lengths = [len(example["input_ids"]) for example in four]
assert made["attention_mask"].sum(dim=1).tolist() == lengths
if len(set(lengths)) > 1:
    try:
        default_data_collator(four)
    except ValueError as error:
        print("→", type(error).__name__, str(error)[:60])

# %% [markdown] lang="es"
# ## La otra tarea: una conversación
#
# El modelo que contestará como don Quijote (`BASE`) hace una sola cosa: lee una fila de *tokens* y da a cada *token*
# del vocabulario una probabilidad de ser el siguiente. Se elige uno, se añade a la fila y se vuelve a preguntar. ¿Dónde
# acaba la pregunta y dónde empieza la respuesta? Lo dice la **plantilla de chat** del tokenizador, que envuelve cada
# turno en *tokens* especiales. Le damos una pregunta suelta. ¿Qué habrá delante de ella?

# %% [markdown] lang="en"
# ## The other task: a conversation
#
# The model that will answer as Don Quixote (`BASE`) does one thing: it reads a row of tokens and gives each token of
# the vocabulary a probability of coming next. One is chosen, added to the row, and the model is asked again. Where does
# the question end and the answer begin? The tokenizer's **chat template** says so: it wraps each turn in special
# tokens. We give it a bare question. What will stand before it?

# %% tags=["nbval-check-output"]
from loralab.train import encode_pairs, load_tokenizer

persona = profile.generation.experiment("lora")
chat = load_tokenizer(persona.model)  # AutoTokenizer's, and a template if it has none
asked = [{"role": "user", "content": "Should I buy a horse?"}]
print(chat.apply_chat_template(asked, tokenize=False, add_generation_prompt=True))

# %% [markdown] lang="es"
# Si no le das un mensaje de sistema (las instrucciones que abren la conversación), la plantilla puede poner el suyo.
# Entrenar con uno y usar el modelo con otro es darle dos tareas distintas, y nadie avisa. Por eso el nuestro, la
# columna `instruction`, va siempre: al entrenar y al preguntar.
#
# Cada posición lleva una etiqueta: su propio *token* si es de la respuesta o de su final, y −100 en las demás, que para
# PyTorch quiere decir «esto no se juzga». La celda lo hace a mano con un par, y comprueba que `encode_pairs` da lo
# mismo. (Sus primeras líneas solo buscan un par que haya cabido entero.)

# %% [markdown] lang="en"
# If you give it no system message (the instructions that open the conversation), the template may put in its own. To
# train with one and use the model with another is to set it two different tasks, and nobody warns you. So ours, the
# column `instruction`, is always there: in training and in use.
#
# Each position has a label: its own token if it belongs to the answer or its end, and −100 elsewhere, which to PyTorch
# means “not judged”. The cell does it by hand for one pair, and checks that `encode_pairs` gives the same. (Its first
# lines only look for a pair that fitted whole.)

# %%
pairs = load_splits(persona).train
dialogues = encode_pairs(pairs, chat, persona.max_length)
limit = persona.max_length or chat.model_max_length
uncut = [i for i, length in enumerate(dialogues.lengths) if length < limit]  # whole
kept = [row for row in range(len(pairs)) if row not in dialogues.left_out]
first, written = dialogues.dataset[uncut[0]], pairs.iloc[kept[uncut[0]]]

turns = [
    {"role": "system", "content": written["instruction"]},
    {"role": "user", "content": written["input"]},
]
answered = [*turns, {"role": "assistant", "content": written["output"]}]
if not written["instruction"]:  # of data of one's own that have none
    turns, answered = turns[1:], answered[1:]
prompt = chat.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
ids = chat.apply_chat_template(answered, return_dict=False)[: len(first["input_ids"])]
assert first["input_ids"] == ids
assert first["labels"] == [-100] * len(prompt) + ids[len(prompt) :]
end = first["labels"][-1]  # the token that ends the turn

pieces = [chat.decode([token]).replace("\n", "⏎") for token in ids]
token_boxes(pieces, [label != -100 for label in first["labels"]])

# %% [markdown] lang="es"
# Se entrena con lo azul: la respuesta y el *token* que cierra el turno. Sin ese último, nada le enseñaría a callar. La
# pregunta se lee, y decide la respuesta, pero no se le pide al modelo que la escriba.
#
# **Hazlo mal a propósito: el relleno que es también un final.** En muchos modelos de chat, el *token* de relleno es el
# mismo que cierra el turno. Parece natural enmascarar «todo lo que sea relleno» por su número. La celda cuenta cuántos
# finales conservan su etiqueta en un lote de dos respuestas, por número y por posición.

# %% [markdown] lang="en"
# The blue is trained on: the answer and the token that closes the turn. Without that last one, nothing would teach it
# to stop. The question is read, and decides the answer, but the model is not asked to write it.
#
# **Break it: padding that is also an ending.** In many chat models the padding token is the very one that closes the
# turn. It seems natural to mask “all that is padding” by its number. The cell counts how many endings keep their label
# in a batch of two answers, by number and by position.

# %%
from transformers import DataCollatorForSeq2Seq

by_length = sorted(uncut, key=dialogues.lengths.__getitem__)
two = [dialogues.dataset[i] for i in (by_length[0], by_length[-1])]
padded = DataCollatorForSeq2Seq(chat)(two)
by_number = padded["labels"].masked_fill(padded["input_ids"] == chat.pad_token_id, -100)
ends = [(labels == end).sum().item() for labels in (by_number, padded["labels"])]
print(chat.pad_token, chat.decode([end]), ends)
assert ends == [0 if chat.pad_token_id == end else 2, 2]

# %% [markdown] lang="es"
# `DataCollatorForSeq2Seq` rellena las etiquetas con −100 y sabe dónde, porque el relleno lo pone él. Es el que usa el
# paquete. `DataCollatorForLanguageModeling`, pensado para texto seguido, se inventa las etiquetas: copia la entrada
# entera, pregunta incluida, y enmascara por su número lo que sea relleno. No falla, pero entrena con más *tokens* que
# la respuesta y, donde relleno y final coinciden, con ningún final. La celda imprime, de las dos respuestas, cuántos
# *tokens* se juzgan y si se juzga algún final.

# %% [markdown] lang="en"
# `DataCollatorForSeq2Seq` pads the labels with −100 and knows where, because it adds the padding itself. It is what the
# package uses. `DataCollatorForLanguageModeling`, meant for running text, makes the labels up: it copies the whole
# input, question included, and masks, by its number, whatever is padding. It does not fail, but it trains on more
# tokens than the answer and, where padding and end are one, on no end at all. The cell prints, for the two answers, how
# many tokens are judged and whether any end is.

# %%
from transformers import DataCollatorForLanguageModeling

bare = [{k: row[k] for k in ("input_ids", "attention_mask")} for row in two]
running = DataCollatorForLanguageModeling(chat, mlm=False)(bare)["labels"]
for name, labels in (("Seq2Seq", padded["labels"]), ("LanguageModeling", running)):
    print(
        name, (labels != -100).sum(dim=1).tolist(), (labels == end).any(dim=1).tolist()
    )

# %% [markdown] lang="es"
# ## ¿Quién desplaza las etiquetas?
#
# El modelo predice el *token* siguiente, y sin embargo las etiquetas están en su sitio. Es que las desplaza por dentro:
# compara lo que predice en cada posición con la etiqueta de la siguiente. Si las desplazas tú también, entrenas con el
# *token* que está dos posiciones más allá, y nada falla.
#
# La **pérdida** es la media de $-\ln p$, donde $p$ es la probabilidad que da al *token* que de verdad viene; su unidad
# es el nat, y 0 sería acertar siempre con seguridad. Repartir la probabilidad por igual entre los 49 152 *tokens* de
# SmolLM2 daría $\ln 49152 \approx 10{,}8$. ¿Cuánto da la base, antes del *fine-tuning*, contando solo la respuesta? La
# celda hace la cuenta a mano, a partir de las puntuaciones que el modelo da a cada *token* (`logits`, que `log_softmax`
# convierte en logaritmos de probabilidades), y la compara con la que da el modelo.

# %% [markdown] lang="en"
# ## Who shifts the labels?
#
# The model predicts the next token, and yet the labels stand in their own place. It shifts them inside: it compares
# what it predicts at each position with the label of the next. If you shift them too, you train on the token after
# next, and nothing fails.
#
# The **loss** is the mean of $-\ln p$, where $p$ is the probability that it gives the token that really comes; its unit
# is the nat, and 0 would be always right and sure. Spreading the probability evenly over SmolLM2's 49,152 tokens would
# give $\ln 49152 \approx 10.8$. How large is it in the base, before fine-tuning, counting only the answer? The cell
# does the sum by hand, from the scores that the model gives each token (`logits`, which `log_softmax` turns into
# logarithms of probabilities), and compares it with the one that the model gives.

# %%
guess_answer = predict("answer_loss", None)

# %%
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()
batch = DataCollatorForSeq2Seq(chat)([dialogues.dataset[i] for i in by_length[:4]])
everything = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
with torch.no_grad():
    output = base(**batch)
    all_tokens = base(**{**batch, "labels": everything}).loss.item()
by_hand = torch.nn.functional.cross_entropy(
    output.logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten()
)
assert torch.allclose(by_hand, output.loss, atol=1e-4)
guess_answer.compare(by_hand.item(), everything=number(all_tokens, 2))

# %% [markdown] lang="es"
# Dos pérdidas sobre posiciones distintas no se pueden comparar.
#
# ## Qué puedes afirmar ya, y con qué pruebas
#
# - De los *tokens* se recupera el texto, salvo lo que el tokenizador simplifica. Lo que se recorta se pierde, y queda
#   contado.
# - El relleno no cambia la respuesta si hay máscara, pero cuesta lo mismo que los *tokens* de verdad: la figura dice
#   cuánto.
# - En una conversación se entrena con la respuesta y su final, y con nada más: lo dicen las etiquetas.
#
# Siguiente lección: qué añade LoRA exactamente a una capa.

# %% [markdown] lang="en"
# Two losses over different positions cannot be compared.
#
# ## What you may now claim, and on what evidence
#
# - From tokens one gets back to the text, except for what the tokenizer simplifies. What is cut is lost, and it is
#   counted.
# - Padding does not change the answer if there is a mask, but it costs as much as real tokens: the figure says how
#   much.
# - In a conversation the answer and its end are trained on, and nothing else: the labels say so.
#
# Next lesson: what exactly LoRA adds to a layer.

# %% [markdown] lang="es"
# ## Ejercicios
#
# Escribe tu respuesta en lugar de `...` y ejecuta la celda: `check` te dice si es correcta y, si no, qué error has
# cometido. Antes de programar, predice. Las soluciones están en `notebooks/source`, junto a cada ejercicio;
# `make solutions` las pone en cuadernos.

# %% [markdown] lang="en"
# ## Exercises
#
# Write your answer in place of `...` and run the cell: `check` tells you whether it is right and, if not, which mistake
# you have made. Before you program, predict. The solutions are in `notebooks/source`, beside each exercise;
# `make solutions` puts them into notebooks.

# %% [markdown] lang="es"
# ### El relleno, lote a lote
#
# `waste` recibe las longitudes de unas frases, en *tokens*, y el tamaño de lote. Los lotes se forman con las frases en
# el orden en que vienen, y cada uno se rellena hasta su frase más larga; el último puede tener menos frases. Devuelve
# qué parte de los *tokens* que se procesan es relleno, de 0 a 1.
#
# **Predice.** Las longitudes son 10, 10, 10, 50, 10 y 10. ¿Se desperdicia más con lotes de 2 frases o de 3?

# %% [markdown] lang="en"
# ### Padding, batch by batch
#
# `waste` takes the lengths of some sentences, in tokens, and the batch size. Batches are made of the sentences in the
# order in which they come, and each is padded to its longest sentence; the last may have fewer sentences. It returns
# what share of the tokens processed is padding, from 0 to 1.
#
# **Predict.** The lengths are 10, 10, 10, 50, 10 and 10. Is more wasted with batches of 2 sentences or of 3?

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
# doses, y cuál se juzga?

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
# twos, and which one is judged?

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
# mayor o menor que 3, la media de las tres?

# %% [markdown] lang="en"
# ### The loss of several answers
#
# `token_loss` takes the mean loss of each answer in a batch (`losses`, in nats per token) and how many tokens are
# judged in each (`tokens`). It returns the loss of the batch, which is computed as in the lesson: over all tokens that
# are judged, whichever answer they belong to.
#
# **Predict.** Three answers, of 4, 10 and 30 tokens, have losses of 5.0, 2.5 and 1.5. Will the batch's be larger
# or smaller than 3, the mean of the three?

# %% exercise="token_loss"
from loralab import check


def token_loss(losses, tokens):
    """The loss of a batch, from each answer's mean loss and number of tokens."""
    ### BEGIN SOLUTION
    nats = [loss * count for loss, count in zip(losses, tokens, strict=True)]
    return sum(nats) / sum(tokens)
    ### END SOLUTION


check("token_loss", token_loss)
