"""Run or resume the study, some hours, and write its report into results/study; what is finished is loaded.

What it runs, src/loralab/evidence/protocol.toml says. After the runs, steps are timed in turns, memory is planned over
the protocol's batches, and the updates are looked into.

    python notebooks/run_study.py
"""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import send_to_device
from execute import end_with_parent
from peft import PeftModel
from torch import nn

from loralab.data.splits import load_splits
from loralab.evidence.protocol import HASH, MEMORY, STUDY
from loralab.evidence.report import write_report
from loralab.evidence.study import DIVERGED, Evidence, gather, measured_name, with_measured
from loralab.evidence.timing import METHODS, Timing
from loralab.evidence.update import TOP, Update
from loralab.experiment import RECIPE, Experiment, Result
from loralab.files import write_atomically
from loralab.memory.planning import peaks
from loralab.messages import message
from loralab.profiles import Profile, load_profile
from loralab.train.hardware import detect, resolve
from loralab.train.models import apply_method, load_for, load_tokenizer, load_trained
from loralab.train.objectives import objective_of
from loralab.train.run import results_dir, run, run_folder
from loralab.train.tokens import batches_by_length

AT_ONCE = 2  # runs, with one thread each: two threads on one run do a third less in the same time
ROUNDS, WARM_UP = 30, 3


def run_by_protocol(experiment: Experiment) -> Result | None:
    """One run of the study, with the protocol's hash; None, and a note in its folder, if one of a sweep diverges."""
    try:
        return run(experiment, notes={"protocol": HASH})
    except FloatingPointError as error:
        if experiment.examined:
            raise
        write_atomically(run_folder(experiment) / DIVERGED, f"{HASH}: {error}")
        return None


def _has_weights(experiment: Experiment) -> bool:
    return any(run_folder(experiment).rglob("*.safetensors"))


def _run_anew(experiment: Experiment) -> None:
    (run_folder(experiment) / "result.json").unlink()
    run_by_protocol(experiment)


def _one_thread() -> None:
    torch.set_num_threads(1)
    end_with_parent()


def run_study(profile: Profile) -> list[Evidence]:
    """The study's evidence, both tracks: run or loaded, some runs at once, and measured."""
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        tracks = (profile, profile.generation)
        found = [gather(track, lambda experiments: list(pool.map(run_by_protocol, experiments))) for track in tracks]
        # Results that came from elsewhere lack the weights that are looked into.
        lost = [e for evidence in found for pair in compared(evidence) for e in pair if not _has_weights(e)]
        list(pool.map(_run_anew, lost))
    return [measure_study(evidence, results_dir() / profile.name) for evidence in found]


def measure_study(evidence: Evidence, folder: Path) -> Evidence:
    """The evidence with what is measured on finished runs: steps timed in turns, the plan, what is inside the updates.

    Read from `folder` if this recipe and protocol left it there. Updates need the runs' weights, which a large model
    does not leave.
    """
    path = folder / measured_name(evidence)
    if with_measured(evidence, folder) is evidence:  # nothing there, or of another recipe or protocol
        at = {name: runs[0].experiment for name, runs in evidence.places.items()}
        timed = {method: evidence.track.experiment(method) for method in ("full", "lora", *evidence.track.methods)}
        timed |= {name: e for name, e in at.items() if e.key != timed["lora"].key}
        inside = [u for full, lora in compared(evidence) for u in updates(full, lora, run_folder)]
        content = {
            "recipe": RECIPE, "protocol": HASH, "device": detect().name, "timing": asdict(race(timed)),
            "updates": list(map(asdict, inside)), "planned": planned(timed["full"], at),
        }  # fmt: skip
        write_atomically(path, json.dumps(content))
    return with_measured(evidence, folder)


def compared(evidence: Evidence) -> list[tuple[Experiment, Experiment]]:
    """The pairs of runs, full fine-tuning's and LoRA's, whose updates are looked into: classification's."""
    pairs = zip(evidence.of("full"), evidence.of("lora"), strict=True)
    return [(full.experiment, lora.experiment) for full, lora in pairs if evidence.track.task == "classification"]


def planned(full: Experiment, lora: Mapping[str, Experiment]) -> list[dict[str, Any]]:
    """The planned peak (bytes) of a step of full fine-tuning and of LoRA, at each place, by the protocol's batches."""
    grid, found = MEMORY[full.task], []
    for length in grid["lengths"]:
        whole = peaks(full, detect(), grid["rows"], length)
        for place, experiment in lora.items():
            pairs = zip(grid["rows"], whole, peaks(experiment, detect(), grid["rows"], length), strict=True)
            found += [{"place": place, "rows": r, "length": length, "full": f, "lora": p} for r, f, p in pairs]
    return found


@torch.no_grad()
def updates(full: Experiment, lora: Experiment, folder_of: Callable[[Experiment], Path]) -> list[Update]:
    """The updates of two finished runs from the same base, matrix by matrix where LoRA is.

    `folder_of` gives the folder where a run's weights were kept. Raises FileNotFoundError if they were not.
    """
    base = load_for(lora)
    adapted = load_trained(lora, folder_of(lora))
    assert isinstance(adapted, PeftModel)
    names = [name for name, module in adapted.get_base_model().named_modules() if hasattr(module, "lora_A")]
    models = (base, load_trained(full, folder_of(full)), adapted.merge_and_unload())
    return [_update(name, lora, *(model.get_submodule(name).weight.double() for model in models)) for name in names]


