import jinja2
import pandas as pd
import pytest
import torch
from chat_templates import CHATML, GEMMA2, GEMMA3, THINKING
from tokenizers import Regex, pre_tokenizers

from loralab.train.chat import IGNORED, PairCollator, conversation, encode_pairs, end_of_turn, prompt_ids, takes_system
from loralab.train.models import load_tokenizer

TEMPLATES = {
    "smollm2": ([], None, "<|im_end|>"),
    "qwen2.5": ([], CHATML, "<|im_end|>"),
    "qwen3": (["<think>", "</think>"], THINKING, "<|im_end|>"),
    "gemma3": (["<bos>", "<start_of_turn>", "<end_of_turn>"], GEMMA3, "<end_of_turn>"),
    "gemma2": (["<bos>", "<start_of_turn>", "<end_of_turn>"], GEMMA2, "<end_of_turn>"),
}
# Qwen's, which keeps line breaks apart from the word after them, as GPT-2's does not.
QWEN_SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
INSTRUCTION, QUESTION, ANSWER = "You are a knight.", "Shall we ride?", "Aye, at dawn!"


def with_template(name):
    tokens, template, _ = TEMPLATES[name]
    tokenizer = load_tokenizer("smollm2-135m")
    if template is not None:
        # <think> is an added token and no special one
        tokenizer.add_tokens(tokens, special_tokens=name != "qwen3")
        tokenizer.chat_template = template
    if name.startswith("qwen"):
        split = pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    if "<bos>" in tokens:
        tokenizer.bos_token = "<bos>"
    return tokenizer


@pytest.fixture(scope="module")
def smollm2():
    return load_tokenizer("smollm2-135m")


@pytest.fixture(scope="module", params=TEMPLATES)
def any_tokenizer(request):
    tokenizer = with_template(request.param)
    tokenizer.expected_end = TEMPLATES[request.param][2]
    return tokenizer


def frame(*pairs, instruction=INSTRUCTION):
    pairs = pairs or [(QUESTION, ANSWER)]
    return pd.DataFrame([{"instruction": instruction, "input": q, "output": a} for q, a in pairs])


def taught(tokenizer, row):
    """The text of a row's trained tokens."""
    return tokenizer.decode([token for token in row["labels"] if token != IGNORED])


def test_what_is_taught_is_the_answer_and_its_end(any_tokenizer):
    row = encode_pairs(frame(), any_tokenizer, None).dataset[0]
    assert taught(any_tokenizer, row) == ANSWER + any_tokenizer.expected_end
    first = row["labels"].index(any_tokenizer.encode(ANSWER)[0])
    assert set(row["labels"][:first]) == {IGNORED} and row["labels"][first:] == row["input_ids"][first:]
    read = any_tokenizer.decode(row["input_ids"][:first])
    assert INSTRUCTION in read and QUESTION in read and ANSWER not in read


def test_what_is_asked_in_use_is_what_was_read_in_training(any_tokenizer):
    row = encode_pairs(frame(), any_tokenizer, None).dataset[0]
    asked = prompt_ids(any_tokenizer, conversation(any_tokenizer, INSTRUCTION, QUESTION))
    assert row["input_ids"][: len(asked)] == asked
    assert row["labels"][: len(asked)] == [IGNORED] * len(asked)
    assert IGNORED not in row["labels"][len(asked) :]


@pytest.mark.parametrize("answer", ["A\n\nB", "1. one\n2. two", "“Aye” — ¡adelante!", "x"])
def test_answers_of_any_form(any_tokenizer, answer):
    row = encode_pairs(frame((QUESTION, answer)), any_tokenizer, None).dataset[0]
    assert taught(any_tokenizer, row) == answer + any_tokenizer.expected_end


def test_the_end_is_the_templates_own(any_tokenizer):
    assert any_tokenizer.decode([end_of_turn(any_tokenizer)]) == any_tokenizer.expected_end


def test_a_tiny_conversation_by_hand(smollm2):
    names = ["<|im_start|>", "system", "\n", "Be", ".", "<|im_end|>", "\n"]
    names += ["<|im_start|>", "user", "\n", "Hi", "?", "<|im_end|>", "\n", "<|im_start|>", "ass", "istant", "\n"]
    asked = [1, 9690, 198, 6077, 30, 2, 198, 1, 4093, 198, 26843, 47, 2, 198, 1, 520, 9531, 198]
    assert [smollm2.decode([token]) for token in asked] == names
    encoded = encode_pairs(frame(("Hi?", "Yes."), instruction="Be."), smollm2, None)
    row = encoded.dataset[0]
    assert row["input_ids"] == [*asked, 10539, 30, 2]
    assert row["labels"] == [IGNORED] * 18 + [10539, 30, 2]
    assert row["attention_mask"] == [1] * 21
    assert encoded.lengths == [21] and encoded.truncated == 0 and encoded.left_out == ()


def test_where_there_is_no_system_message_the_question_opens_with_it():
    refusing, taking = with_template("gemma2"), with_template("gemma3")
    assert not takes_system(refusing) and takes_system(taking)
    expected = "<bos><start_of_turn>user\nYou are a knight.\n\nShall we ride?<end_of_turn>\n<start_of_turn>model\n"
    for tokenizer in (refusing, taking):
        assert tokenizer.decode(prompt_ids(tokenizer, conversation(tokenizer, INSTRUCTION, QUESTION))) == expected


