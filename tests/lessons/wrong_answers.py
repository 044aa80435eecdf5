"""Typical wrong answers to the exercises, and other right ones: code to stand where the solution does.

WRONG[exercise][hint] draws that hint; "other" is a mistake that nobody foresaw. RIGHT[exercise] are further ways to be
right.
"""

WRONG: dict[str, dict[str, str]] = {}
RIGHT: dict[str, list[str]] = {}

# --- lesson 1

WRONG["unbalanced_mcc"] = {
    "accuracy": "mcc = (960 + 3) / 1000",
    "f1": "mcc = 2 * 960 / (2 * 960 + 30 + 7)",
    "sign": "mcc = (960 * 3 + 30 * 7) / (990 * 967 * 33 * 10) ** 0.5",
    "no_root": "mcc = (960 * 3 - 30 * 7) / (990 * 967 * 33 * 10)",
    "always": "mcc = 0",
    "other": "mcc = (3 * 7 - 960 * 30) / 1000",
}
RIGHT["unbalanced_mcc"] = [
    "mcc = 0.15",
    """
from loralab.train.metrics import score
mcc = score([1] * 990 + [0] * 10, [1] * 960 + [0] * 30 + [1] * 7 + [0] * 3)["mcc"]
""",
    """
import torch
answers, labels = torch.zeros(1000), torch.zeros(1000)
answers[:990], labels[:960], labels[990:997] = 1, 1, 1
mcc = torch.corrcoef(torch.stack([answers, labels]))[0, 1]
""",
]

WRONG["without_copies"] = {
    "exact": """
kept = []
for text in texts:
    if text not in kept:
        kept.append(text)
return kept
""",
    "case": """
seen, kept = set(), []
for text in texts:
    key = " ".join(re.sub(r"[^A-Za-z ]", "", text).split())
    if key not in seen:
        kept.append(text)
    seen.add(key)
return kept
""",
    "punctuation": """
seen, kept = set(), []
for text in texts:
    if text.lower().split() not in [other.lower().split() for other in kept]:
        kept.append(text)
return kept
""",
    "inside": """
seen, kept = set(), []
for text in texts:
    key = re.sub(r"[^a-z]", " ", text.lower()).strip()
    if key not in seen:
        kept.append(text)
    seen.add(key)
return kept
""",
    "stop_words": """
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
first = {}
for text in texts:
    key = tuple(word for word in re.findall(r"[a-z]+", text.lower()) if word not in ENGLISH_STOP_WORDS)
    first.setdefault(key, text)
return list(first.values())
""",
    "order": """
first = {}
for text in texts:
    first.setdefault(" ".join(sorted(re.findall(r"[a-z]+", text.lower()))), text)
return list(first.values())
""",
    "none_kept": """
keys = [re.findall(r"[a-z]+", text.lower()) for text in texts]
return [text for text, key in zip(texts, keys) if keys.count(key) < 2]
""",
    "last": "return list({' '.join(re.findall(r'[a-z]+', text.lower())): text for text in texts}.values())",
    "rewritten": "return list(dict.fromkeys(' '.join(re.findall(r'[a-z]+', text.lower())) for text in texts))",
    "other": "return texts",
}
RIGHT["without_copies"] = [
    """
import string
kept, seen = [], set()
for text in texts:
    key = text.lower().translate(str.maketrans("", "", string.punctuation))
    if key not in seen:
        seen.add(key)
        kept.append(text)
return kept
""",
    """
from loralab.data.splits import find_duplicates
copies = {copy for _, copy in find_duplicates(texts)}
return [text for position, text in enumerate(texts) if position not in copies]
""",
    """
for position in reversed(range(len(texts))):
    earlier = [re.findall(r"[a-z]+", text.lower()) for text in texts[:position]]
    if re.findall(r"[a-z]+", texts[position].lower()) in earlier:
        del texts[position]
return texts
""",
]

WRONG["questions_needed"] = {
    "one_error": "return p * (1 - p) / (points / 100) ** 2",
    "share": "import math\nreturn math.ceil(1.96**2 * p * (1 - p) / points**2)",
    "not_squared": "return 100 * 1.96 * (p * (1 - p)) ** 0.5 / points",
    "whole": "return (1.96 / (points / 200)) ** 2 * p * (1 - p)",
    "variance": "return (1.96 * p * (1 - p) / (points / 100)) ** 2",
    "other": "return 1.96 * (p * (1 - p) / (points / 100)) ** 0.5",
}
RIGHT["questions_needed"] = [
    "import math\nreturn math.ceil(p * (1 - p) * (1.959964 / (points / 100)) ** 2)",
    """
from loralab.show.stats import half_width
n = 1
while 100 * half_width(p, n) > points:
    n += 1
return n
""",
    "return 2000 * (100 * 1.96 * (p * (1 - p) / 2000) ** 0.5 / points) ** 2",
]

