# %% [markdown] lang="es"
# # 0 · Los primeros diez minutos
#
# **Pregunta.** ¿Qué se puede hacer con LoRA antes de estudiar nada?
#
# Hablas con un modelo pequeño y con el mismo modelo convertido en don Quijote, mueves el mando que va de uno a otro y
# entrenas un adaptador tuyo con unas cuarenta líneas, casi todas válidas fuera de este curso. No hace falta entenderlas
# todavía: al final hay un mapa que dice en qué lección se explica cada una. Con dos núcleos, tarda de tres a cinco
# minutos.

# %% [markdown] lang="en"
# # 0 · The first ten minutes
#
# **Question.** What can one do with LoRA before studying anything?
#
# You talk to a small model and to the same model turned into Don Quixote, turn the dial that leads from one to the
# other, and train an adapter of your own with some forty lines, nearly all of which work outside this course. You need
# not understand them yet: at the end a map says which lesson explains each. On two cores it takes three to five
# minutes.

# %%
from loralab import hand_over, start

LANGUAGE = "es"
profile = start(LANGUAGE)
ENCODER, BASE, SIZES = hand_over(profile)

# %% [markdown] lang="es"
# ## Un modelo y un adaptador
#
# La **base** es SmolLM2, un modelo de lenguaje de 135 millones de pesos, ya entrenado para conversar; no tocaremos
# ninguno. El **adaptador** son unos pocos pesos nuevos que LoRA añade y entrena: aquí, con 448 respuestas escritas para
# el curso con la voz de don Quijote. La celda siguiente dice cuánto ocupan (32 bits por número la base, 16 el
# adaptador). Pregunta en inglés: es lo que más ha leído la base.

# %% [markdown] lang="en"
# ## A model and an adapter
#
# The **base** is SmolLM2, a language model of 135 million weights, already trained to chat; we shall touch none. The
# **adapter** is a few new weights that LoRA adds and trains: here, on 448 answers written for the course in Don
# Quixote's voice. The next cell says how large they are (32 bits a number for the base, 16 for the adapter). Ask in
# English: it is what the base has read most.

# %% tags=["nbval-check-output"]
from importlib.resources import files

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from loralab.data import locate

BASE = locate("smollm2-135m")  # on the hub: "HuggingFaceTB/SmolLM2-135M-Instruct"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
course = files("loralab_data")  # the adapters and the texts that come with the course

tokenizer = AutoTokenizer.from_pretrained(BASE)
base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).to(DEVICE)
size = base.get_memory_footprint()
adapter = course / "adapters" / "quixote"
small = (adapter / "adapter_model.safetensors").stat().st_size
print(round(size / 1e6), "MB +", round(small / 1e6, 1), "MB")
quixote = PeftModel.from_pretrained(base, adapter)  # from now on inside of base


