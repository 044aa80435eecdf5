import errno
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from loralab.data import assets
from loralab.data.assets import ABANDONED_AFTER, AssetError, asset, fetch

WHEEL = "tiny_asset-1.0-py3-none-any.whl"
METADATA = "Metadata-Version: 2.1\nName: tiny-asset\nVersion: 1.0\n"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return folder


def make_wheel(folder, files):
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        for name, content in {
            **files,
            "tiny_asset-1.0.dist-info/METADATA": METADATA,
            "tiny_asset-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "tiny_asset-1.0.dist-info/RECORD": "",
        }.items():
            wheel.writestr(name, content)
    return row((folder / WHEEL).read_bytes())


def make_source(folder, mark):
    """A source archive whose setup code leaves a mark on whoever runs it."""
    setup = "import setuptools\nsetuptools.setup(name='tiny_asset', version='1.0')"
    name, code = "tiny_asset-1.0.zip", f"open({str(mark)!r}, 'w').close()\n{setup}"
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("tiny_asset-1.0/setup.py", code)
        archive.writestr("tiny_asset-1.0/PKG-INFO", METADATA)
        archive.writestr("tiny_asset-1.0/model/weights", "W")
    return row((folder / name).read_bytes(), file=name, folder="tiny_asset-1.0/model")


def row(content, **more):
    sha256 = hashlib.sha256(content).hexdigest()
    values = {"package": "tiny-asset==1.0", "file": WHEEL, "sha256": sha256, "folder": "model", "keep": ["weights"]}
    return values | more


def left_in(cache):
    return list(cache.rglob("*")) if cache.exists() else []


def test_fetched_once_and_then_from_the_cache(index, tmp_path):
    wanted = make_wheel(index, {"model/weights": "W", "model/other": "x"})
    folder = fetch(wanted, tmp_path / "cache")
    assert [(p.name, p.read_text()) for p in folder.iterdir() if p.name != assets.HASHES] == [("weights", "W")]
    (index / WHEEL).unlink()
    assert fetch(wanted, tmp_path / "cache") == folder


DAMAGE = {
    "cut": lambda folder: (folder / "weights").write_text(""),
    "edited": lambda folder: (folder / "weights").write_text("V"),
    "deleted": lambda folder: (folder / "weights").unlink(),
    "a folder in its place": lambda folder: (folder / "weights").unlink() or (folder / "weights").mkdir(),
    "hashes torn": lambda folder: (folder / assets.HASHES).write_text('{"wei'),
}


SLOW = [pytest.param(how, id=name, marks=[pytest.mark.slow] * (name != "edited")) for name, how in DAMAGE.items()]


@pytest.mark.parametrize("damage", SLOW)
def test_a_damaged_asset_is_named_and_fetched_again(index, tmp_path, monkeypatch, capsys, damage):
    wanted = make_wheel(index, {"model/weights": "W"})
    folder = fetch(wanted, tmp_path / "cache")
    damage(folder)
    monkeypatch.setattr(assets, "_WHOLE", set())  # another process
    assert fetch(wanted, tmp_path / "cache") == folder and (folder / "weights").read_text() == "W"
    assert "tiny-asset==1.0 in the cache is damaged (" in capsys.readouterr().out
    damage(folder)
    (index / WHEEL).unlink()
    monkeypatch.setattr(assets, "_WHOLE", set())
    with pytest.raises(AssetError):
        fetch(wanted, tmp_path / "cache")


def test_an_archive_inside_the_archive(index, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as inner:
        member = tarfile.TarInfo("model/weights")
        member.size = 1
        inner.addfile(member, io.BytesIO(b"W"))
    wanted = make_wheel(index, {"deep/inner.tar.gz": buffer.getvalue()}) | {"inner": "deep/inner.tar.gz"}
    assert (fetch(wanted, tmp_path / "cache") / "weights").read_text() == "W"


def test_a_wrong_hash(index, tmp_path):
    wanted = make_wheel(index, {"model/weights": "W"}) | {"sha256": "0" * 64}
    with pytest.raises(AssetError, match="SHA-256") as error:
        fetch(wanted, tmp_path / "cache")
    assert "0" * 64 in str(error.value)
    assert not left_in(tmp_path / "cache")


def test_a_missing_index(index, tmp_path):
    with pytest.raises(AssetError, match=r"tiny-asset==1\.0.*connection"):
        fetch(row(b""), tmp_path / "cache")
    assert not left_in(tmp_path / "cache")


def test_a_file_that_is_not_in_the_package(index, tmp_path):
    wanted = make_wheel(index, {"model/weights": "W"}) | {"keep": ["weights", "tokenizer"]}
    with pytest.raises(AssetError, match="tokenizer"):
        fetch(wanted, tmp_path / "cache")
    assert not left_in(tmp_path / "cache")


def test_no_package_runs_its_code(index, tmp_path):
    mark = tmp_path / "mark"
    source = make_source(index, mark)
    assert (fetch(source, tmp_path / "cache") / "weights").read_text() == "W"
    with pytest.raises(AssetError, match="SHA-256"):
        fetch(source | {"sha256": "0" * 64}, tmp_path / "cache")
    with pytest.raises(AssetError, match=r"tiny-asset==1\.0"):  # the index has no wheel of it
        fetch(row(b""), tmp_path / "cache")
    assert not mark.exists()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation", "tiny-asset==1.0"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert mark.exists()  # as it would have


def test_a_download_cut_halfway(index, tmp_path, monkeypatch):
    wanted = make_wheel(index, {"model/weights": "W" * 10_000})
    content = (index / WHEEL).read_bytes()

    class HalfServer(BaseHTTPRequestHandler):
        def do_GET(self):
            page = f'<a href="/{WHEEL}">{WHEEL}</a>'.encode()
            is_wheel = self.path.endswith(".whl")
            body = content if is_wheel else page
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream" if is_wheel else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if is_wheel else body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), HalfServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    try:
        with pytest.raises(AssetError, match=r"tiny-asset==1\.0"):
            fetch(wanted, tmp_path / "cache")
    finally:
        server.shutdown()
    assert not left_in(tmp_path / "cache")


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interruption_while_extracting(index, tmp_path, monkeypatch, failure):
    wanted = make_wheel(index, {"model/weights": "W"})

    def fail(source, target):
        target.write(b"half")
        raise failure

    monkeypatch.setattr(shutil, "copyfileobj", fail)
    with pytest.raises((AssetError, KeyboardInterrupt)) as error:
        fetch(wanted, tmp_path / "cache")
    if isinstance(failure, OSError):
        assert "No space left" in str(error.value) and "LORALAB_CACHE" in str(error.value)
    assert not left_in(tmp_path / "cache")


def test_a_cache_that_cannot_be_written(index, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AssetError, match="LORALAB_CACHE"):
        fetch(make_wheel(index, {"model/weights": "W"}), tmp_path / "file" / "cache")


def test_what_a_killed_process_left_is_swept(index, tmp_path):
    wanted = make_wheel(index, {"model/weights": "W"})
    for name, age in (("old", 2 * ABANDONED_AFTER), ("young", 0)):
        left = tmp_path / "cache" / f".partial-{name}"
        left.mkdir(parents=True)
        os.utime(left, (time.time() - age,) * 2)
    fetch(wanted, tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").glob(".partial-*")] == [".partial-young"]


def test_an_unknown_asset_names_the_choices():
    with pytest.raises(ValueError, match="minilm-l6, distilbert-base-uncased"):
        asset("model", "bert-huge")
    with pytest.raises(ValueError, match="film-reviews, amazon-reviews, tweets, film-pairs"):
        asset("dataset", "minilm-l6")
