"""What this machine is, as far as the course may stumble over it: every fact is read here, and nothing is decided.

What loads torch or pandas is imported where a fact needs it: where that is broken, the others can still be read.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loralab.data.assets import assets, cache_dir, folder_name
from loralab.experiment import Experiment
from loralab.messages import message

if TYPE_CHECKING:
    from loralab.profiles import Profile
    from loralab.train.hardware import Device

PATIENCE = 5  # seconds to wait for the hub, and for the driver


@dataclass(frozen=True)
class Folder:
    """Where something is to be written: `free` bytes on the file system of that number, and whether one may write."""

    path: str
    free: int
    disk: int
    writable: bool


@dataclass(frozen=True)
class Facts:
    """All that the checks rest on; `unread` has the facts that could not be read, with the reason.

    `torch` is its version, the CUDA it was built for and the CUDA that the driver knows. `gpus` are those that the
    driver lists. `profile` is a text, why not, if there is none. `missing` are the embedded assets that are not there,
    `cached` the hub's models that are. `silence` is why the hub does not answer: "" if it does, None if it was not
    asked. `torchao` is what peft says against the one that is installed.
    """

    python: tuple[int, ...] = ()
    requirements: tuple[str, ...] = ()
    installed: dict[str, str] = field(default_factory=dict)
    torch: tuple[str, str | None, str | None] = ("", None, None)
    device: Any = None
    gpus: tuple[str, ...] = ()
    profile: "Profile | str" = ""
    folders: dict[str, Folder] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()
    hub: str = ""
    silence: str | None = None
    token: bool = False
    torchao: str = ""
    unread: dict[str, str] = field(default_factory=dict)


def _requirements() -> tuple[str, ...]:
    return tuple(line for line in metadata.requires("loralab") or [] if "extra ==" not in line)


def _installed() -> dict[str, str]:
    names = [line.split(">=")[0] for line in _requirements()]
    return {name: version for name in names if (version := _version(name))}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _torch() -> tuple[str, str | None, str | None]:
    import torch

    driver = getattr(torch._C, "_cuda_getDriverVersion", int)()  # 12040 is 12.4, 0 is none
    return torch.__version__, torch.version.cuda, f"{driver // 1000}.{driver % 1000 // 10}" if driver else None


def _device() -> "Device":
    from loralab.train.hardware import detect

    return detect()


def _gpus() -> tuple[str, ...]:
    if shutil.which("nvidia-smi") is None:
        return ()
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=PATIENCE)
    return tuple(re.findall(r"^GPU \d+: (.+?) \(UUID", listed.stdout, re.MULTILINE))


def _profile() -> "Profile | str":
    from loralab.lessons.start import chosen_profile

    try:
        return chosen_profile()
    except ValueError as error:
        return str(error)


def _folders() -> dict[str, Folder]:
    from huggingface_hub import constants

    from loralab.train.run import results_dir

    paths = {"cache": cache_dir(), "hub": Path(constants.HF_HUB_CACHE), "results": results_dir()}
    return {name: _folder(path.absolute()) for name, path in paths.items()}


def _folder(path: Path) -> Folder:
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            writable = True
    except OSError:
        writable = False
    return Folder(str(path), shutil.disk_usage(there).free, there.stat().st_dev, writable)


def _missing() -> tuple[str, ...]:
    rows = {name: row for name, row in (assets("model") | assets("dataset")).items() if "package" in row}
    return tuple(name for name, row in rows.items() if not (cache_dir() / folder_name(row)).is_dir())


def _cached() -> tuple[str, ...]:
    from huggingface_hub import try_to_load_from_cache

    found = {
        name: try_to_load_from_cache(row["hub"], "config.json", revision=row["revision"])
        for name, row in assets("model").items()
        if "hub" in row
    }
    return tuple(name for name, path in found.items() if isinstance(path, str))


def _hub() -> str:
    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT).hostname or ""


def _silence() -> str | None:
    from huggingface_hub import constants, get_session

    profile = _profile()
    if isinstance(profile, str) or not any(hub_assets(experiments(profile)).values()):
        return None
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception as error:  # those of several network stacks
        return f"{type(error).__name__}: {error}"
    return ""


def _token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def _torchao() -> str:
    from peft.import_utils import is_torchao_available

    try:
        is_torchao_available()  # looks for it and at its version, and does not import it
    except ImportError as error:
        return str(error)
    return ""


READERS: dict[str, Callable[[], Any]] = {
    "python": lambda: sys.version_info[:3],
    "requirements": _requirements,
    "installed": _installed,
    "torch": _torch,
    "device": _device,
    "gpus": _gpus,
    "profile": _profile,
    "folders": _folders,
    "missing": _missing,
    "cached": _cached,
    "hub": _hub,
    "silence": _silence,
    "token": _token,
    "torchao": _torchao,
}


def read_facts() -> Facts:
    """Read every fact about this machine; one that cannot be read is noted, with the reason."""
    found, unread = {}, {}
    for name, read in READERS.items():
        try:
            found[name] = read()
        except Exception as error:  # whatever it is, it concerns only the checks that need this fact
            unread[name] = f"{type(error).__name__}: {error}"
    return Facts(**found, unread=unread)


def experiments(profile: "Profile | str") -> list[Experiment]:
    """All that a profile compares, in both tracks. Raises LookupError if there is no profile."""
    if isinstance(profile, str):
        raise LookupError(message("doctor_no_profile"))
    return [e for track in (profile, profile.generation) for e in (*track.comparison(), *track.rank_comparison())]


def hub_assets(wanted: list[Experiment]) -> dict[str, dict[str, dict[str, Any]]]:
    """The rows of data/assets.toml of what experiments need from the hub: by kind ("model", "dataset") and name."""
    names = {kind: {getattr(e, kind) for e in wanted} for kind in ("model", "dataset")}
    return {
        kind: {name: row for name, row in assets(kind).items() if name in names[kind] and "hub" in row}
        for kind in names
    }
