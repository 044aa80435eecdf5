"""Text to result: tokens and conversations (tokens, chat), a base and its method (models), training (trainer).

Others ask for results, and show or measure what makes them: rows, batches, a model with a method on it. What differs
between classification and generation is one value for each, in objectives. `loralab.train.run` is the module, and
`loralab.run` its function.
"""

from loralab import offer

__getattr__, __dir__, __all__ = offer(__name__, {
    "tokens": "BatchesByLength batches_by_length encode",
    "chat": "IGNORED PairCollator conversation encode_pairs end_of_turn prompt_ids", "metrics": "score",
    "models": "apply_method count_parameters empty_model head_modules load_base load_for load_language_model "
    "load_tokenizer load_trained target_modules", "generation": "generate", "objectives": "objective_of",
})  # fmt: skip
