"""LoRA Lab: the small package that the course's lessons call."""

import os

# torch reads this when it is first imported. Its profiler, which measures memory on a CPU, notes on stderr that it
# did not see the allocations from before the profile; those are counted apart, see loralab.memory.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