# --- lesson 2

WRONG["waste"] = {
    "by_real": """
padding = 0
for start in range(0, len(lengths), batch_size):
    batch = lengths[start : start + batch_size]
    padding += sum(max(batch) - length for length in batch)
return padding / sum(lengths)
""",
    "longest_of_all": "return sum(max(lengths) - length for length in lengths) / (max(lengths) * len(lengths))",
    "last_full": """
processed = 0
for start in range(0, len(lengths), batch_size):
    processed += batch_size * max(lengths[start : start + batch_size])
return (processed - sum(lengths)) / processed
""",
    "last_dropped": """
processed = real = 0
for number in range(len(lengths) // batch_size):
    batch = lengths[number * batch_size : (number + 1) * batch_size]
    processed += batch_size * max(batch)
    real += sum(batch)
return 1 - real / processed
""",
    "mean": """
shares = []
for start in range(0, len(lengths), batch_size):
    batch = lengths[start : start + batch_size]
    shares.append(1 - sum(batch) / len(batch) / max(batch))
return sum(shares) / len(shares)
""",
    "other": """
processed = 0
for start in range(0, len(lengths), batch_size):
    batch = lengths[start : start + batch_size]
    processed += len(batch) * max(batch)
return sum(lengths) / processed
""",
}
RIGHT["waste"] = [
    """
from loralab.lessons.by_hand import padding_waste
rows = range(len(lengths))
return padding_waste(lengths, [rows[i : i + batch_size] for i in rows[::batch_size]])
""",
    """
import numpy as np
padding = real = 0
while lengths:
    batch = [lengths.pop(0) for _ in range(min(batch_size, len(lengths)))]
    padding += np.sum(np.max(batch) - np.array(batch))
    real += np.sum(batch)
return padding / (padding + real)
""",
]

WRONG["answer_labels"] = {
    "by_number": """
labels = [-100] * prompt_length + ids[prompt_length:]
return [-100 if token == 2 else token for token in labels]
""",
    "end": "return [-100] * prompt_length + ids[prompt_length : length - 1] + [-100] * (len(ids) - length + 1)",
    "shifted": """
labels = [-100] * prompt_length + ids[prompt_length:length] + [-100] * (len(ids) - length)
return labels[1:] + [-100]
""",
    "prompt": "return ids[:length] + [-100] * (len(ids) - length)",
    "padding": "return [-100] * prompt_length + ids[prompt_length:]",
    "zeros": "return [0] * prompt_length + ids[prompt_length:length] + [0] * (len(ids) - length)",
    "other": "return ids[prompt_length:length]",
}
RIGHT["answer_labels"] = [
    "return [token if prompt_length <= i < length else -100 for i, token in enumerate(ids)]",
    """
ids[:prompt_length] = [-100] * prompt_length
ids[length:] = [-100] * (len(ids) - length)
return ids
""",
    """
import torch
labels = torch.full((len(ids),), -100)
labels[prompt_length:length] = torch.tensor(ids)[prompt_length:length]
return labels
""",
]

WRONG["token_loss"] = {
    "rows": "import numpy as np\nreturn np.mean(losses)",
    "sum": "return sum(loss * count for loss, count in zip(losses, tokens))",
    "padding": "return sum(loss * count for loss, count in zip(losses, tokens)) / (len(losses) * max(tokens))",
    "unweighted": "return sum(losses) / sum(tokens)",
    "other": "return max(losses)",
}
RIGHT["token_loss"] = [
    "import numpy as np\nreturn np.average(losses, weights=tokens)",
    "import torch\nreturn torch.tensor(losses) @ (torch.tensor(tokens) / sum(tokens))",
]

# --- lesson 3

