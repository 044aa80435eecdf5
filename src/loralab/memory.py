"""Count the memory that training needs at least, before it is tried."""

from torch import nn

from loralab.experiment import PEFT_METHODS, Experiment
from loralab.models import apply_method, empty_model

# Bits a weight. NF4 in blocks of 64 with doubly quantized constants: 4 + 0.127 (Dettmers et al. 2023, section 3).
BITS = {"fp32": 32.0, "bf16": 16.0, "nf4": 4.127}
TRAINED_BYTES = 12  # a gradient and AdamW's two averages, each in fp32


def static_need(experiment: Experiment) -> int:
    """Bytes that training needs before any activation: weights, gradients and AdamW's averages, in fp32.

    Counted from the model's configuration, so that nothing has to be loaded or to fit. 4-bit weights are those of the
    linear layers; embeddings and norms stay in fp32. A language model's experiment; raises what `empty_model` raises.
    """
    model = empty_model(experiment.model)
    linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)} - {
        id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)
    }
    bits = 0.0
    for parameter in model.parameters():
        kept = experiment.weights if experiment.weights != "nf4" or id(parameter) in linear else "fp32"
        bits += BITS[kept] * parameter.numel()
    tuned = apply_method(model, experiment.but(weights="fp32"))
    # What sees images gets no gradient from text.
    unused = ("vision_tower", "multi_modal_projector")
    parameters = [p for name, p in tuned.named_parameters() if not any(part in name for part in unused)]
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    adapter = 4 * trained if experiment.method in PEFT_METHODS else 0
    return round(bits / 8) + adapter + TRAINED_BYTES * trained