def _update(name: str, lora: Experiment, before: torch.Tensor, by_full: torch.Tensor, by_lora: torch.Tensor) -> Update:
    directions, full, _ = torch.linalg.svd(by_full - before)
    values = torch.linalg.svdvals(by_lora - before)[: lora.rank]
    own = directions[:, : lora.rank].T @ (by_lora - before)
    of_base = torch.linalg.svd(before).U
    return Update(
        layer=name, seed=lora.seed, full=_short(full), lora=_short(values),
        similarity={"full": _most_like(by_full, of_base), "lora": _most_like(by_lora, of_base)},
        shared=float((own**2).sum() / (values**2).sum()), by_chance=lora.rank / len(before),
    )  # fmt: skip


def _most_like(trained: torch.Tensor, of_base: torch.Tensor) -> list[float]:
    vectors = torch.linalg.svd(trained).U[:, :TOP]
    return _short((of_base.T @ vectors).abs().max(dim=0).values)


def _short(values: torch.Tensor) -> list[float]:
    return [float(f"{value:.5g}") for value in values.tolist()]


class Racer:
    """One method's model and optimizer, to take steps as Trainer does: loss, gradients, clipping, AdamW."""

    def __init__(self, experiment: Experiment) -> None:
        device = detect()
        self.model = apply_method(load_for(experiment), experiment).to(device.kind).train()
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=experiment.learning_rate, fused=True)
        self.loss = objective_of(experiment).loss

    def seconds(self, batch: dict[str, Any]) -> float:
        """How long one step takes, until its work is done on a GPU too."""
        started, labels = time.perf_counter(), batch["labels"]
        self.optimizer.zero_grad()
        outputs = self.model(**{name: values for name, values in batch.items() if name != "labels"})
        self.loss(outputs, labels, labels.numel()).backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        if detect().kind == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started


def race(experiments: Mapping[str, Experiment], rounds: int = ROUNDS) -> Timing:
    """Let full fine-tuning, LoRA and what else there is, by name, take steps in turns, each round on another batch.

    The batches are of the first epoch, from the shortest texts to the longest. Each round another method goes first,
    and the first steps, which set things up, are not timed.
    """
    device, names = detect(), list(experiments)
    resolved = {name: resolve(experiment, device) for name, experiment in experiments.items()}
    batches = spread_batches(resolved["lora"], rounds)
    racers = {name: Racer(experiment) for name, experiment in resolved.items()}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for batch in (batches[-1], *batches[: WARM_UP - 1]):
        for racer in racers.values():
            racer.seconds(batch)
    for turn, batch in enumerate(batches):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(racers[name].seconds(batch))
    return Timing(
        seconds=seconds,
        tokens=[int(batch["attention_mask"].sum()) for batch in batches],
        expected={method: step_operations(racers[method].model, batches[-1]) for method in METHODS},
    )  # fmt: skip


def spread_batches(experiment: Experiment, count: int) -> list[dict[str, Any]]:
    """So many of the first epoch's whole batches, evenly spread from the shortest to the longest, on the device."""
    tokenizer, train = load_tokenizer(experiment.model), load_splits(experiment).train
    objective = objective_of(experiment)
    encoded = objective.encode(train, tokenizer, experiment.max_length)
    batches = batches_by_length(encoded.lengths, experiment.batch_size, experiment.seed, 0)
    whole = [rows for rows in batches if len(rows) == experiment.batch_size]
    whole.sort(key=lambda rows: max(encoded.lengths[row] for row in rows))
    chosen = np.linspace(0, len(whole) - 1, count).round().astype(int)
    collate, kind = objective.collator(experiment, tokenizer), detect().kind
    made = (collate([encoded.dataset[row] for row in whole[i]]) for i in chosen)
    return [dict(send_to_device(batch, kind)) for batch in made]


@torch.no_grad()
def step_operations(model: nn.Module, batch: dict[str, Any]) -> int:
    """Operations of one forward and backward pass by formula (Kaplan et al. 2020, section 2.1, and attention's own).

    A weight costs each token that reaches its layer 2 operations forward, 2 for the gradient of what the layer reads
    and, if it is trained, 2 for its own. Attention's two products cost 4·length·width a layer and token forward, and
    twice that backward. Padding costs as much as the rest. Left out: below the first trained weight nothing needs a
    gradient.
    """
    operations: list[int] = []

    def count(layer: nn.Linear, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        reached = inputs[0].numel() // layer.in_features
        operations.append(reached * layer.weight.numel() * (6 if layer.weight.requires_grad else 4))

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Linear)]
    model(**batch)
    for hook in hooks:
        hook.remove()
    config: Any = model.config.get_text_config()
    rows, length = batch["attention_mask"].shape
    return sum(operations) + 12 * rows * length * length * config.hidden_size * config.num_hidden_layers


def main() -> None:
    """Run the study and write its report."""
    folder = results_dir() / STUDY
    write_report(run_study(load_profile(STUDY)), folder)
    print(message("report_written", path=f"{STUDY}/report.html"))


if __name__ == "__main__":
    main()