WRONG["adapter_size"] = {
    "half": "parameters = 6 * 3 * 16 * 384",
    "one_block": "parameters = 3 * 16 * (384 + 384)",
    "one_layer": "parameters = 16 * (384 + 384)",
    "no_key": "parameters = 2 * 73_728",
    "head": "parameters = 6 * 3 * 16 * (384 + 384) + 770",
    "whole": "parameters = 6 * 3 * 384 * 384",
    "other": "parameters = 16 * 384 * 384",
}
RIGHT["adapter_size"] = [
    "parameters = 3 * 73_728",
    """
from loralab.train.models import apply_method, count_parameters, load_base
wanted = profile.experiment("lora", model="minilm-l6", rank=16, target_modules=("query", "key", "value"))
parameters = count_parameters(apply_method(load_base("minilm-l6", seed=0), wanted))["adapter"]
""",
]

WRONG["merge"] = {
    "transposed": "return W + alpha / A.shape[0] * A.T @ B.T",
    "no_rank": "return W + alpha * (B @ A)",
    "no_scale": "return W + B @ A",
    "inverted": "return W + A.shape[0] / alpha * (B @ A)",
    "wrong_rank": "return W + alpha / A.shape[1] * (B @ A)",
    "twice": "W = W + alpha / A.shape[0] * (B @ A)\nreturn W + alpha / A.shape[0] * (B @ A)",
    "update": "return alpha / A.shape[0] * (B @ A)",
    "other": "return W + B @ A / alpha",
}
RIGHT["merge"] = [
    "W += alpha / B.shape[1] * (B @ A)\nreturn W",
    """
import torch
layer = torch.nn.Linear(A.shape[1], B.shape[0], bias=False)
x = torch.eye(A.shape[1])
return (x @ W.T + alpha / len(A) * x @ A.T @ B.T).T
""",
    "import numpy as np\nreturn np.asarray(W) + alpha / len(A) * np.einsum('or,ri->oi', B, A)",
]

WRONG["gemma_pattern"] = {
    "vision": 'pattern = ["q_proj", "k_proj", "v_proj", "o_proj"]',
    "not_linear": r'pattern = r".*language_model.*self_attn.*"',
    "too_many": r'pattern = r".*language_model.*_proj"',
    "some": r'pattern = r".*language_model.*\.(q|k|v)_proj"',
    "none": r'pattern = r"language_model.*\.(q_proj|k_proj|v_proj|o_proj)"',
    "other": "pattern = 136",
}
RIGHT["gemma_pattern"] = [
    r'pattern = r".*language_model.*self_attn\.[qkvo]_proj"',
    r'pattern = r"(?!.*vision).*\.(q|k|v|o)_proj"',
    """
pattern = [
    f"language_model.layers.{block}.self_attn.{name}_proj" for block in range(34) for name in "qkvo"
]
""",
]

# --- lesson 4

WRONG["first_loss_three"] = {
    "probability": "loss = 1 / 3",
    "base2": "loss = math.log2(3)",
    "base10": "loss = math.log10(3)",
    "two_classes": "loss = math.log(2)",
    "other": "loss = math.log(3) / 3",
}
RIGHT["first_loss_three"] = [
    "loss = 1.1",
    "import torch\nloss = torch.nn.functional.cross_entropy(torch.zeros(5, 3), torch.tensor([0, 1, 2, 2, 1]))",
    "import numpy as np\nloss = -np.log(1 / 3)",
]

COUNTED = """
modules = ["query", "value"]
tuned = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", r=16, target_modules=modules))
counted = sum(p.numel() for name, p in tuned.named_parameters() if "lora_" in name)
"""
WRONG["roberta_adapter"] = {
    "half_matrix": COUNTED + "matrix = 8 * (768 + 768)\nblock = 2 * matrix\nadapter = 12 * block",
    "one_matrix": COUNTED + "matrix = block = 16 * (768 + 768)\nadapter = 12 * block",
    "six_blocks": COUNTED + "matrix = 16 * (768 + 768)\nblock = 2 * matrix\nadapter = 6 * block",
    "head": COUNTED
    + """
matrix = 16 * (768 + 768)
block = 2 * matrix
adapter = 12 * block
counted, total = tuned.get_nb_trainable_parameters()
""",
    "other": COUNTED + "matrix = 768 * 768\nblock = 2 * matrix\nadapter = 12 * block",
}
RIGHT["roberta_adapter"] = [
    COUNTED + "adapter = counted\nblock = adapter / 12\nmatrix = block / 2",
    """
from loralab.train.models import count_parameters, linear_names
from loralab.lessons.by_hand import lora_parameters
layers = linear_names(model)
matrix = lora_parameters(layers["query"][:1], 16)
block = lora_parameters([layers["query"][0], layers["value"][0]], 16)
adapter = lora_parameters(layers["query"] + layers["value"], 16)
tuned = peft.get_peft_model(model, peft.LoraConfig(r=16, target_modules=r".*(query|value)"))
counted = count_parameters(tuned)["adapter"]
""",
]