def test_told_not_to_think_the_prompt_holds_an_empty_thought():
    tokenizer = with_template("qwen3")
    asked = tokenizer.decode(prompt_ids(tokenizer, conversation(tokenizer, INSTRUCTION, QUESTION)))
    assert asked.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_examples_are_read_and_not_taught(any_tokenizer):
    examples = [("Is it far?", "A league."), ("Art hungry?", "Ever.")]
    row = encode_pairs(frame(), any_tokenizer, None, examples).dataset[0]
    read = any_tokenizer.decode([i for i, label in zip(row["input_ids"], row["labels"], strict=True) if label < 0])
    places = [read.index(text) for text in (INSTRUCTION, *examples[0], *examples[1], QUESTION)]
    assert places == sorted(places) and read.count(INSTRUCTION) == 1
    assert taught(any_tokenizer, row) == ANSWER + any_tokenizer.expected_end


def batch_of(tokenizer, frame, **options):
    encoded = encode_pairs(frame, tokenizer, None)
    return encoded, PairCollator(tokenizer, **options)(list(encoded.dataset))


def test_padding_is_masked_and_the_same_token_at_the_end_of_an_answer_is_not(smollm2):
    assert smollm2.pad_token_id == end_of_turn(smollm2)
    encoded, batch = batch_of(smollm2, frame((QUESTION, "Aye."), (QUESTION, "Aye, and gladly, at dawn, in arms.")))
    short, long = encoded.lengths
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape == (2, long)
    assert batch["attention_mask"].sum(dim=1).tolist() == [short, long]
    assert (batch["input_ids"][0, short:] == smollm2.pad_token_id).all()
    assert (batch["labels"][0, short:] == IGNORED).all()
    assert batch["labels"][0, short - 1] == batch["labels"][1, -1] == end_of_turn(smollm2)
    assert taught(smollm2, {"labels": batch["labels"][0].tolist()}) == "Aye.<|im_end|>"


def test_a_batch_may_be_filled_up_to_a_length(smollm2):
    _, batch = batch_of(smollm2, frame(), pad_to=64)
    assert batch["input_ids"].shape == (1, 64)
    assert (batch["labels"] != IGNORED).sum() == len(smollm2.encode(ANSWER)) + 1


def test_all_tokens_may_be_trained_on_prompt_and_padding_too(smollm2):
    _, batch = batch_of(smollm2, frame(), loss_on="all", pad_to=64)
    assert torch.equal(batch["labels"], batch["input_ids"])
    assert (batch["labels"][0, -20:] == smollm2.pad_token_id).all()


def test_trained_tokens_worked_by_hand(smollm2):
    # "Yes." and its end: 3 tokens of 21; "No." has as many
    rows = list(encode_pairs(frame(("Hi?", "Yes."), ("Hi?", "No."), instruction="Be."), smollm2, None).dataset)
    assert PairCollator(smollm2).trained_tokens(rows) == 2 * 3
    assert PairCollator(smollm2, "all").trained_tokens(rows) == 2 * 20
    assert PairCollator(smollm2, "all", pad_to=64).trained_tokens(rows) == 2 * 63


def test_a_cut_answer_has_no_end(smollm2):
    encoded = encode_pairs(frame(("Hi?", "Yes."), instruction="Be."), smollm2, 20)
    assert encoded.lengths == [20] and encoded.truncated == 1 and encoded.left_out == ()
    assert taught(smollm2, encoded.dataset[0]) == "Yes."


@pytest.fixture
def three():
    return frame(("Hi?", "Yes."), ("Hi? " * 9, "Yes."), ("Hi?", "No."), instruction="Be.")


def test_a_row_with_nothing_left_of_its_answer_is_left_out(smollm2, three):
    encoded = encode_pairs(three, smollm2, 19)
    assert encoded.truncated == 3 and encoded.left_out == (1,)
    assert [taught(smollm2, row) for row in encoded.dataset] == ["Yes", "No"]
    assert encoded.lengths == [19, 19]


def test_a_length_that_leaves_nothing_of_any_answer(smollm2, three):
    with pytest.raises(ValueError, match=r"18.* leaves not one token of any answer"):
        encode_pairs(three, smollm2, 18)


def test_an_empty_table(smollm2):
    with pytest.raises(ValueError, match="no rows"):
        encode_pairs(frame()[:0], smollm2, None)


def test_a_template_that_writes_an_answered_turn_otherwise_is_refused():
    tokenizer = load_tokenizer("smollm2-135m")
    tokenizer.chat_template = CHATML.replace(
        "{%- endif -%}", "{%- else -%}{{- '<|endoftext|>' -}}{%- endif -%}"
    ).replace("<|im_start|>' + m.role", "<|im_start|>' + m.role + ('' if add_generation_prompt else '!')")
    with pytest.raises(ValueError, match="writes an answered turn in another way"):
        encode_pairs(frame(), tokenizer, None)


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}",
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    ],
    ids=["no special token at all", "none after the answer"],
)
def test_a_template_that_does_not_end_a_turn_is_refused(template):
    tokenizer = load_tokenizer("smollm2-135m")
    tokenizer.chat_template = template
    with pytest.raises(ValueError, match="puts no special token after the answer"):
        encode_pairs(frame(), tokenizer, None)


def test_an_error_of_another_kind_in_a_template_is_not_taken_for_a_missing_system_message():
    tokenizer = load_tokenizer("smollm2-135m")
    tokenizer.chat_template = "{{ raise_exception('broken') }}"
    with pytest.raises(jinja2.TemplateError, match="broken"):
        encode_pairs(frame(), tokenizer, None)
