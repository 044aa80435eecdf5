"""What the first cell of a lesson calls."""

import logging
import os
import platform
import warnings

import datasets
import torch
import transformers

from loralab.hardware import default_profile, detect
from loralab.messages import message, number, set_language
from loralab.profiles import Profile, load_profile


def profile_name() -> str:
    """The profile in force: LORALAB_PROFILE, else what suits the machine."""
    return os.environ.get("LORALAB_PROFILE") or default_profile(detect())


def start(language: str) -> Profile:
    """Choose the language, load the profile in force, and say so in one line.

    Raises ValueError, naming the choices, for a language or a profile that there is not.
    """
    set_language(language)
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    # peft 0.21 asks transformers 5.23 for an attribute by its old name; neither call is ours.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
    # A run of seconds saves two checkpoints within one; Trainer then orders them by number, which is right, and warns.
    logging.getLogger("transformers.trainer_utils").addFilter(lambda record: "mtime" not in record.getMessage())
    device = detect()
    profile = load_profile(profile_name())
    memory = number(device.memory / 2**30, 0)
    python, version = platform.python_version(), torch.__version__
    print(message("start", python=python, torch=version, device=device.name, memory=memory, profile=profile.name))
    return profile
