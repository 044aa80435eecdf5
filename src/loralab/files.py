"""Files: what is somebody's own, its name on any machine, and writing so that nothing is torn."""

import hashlib
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path


def is_own(name: str) -> bool:
    """Whether a data set or a model is somebody's own, a path or a hub's, and not a name in data/assets.toml."""
    return "/" in name or "\\" in name or is_file(name)


def is_file(dataset: str) -> bool:
    """Whether an experiment's data set is a file; what stands after a question mark says how to read it."""
    return dataset.partition("?")[0].endswith((".csv", ".jsonl"))


def content_name(name: str) -> str:
    """The name of a data set or model on any machine: of a file or folder here it is made from what is in it."""
    place, *how = name.split("?")
    path = Path(place)
    if not is_own(name) or not (path.is_file() or path.is_dir()):  # from a pipe nothing might ever come
        return "?".join([path.name, *how]) if is_file(name) else name
    kinds = (".json", ".safetensors")
    inside = tuple(sorted(p for p in path.iterdir() if p.suffix in kinds)) if path.is_dir() else (path,)
    state = tuple((p, p.stat().st_size, p.stat().st_mtime_ns) for p in inside)
    named = f"{path.name}-{_hash_of(state)}" if path.is_dir() else _hash_of(state) + path.suffix
    return "?".join([named, *how])


@lru_cache(maxsize=64)
def _hash_of(state: tuple[tuple[Path, int, int], ...]) -> str:
    """A hash of one file's content, or of a model's small files and its large ones' sizes."""
    if len(state) == 1:
        return hashlib.sha256(state[0][0].read_bytes()).hexdigest()[:16]
    told = [f"{p.name} {size}".encode() + (p.read_bytes() if p.suffix == ".json" else b"") for p, size, _ in state]
    return hashlib.sha256(b"".join(told)).hexdigest()[:16]


def file_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file below a folder, by path."""
    hashes = {}
    for path in filter(Path.is_file, folder.rglob("*")):
        with path.open("rb") as stream:
            hashes[str(path.relative_to(folder))] = hashlib.file_digest(stream, "sha256").hexdigest()
    return hashes


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".writing-{os.getpid()}-{path.name}"
    try:
        temporary.write_text(text, encoding="utf-8")
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have a file, or what a folder is made up of, written to the disk; Windows cannot do that for folders."""
    if path.is_file():
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())
    elif os.name != "nt":
        descriptor = os.open(path, os.O_RDONLY)
        with suppress(OSError):  # some file systems cannot either; the file itself is on the disk
            os.fsync(descriptor)
        os.close(descriptor)