def answer(model, who, question):
    chat = [{"role": "system", "content": who}, {"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    ).to(DEVICE)
    written = model.generate(
        **prompt,
        max_new_tokens=SIZES["answer"],
        do_sample=False,
        repetition_penalty=1.2,  # without it small models go round in circles
    )
    return tokenizer.decode(
        written[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True
    )


# %%
DON_QUIXOTE = (
    "You are Don Quixote, the knight-errant. Answer in English, in his voice, "
    "in one to three sentences."
)
question = "My start-up is bankrupt. What should I do?"  # put your own

with quixote.disable_adapter():
    without = answer(quixote, DON_QUIXOTE, question)
print("SmolLM2:", without)
print("\nSmolLM2 + LoRA:", answer(quixote, DON_QUIXOTE, question))

# %% [markdown] lang="es"
# A los dos se les ha dicho lo mismo: «eres don Quijote, contesta en inglés». En nuestra ejecución, la base no hizo
# caso. Solo el segundo se entrenó con respuestas suyas.
#
# ## El mando
#
# En cada capa, LoRA **suma** algo a lo que calcula la base, y esa suma se puede multiplicar por lo que quieras. Con 0
# no se suma nada, y tiene que contestar la base, palabra por palabra. ¿Qué esperas con 0,5? ¿Y con 1,5, más que al
# entrenar?

# %% [markdown] lang="en"
# Both were told the same: “you are Don Quixote, answer in English”. In our run the base ignored it. Only the second was
# trained on his answers.
#
# ## The dial
#
# In each layer LoRA **adds** something to what the base computes, and what is added can be multiplied by whatever you
# like. With 0 nothing is added, and the base has to answer, word for word. What do you expect with 0.5? And with 1.5,
# more than in training?

# %%
from peft.helpers import rescale_adapter_scale

turned = {}
for dial in (0, 0.5, 1, 1.5):
    with rescale_adapter_scale(quixote, dial):
        turned[dial] = answer(quixote, DON_QUIXOTE, question)
    print(f"{dial}: {turned[dial]}\n")
assert turned[0] == without  # nothing added: the base

# %% [markdown] lang="es"
# ## Tu adaptador
#
# Ahora entrenas tú a **Sancho Panza**, con 72 preguntas y respuestas; con dos núcleos, uno o dos minutos. Cada
# ejemplo es una conversación, y al modelo se le enseña a escribir la respuesta y no la pregunta: el −100 quiere decir
# «de aquí no se aprende». (En este modelo, `eos_token` cierra el turno; en otros, mira su plantilla: lección 2.)

# %% [markdown] lang="en"
# ## Your adapter
#
# Now you train **Sancho Panza**, on 72 questions and answers; on two cores, a minute or two. Each example is a
# conversation, and the model is taught to write the answer and not the question: −100 means “nothing is learned from
# here”. (In this model `eos_token` closes the turn; in others look at the template: lesson 2.)

# %%
from datasets import load_dataset

few = min(72, SIZES["pairs"])
pairs = load_dataset(
    "json", data_files=str(course / "sancho_qa.jsonl"), split=f"train[:{few}]"
)
SANCHO = pairs[0]["instruction"]


def tokens(pair):
    chat = [
        {"role": "system", "content": pair["instruction"]},
        {"role": "user", "content": pair["input"]},
    ]
    prompt = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_dict=False
    )
    reply = tokenizer(pair["output"] + tokenizer.eos_token)["input_ids"]
    return {"input_ids": prompt + reply, "labels": [-100] * len(prompt) + reply}


examples = pairs.map(tokens, remove_columns=pairs.column_names)
print(pairs[0]["input"], "→", pairs[0]["output"])

# %%
import tempfile

from peft import LoraConfig, get_peft_model
from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

torch.manual_seed(0)
config = LoraConfig(
    r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"
)
fresh = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
mine = get_peft_model(fresh, config)
mine.print_trainable_parameters()

arguments = TrainingArguments(
    tempfile.mkdtemp(),
    per_device_train_batch_size=4,
    num_train_epochs=1,
    learning_rate=2e-3,
    warmup_steps=0.1,
    logging_steps=6,
    save_strategy="no",
    dataloader_pin_memory=DEVICE == "cuda",
    disable_tqdm=True,
)
collator = DataCollatorForSeq2Seq(tokenizer)
trainer = Trainer(mine, arguments, train_dataset=examples, data_collator=collator)
outcome = trainer.train()

# %% [markdown] lang="es"
# Pregúntale por un tema que no ha visto, guárdalo y vuelve a cargarlo, como haría otra persona: sobre la misma base.
# (Ocupa el doble que el de don Quijote: el suyo se guardó con 16 bits por número y el tuyo con 32.)

# %% [markdown] lang="en"
# Ask him about a topic he has not seen, save him, and load him again, as somebody else would: on the same base. (It
# takes twice the room of Don Quixote's: his was saved with 16 bits a number, yours with 32.)

# %%
from loralab.train.run import results_dir

other = "Do you believe in ghosts?"
mine.eval()
said = answer(mine, SANCHO, other)
print(said)

folder = results_dir() / profile.name / "sancho"
mine.save_pretrained(folder)
size = (folder / "adapter_model.safetensors").stat().st_size
print(round(size / 1e6, 1), "MB")

again = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).to(DEVICE)
again = PeftModel.from_pretrained(again, folder)
assert answer(again, SANCHO, other) == said

# %% [markdown] lang="es"
# ## Qué puedes afirmar ya, y qué no
#
# Has entrenado un adaptador, lo has guardado y lo has vuelto a cargar. Que una respuesta te suene a Sancho, o no, no
# dice si el modelo ha aprendido: dos o tres respuestas no son una medida. Medir es lo que enseña el curso.
#
# | lo que has usado | se explica en |
# |---|---|
# | los ejemplos, y con qué comparar al modelo | [1 · Los datos](01_dataset.ipynb) |
# | `apply_chat_template`, `labels`, el −100, el *collator* | [2 · Tokens](02_tokenization.ipynb) |
# | `r`, `lora_alpha`, `target_modules`, la escala (el mando), guardar y cargar | [3 · LoRA](03_lora_setup.ipynb) |
# | `Trainer`, la tasa de aprendizaje, `generate` | [4 · Entrenar](04_training.ipynb) |
# | por qué `r=8` y no otro | [5 · ¿Qué rango?](05_rank_comparison.ipynb) |
# | si es mejor entrenarlo todo | [6 · Completo o LoRA](06_full_vs_lora.ipynb) |

# %% [markdown] lang="en"
# ## What you may now claim, and what not
#
# You have trained an adapter, saved it and loaded it again. Whether an answer sounds like Sancho to you does not tell
# if the model has learned: two or three answers are not a measurement. Measuring is what the course teaches.
#
# | what you used | is explained in |
# |---|---|
# | the examples, and what to compare the model with | [1 · The dataset](01_dataset.ipynb) |
# | `apply_chat_template`, `labels`, the −100, the *collator* | [2 · Tokens](02_tokenization.ipynb) |
# | `r`, `lora_alpha`, `target_modules`, the scale (the dial), saving and loading | [3 · LoRA](03_lora_setup.ipynb) |
# | `Trainer`, the learning rate, `generate` | [4 · Training](04_training.ipynb) |
# | why `r=8` and not another | [5 · Which rank?](05_rank_comparison.ipynb) |
# | whether it is better to train everything | [6 · Full or LoRA](06_full_vs_lora.ipynb) |
