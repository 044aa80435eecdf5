"""LoRA Lab: the small package that the course's lessons call."""

import os

# One GPU, unless several processes were launched to share them: left to itself, Trainer would wrap the model in
# DataParallel. Read when CUDA is first used.
if "LOCAL_RANK" not in os.environ:
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")

# torch reads this when it is first imported. Its profiler, which measures memory on a CPU, notes on stderr that it
# did not see the allocations from before the profile; those are counted apart, see loralab.peak.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