MODELS_TRAINED = """
results = {name: run(profile.experiment("lora", model=name)) for name in MODELS}
adapters = {name: 6 * 2 * 8 * (384 + 384) for name in MODELS}
"""
WRONG["another_model"] = {
    "head": MODELS_TRAINED + "adapters = {name: 6 * 2 * 8 * (384 + 384) + 384 * 2 + 2 for name in MODELS}",
    "names": MODELS_TRAINED
    + """
from loralab.train.models import linear_names, load_base
from loralab.lessons.by_hand import lora_parameters
layers = linear_names(load_base(MODELS[0], seed=0))
adapters = {MODELS[0]: lora_parameters(layers.get("q_lin", []) + layers.get("v_lin", []), 8)}
""",
    "method": MODELS_TRAINED.replace('"lora"', '"full"'),
    "recipe": MODELS_TRAINED.replace("model=name", "model=name, rank=4"),
    "other": MODELS_TRAINED.replace("6 * 2", "12 * 2"),
}
RIGHT["another_model"] = [
    """
from loralab.train.models import linear_names, load_base
from loralab.lessons.by_hand import lora_parameters
adapters, results = {}, {}
for name in MODELS:
    layers = linear_names(load_base(name, seed=0))
    adapters[name] = lora_parameters(layers["query"] + layers["value"], 8)
    results[name] = [run(profile.experiment("lora", model=name, seed=profile.seeds[0]))]
""",
]

WRONG["pair_encoding"] = {
    "joined": 'return tokenizer(first + " " + second)["input_ids"]',
    "lost": 'return tokenizer(first, truncation=True)["input_ids"]',
    "typed": 'return tokenizer(f"{first} [SEP] {second}")["input_ids"]',
    "twice": 'return tokenizer(first)["input_ids"] + tokenizer(second)["input_ids"]',
    "batch": 'return tokenizer([first, second])["input_ids"]',
    "other": 'return tokenizer(second, first)["input_ids"]',
}
RIGHT["pair_encoding"] = [
    "return tokenizer.encode(first, second)",
    'return tokenizer(first, text_pair=second, return_tensors="pt")["input_ids"]',
    "return tokenizer([first], [second], truncation=True)",
    'return tokenizer([(first, second)])["input_ids"][0]',
]

STUDIED = """
results = {d: [run(profile.experiment(m, dataset=d, **SIZES)) for m in ("lora", "majority")] for d in DATASETS}
table = {d: (metric_of(d), *(r.test[metric_of(d)] for r in both)) for d, both in results.items()}
"""
WRONG["glue_study"] = {
    "accuracy": STUDIED.replace("r.test[metric_of(d)]", 'r.test["accuracy"]'),
    "majority": STUDIED.replace(', "majority"', ", "),
    "validation": STUDIED
    + """
for d, (lora, majority) in results.items():
    table[d] = (metric_of(d), lora.epochs[-1][metric_of(d)], majority.test[metric_of(d)])
""",
    "half": STUDIED + "table = {d: (name, score, 0.5) for d, (name, score, _) in table.items()}",
    "recipe": STUDIED.replace("**SIZES", "**SIZES, epochs=2"),
    "other": STUDIED + "table = {d: (name, most, score) for d, (name, score, most) in table.items()}",
}
RIGHT["glue_study"] = [
    STUDIED + "table = {d: [name.upper(), round(score, 3), round(most, 3)] for d, (name, score, most) in table.items()}"
]

# --- lesson 5

