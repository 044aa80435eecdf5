"""The Hugging Face Hub: models and data sets pinned to a revision, and what to do when one cannot be had."""

import re
import socket
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import datasets
import huggingface_hub
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import errors

from loralab.data.assets import AssetError, asset, assets, fetch
from loralab.files import is_file, is_own
from loralab.messages import message

# What to train while a gated model's owner has not let one in.
UNGATED = "qwen2.5-0.5b"
SHA = re.compile("[0-9a-f]{40}")
HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?")  # and after the sign a revision
# Of a model's files; the last of each tells whether they are there.
CONFIGURATION, WORDS = ("config.json",), ("*.json", "*.jinja", "*.txt", "*.model", "tokenizer*")
MODEL_FILES = (*WORDS, "*.safetensors")


@lru_cache(maxsize=8)
def locate(name: str) -> Path:
    """The folder with a model's files, fetched if need be: of a name in data/assets.toml, or see `model_row`.

    Raises ValueError for an unknown name, AssetError if the model cannot be had, or has no weights as safetensors:
    others can run code when they are read.
    """
    row = model_row(name)
    folder = row.get("place") or (fetch(row) if "package" in row else download_model(row))
    if not any(folder.glob("*.safetensors")):
        raise AssetError(message("no_safetensors", name=row.get("hub", name)))
    return folder


def far(name: str) -> bool:
    """Whether a data set's or a model's place is on the hub."""
    return bool(HUB_NAME.fullmatch(name)) and not is_file(name)


def model_row(name: str) -> dict[str, Any]:
    """A model's row in data/assets.toml; of a folder its `place` and, as `hub`, its name; else `hub` and `revision`.

    Raises ValueError, with the choices, for what is neither a name, nor a folder, nor "org/name@revision".
    """
    if not is_own(name):
        return asset("model", name)
    if (Path(name) / "config.json").is_file():
        return {"place": Path(name), "hub": Path(name).resolve().name, "revision": "main"}
    if not far(name):
        raise ValueError(message("model_place", given=name, choices=", ".join(assets("model"))))
    place, _, revision = name.partition("@")
    return {"hub": place, "revision": revision or "main"}


def on_the_hub(model: str) -> dict[str, Any]:
    """Where others get a model: `hub`, `revision`, and `dequantized` if ours is a copy of that from fewer bits.

    Of a folder of one's own, which they do not have, its name, and `own`.
    """
    row = model_row(model)
    there = {"hub": row.get("hub"), "revision": row.get("revision")}
    return row.get("nearest") or there | ({"own": True} if "place" in row else {})


@lru_cache(maxsize=16)
def locate_part(name: str, files: tuple[str, ...]) -> Path:
    """The folder with some of a model's files; of a hub's model no others are fetched. Raises what `locate` raises."""
    row = model_row(name)
    return locate(name) if "place" in row or "package" in row else download_model(row, files)


def download_model(row: dict[str, Any], names: tuple[str, ...] = MODEL_FILES) -> Path:
    """The folder with a hub model's files: from the hub's cache, else downloaded; files that are whole are kept.

    Raises AssetError, naming the remedy, if the model cannot be had.
    """
    place = {"repo_id": row["hub"], "revision": row["revision"]}
    try:
        folder = huggingface_hub.snapshot_download(**place, allow_patterns=list(names))
        if not any(Path(folder).glob(names[-1])):  # of a hub that does not answer it gives what was fetched before
            huggingface_hub.HfApi().model_info(**place)  # raises what keeps it from answering
            folder = huggingface_hub.snapshot_download(**place, allow_patterns=list(names))
        return Path(folder)
    except Exception as error:  # the hub's libraries raise those of several network stacks
        raise AssetError(_remedy(row["hub"], error)) from error


def load_dataset(row: dict[str, Any]) -> datasets.DatasetDict:
    """A hub data set's splits by name. Raises AssetError, naming the remedy, if it cannot be had."""
    try:
        loaded = datasets.load_dataset(row["hub"], row.get("config"), revision=row["revision"])
        files = [Path(file["filename"]) for split in loaded.values() for file in split.cache_files]
        kept = {part for file in files for part in file.parts}
        if SHA.fullmatch(row["revision"] or "") and kept and row["revision"] not in kept:
            # With a key that has expired datasets gives another revision that it has. This raises why.
            huggingface_hub.HfApi().dataset_info(row["hub"], revision=row["revision"])
            raise ValueError(f"{row['hub']}: {row['revision']} ∉ {sorted(kept)}")
        return loaded
    except Exception as error:  # as above
        raise AssetError(_remedy(row["hub"], error)) from error


def _remedy(name: str, error: BaseException) -> str:
    causes = list(_causes(error))
    has_key = huggingface_hub.get_token() is not None
    # With a key that it knows the hub answers 403 or 404.
    answered = [cause.response.status_code for cause in causes if isinstance(cause, errors.HfHubHTTPError)]
    if has_key and 401 in answered:
        return message("hub_bad_key", name=name)
    if 429 in answered:
        return message("hub_too_many", name=name)
    if any(isinstance(cause, errors.GatedRepoError) for cause in causes):
        return message("hub_no_access" if has_key else "hub_no_token", name=name, ungated=UNGATED)
    missing = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, DatasetNotFoundError)
    if any(isinstance(cause, missing) for cause in causes):
        return message("hub_unknown", name=name)
    # One that breaks off is a ConnectionError too, of a kind of its own.
    offline = (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)
    if any(isinstance(cause, offline) or type(cause) is ConnectionError for cause in causes) or not _reachable():
        return message("hub_no_network", name=name)
    return message("hub_not_reached", name=name, error=str(error).partition("\n")[0].rstrip("."))


def _reachable() -> bool:
    # Asked for, not read off the error: datasets replaces the network's errors by ones of its own.
    hub = urlsplit(huggingface_hub.constants.ENDPOINT)
    try:
        socket.create_connection((hub.hostname, hub.port or 443), timeout=5).close()
    except OSError:
        return False
    return True


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