RANKED = """
import numpy as np
results, table, gap, against_8 = [], {}, {}, {}
for r in (4, 8, 16):
    group = run_all([profile.experiment("lora", rank=r, alpha=2 * r, seed=s) for s in profile.seeds])
    accuracy = np.mean([x.test["accuracy"] for x in group])
    seconds = np.mean([x.seconds["training"] for x in group])
    table[r] = [accuracy, seconds, np.mean([x.memory["peak_bytes"] for x in group]) / 2**20]
    results.append(group)
for r, group in ((4, results[0]), (16, results[2])):
    found = difference(group, results[1])
    low, high = (100 * (found.mean + sign * found.half(0.975)) for sign in (-1, 1))
    gap[r] = [low, high]
    against_8[r] = "better" if low > 0 else "worse" if high < 0 else "cannot_tell"
"""
WRONG["rank_study"] = {
    "alpha": RANKED.replace("alpha=2 * r, ", ""),
    "one_seed": RANKED.replace("profile.seeds]", "profile.seeds[:1]]"),
    "best_seed": RANKED.replace("np.mean([x.test", "max([x.test"),
    "validation": RANKED.replace('x.test["accuracy"]', 'max(e["accuracy"] for e in x.epochs)'),
    "costs": RANKED.replace(" / 2**20", ""),
    "means": RANKED
    + """
for r in against_8:
    against_8[r] = "better" if table[r][0] > table[8][0] else "worse"
""",
    "level": RANKED.replace("found.half(0.975)", "found.half()"),
    "other": RANKED.replace("difference(group, results[1])", "difference(results[1], group)"),
}
RIGHT["rank_study"] = [RANKED]

SHARED = """
wanted = [profile.experiment("lora", seed=s) for s in profile.seeds]
few = run_all(wanted)
names = ["query", "key", "value", "attention.output.dense"]
many = run_all([e.but(rank=4, target_modules=names) for e in wanted])
found = difference(many, few)
gap = [100 * (found.mean - found.half(0.95)), 100 * (found.mean + found.half(0.95))]
outcome = "better" if gap[0] > 0 else "worse" if gap[1] < 0 else "cannot tell"
"""
WRONG["modules_study"] = {
    "twice": SHARED.replace("rank=4", "rank=8"),
    "dense": SHARED.replace("attention.output.dense", "dense"),
    "seeds": """
few = run_all([profile.experiment("lora", seed=0)])
names = ["query", "key", "value", "attention.output.dense"]
many = run_all([profile.experiment("lora", rank=4, target_modules=names, seed=1)])
gap = 100 * (many[0].test["accuracy"] - few[0].test["accuracy"])
outcome = "better" if gap > 0 else "worse"
""",
    "means": SHARED + 'outcome = "better" if found.mean > 0 else "worse"',
    "other": SHARED + "gap = [low / 100 for low in gap]",
}
RIGHT["modules_study"] = [SHARED.replace('"lora", seed', '"lora", target_modules=("value", "query"), seed')]

WRONG["winner_bonus"] = {
    "zero": "bonus = 0",
    "in_deviations": "bonus = np.random.default_rng(1).normal(size=(50_000, 3)).max(axis=1).mean()",
    "one_deviation": "bonus = 0.8",
    "five": "bonus = 0.8 * 1.163",
    "range": "bonus = np.ptp(np.random.default_rng(1).normal(0, 0.8, size=(50_000, 3)), axis=1).mean()",
    "other": "bonus = 0.8 / 3**0.5",
}
RIGHT["winner_bonus"] = [
    "bonus = 0.68",
    """
import torch
bonus = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0)).mul(0.8).amax(1).mean()
""",
    "bonus = 0.8 * 3 / (2 * np.sqrt(np.pi))",
]

# --- lesson 6

WRONG["four_verdicts"] = {
    "zero": 'return "equivalent" if low95 <= 0 <= high95 else "different"',
    "one_side": """
if high90 < margin:
    return "equivalent" if low95 <= 0 <= high95 else "negligible"
return "cannot_tell" if low95 <= 0 <= high95 else "different"
""",
    "thick_and_zero": """
within, apart = -margin < low90 and high90 < margin, not low90 <= 0 <= high90
return {(1, 0): "equivalent", (0, 1): "different", (1, 1): "negligible"}.get((within, apart), "cannot_tell")
""",
    "both": """
if -margin < low90 and high90 < margin:
    return "equivalent"
return "cannot_tell" if low95 <= 0 <= high95 else "different"
""",
    "thin_and_margin": """
within, apart = -margin < low95 and high95 < margin, not low95 <= 0 <= high95
return {(1, 0): "equivalent", (0, 1): "different", (1, 1): "negligible"}.get((within, apart), "cannot_tell")
""",
    "other": 'return "cannot_tell"',
}
RIGHT["four_verdicts"] = [
    """
if max(abs(low90), abs(high90)) < margin:
    return "equivalent" if low95 * high95 <= 0 else "negligible"
return "cannot_tell" if low95 * high95 <= 0 else "different"
""",
    """
names = [["cannot_tell", "different"], ["equivalent", "negligible"]]
return names[max(-low90, high90) <= margin][not low95 <= 0 <= high95]
""",
]

MORE = """
runs = {(m, s): run(profile.experiment(m, train_size=SIZES[s])) for m in ("full", "lora") for s in SIZES}
large, small = runs["lora", "large"], runs["lora", "small"]
steps = len(large.loss_by_step) / len(small.loss_by_step)
times, gain = {}, {}
for m in ("full", "lora"):
    times[m] = runs[m, "large"].seconds["training"] / runs[m, "small"].seconds["training"]
    found = difference([runs[m, "large"]], [runs[m, "small"]])
    half = found.half(0.95)
    gain[m] = [100 * (found.mean - half), 100 * (found.mean + half)]
found = difference([runs["full", "large"]], [runs["lora", "large"]])
outcome = stats.verdict(found, profile.margin)
"""
# Two exams have no sentence in common: an interval from the scores alone.
APART = """
runs, gain, times = {}, {}, {}
for m in ("full", "lora"):
    small = runs[m, "small"] = run(profile.experiment(m, train_size=SIZES["small"]))
    large = runs[m, "large"] = run(profile.experiment(m, train_size=SIZES["large"], CHANGED))
    times[m] = training_seconds(large) / training_seconds(small)
    scores = small.test["accuracy"], large.test["accuracy"]
    half = 100 * sum(stats.half_width(p, 64) for p in scores)
    gain[m] = 100 * (scores[1] - scores[0]) - half, 100 * (scores[1] - scores[0]) + half
steps = len(large.loss_by_step) / len(small.loss_by_step)
outcome = stats.verdict(difference([runs["full", "large"]], [runs["lora", "large"]]), profile.margin)
"""
WRONG["more_data"] = {
    "test": APART.replace("CHANGED", "test_size=96"),
    "split": APART.replace("CHANGED", "split_seed=1"),
    "epochs": MORE.replace("SIZES[s])", "SIZES[s], epochs=2 if s == 'small' else 1)"),
    "steps": MORE + "steps = large.experiment.epochs / small.experiment.epochs",
    "no_interval": MORE.replace("half = found.half(0.95)", "half = 0"),
    "unpaired": MORE.replace(
        "half = found.half(0.95)",
        "half = sum(stats.half_width(r.test['accuracy'], 64) for r in (runs[m, 'large'], runs[m, 'small']))",
    ),
    "equal": MORE + 'outcome = "different" if abs(found.mean) > found.half() else "equivalent"',
    "by_means": MORE + 'outcome = "different" if abs(found.mean) > profile.margin else "negligible"',
    "other": MORE.replace("100 * (found", "1 * (found"),
}
RIGHT["more_data"] = [MORE + "outcome = outcome.replace('_', ' ')"]

WRONG["static_memory"] = {
    "weights": "full_mib = lora_mib = 4 * 134_515_008 / 2**20",
    "frozen": "full_mib, lora_mib = 16 * 134_515_008 / 2**20, 16 * (134_515_008 + 4_884_480) / 2**20",
    "no_gradients": """
def mib(total, trained):
    return (4 * total + 8 * trained) / 2**20
full_mib, lora_mib = mib(134_515_008, 134_515_008), mib(134_515_008 + 4_884_480, 4_884_480)
""",
    "megabytes": "full_mib, lora_mib = 16 * 134.515008, 4 * 134.515008 + 16 * 4.884480",
    "adapter_alone": "full_mib, lora_mib = 16 * 134_515_008 / 2**20, 16 * 4_884_480 / 2**20",
    "other": "full_mib, lora_mib = 16 * 134_515_008 / 2**30, (4 * 134_515_008 + 16 * 4_884_480) / 2**30",
}
RIGHT["static_memory"] = [
    "full_mib, lora_mib = 2053, 588",
    """
import numpy as np
total, trained = np.array([134_515_008, 134_515_008 + 4_884_480]), np.array([134_515_008, 4_884_480])
full_mib, lora_mib = (4 * total + 12 * trained) / 2**20
""",
    """
from loralab.train.hardware import detect
from loralab.memory.planning import plan
from loralab.profiles import load_profile
voice = load_profile("cpu").generation
plans = [plan(voice.experiment(method), detect(), 1, 1) for method in ("full", "lora")]
full_mib, lora_mib = (sum(planned.static.values()) / 2**20 for planned in plans)
""",
]
