"""A stand-in for the model hub on this machine.

The server speaks as much of the hub's protocol as huggingface_hub, transformers and datasets use, to a process started
with HF_ENDPOINT set to its address. It never offers Xet, so files come by plain HTTP.
"""

import hashlib
import json
import os
import re
import socket
import struct
import threading
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, quote, unquote, urlsplit

# What the hub stores apart, and sends from another address.
LARGE = (".safetensors", ".parquet")
API = re.compile(
    r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)"
    r"(/(?P<call>revision|tree|paths-info)/(?P<revision>[^/]+)(/(?P<path>.+))?)?"
)
RESOLVE = re.compile(r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass(frozen=True)
class Repository:
    """A folder served as a repository: `kind` is "models" or "datasets", `name` OWNER/NAME, `commit` where main is."""

    kind: str
    name: str
    folder: Path
    commit: str
    gated: bool = False

    @cached_property
    def files(self):
        """Contents by path."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}

    @cached_property
    def entries(self):
        """The hub's description of each folder and file by path."""
        listed = {}
        for path, content in self.files.items():
            for parent in PurePosixPath(path).parents[:-1]:
                listed[str(parent)] = {"type": "directory", "oid": git_hash(b""), "size": 0, "path": str(parent)}
            entry = {"type": "file", "oid": git_hash(content), "size": len(content), "path": path}
            if path.endswith(LARGE):
                entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            listed[path] = entry
        return listed


def git_hash(content):
    """The name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Refusal(Exception):
    """What the hub answers instead of what was asked for: status, error code or None, and message."""


class Hub:
    """The server. It serves from its making until `stop`, and again, at the same address, after `start`.

    `access` holds each token that there is or was, with the gated repositories that it opens; None says that it has
    expired. `requests` lists what was asked for: method, path, and the Range header or None. The next download of a
    file that `cuts` names ends halfway, its connection either "closed" or "reset". While `busy`, all is refused.
    """

    def __init__(self, repositories):
        self.repositories = {(repository.kind, repository.name): repository for repository in repositories}
        self.access, self.requests, self.cuts, self.busy, self.port = {}, [], {}, False, 0
        self.start()

    def start(self):
        """Serve."""
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), type("HubHandler", (Handler,), {"hub": self}))
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        """Refuse connections from now on."""
        self.server.shutdown()
        self.server.server_close()

    def find(self, kind, name, revision, token):
        """The repository, if it has that revision. Raises Refusal; who brings no token ("") is told nothing."""
        if self.busy:
            raise Refusal(429, None, "We had to rate limit your IP. To continue using our service, create an account.")
        if token and self.access.get(token) is None:
            raise Refusal(401, None, "Invalid or expired credentials in Authorization header")
        repository = self.repositories.get((kind, name))
        if repository is None:
            raise Refusal(404 if token else 401, "RepoNotFound", "Repository not found")
        if revision not in ("main", repository.commit):
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repository

    def content(self, repository, path, token):
        """A file's content. Raises Refusal if the token does not open the repository, or if there is no such file."""
        if repository.gated and repository.name not in (self.access.get(token) or ()):
            why = f"Access to model {repository.name} is restricted. You must have access to it and be authenticated."
            raise Refusal(403 if token else 401, "GatedRepo", why)
        if path not in repository.files:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        return repository.files[path]


class Handler(BaseHTTPRequestHandler):
    """Answers one request a connection (HTTP/1.0), so that none outlives `Hub.stop`."""

    def log_message(self, *arguments):
        """Nothing on stderr."""

    def do_GET(self):
        """Any request: the hub's own pages, a file, or what a file's address was redirected to."""
        self.hub.requests.append((self.command, self.path, self.headers["Range"]))
        self.token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        path = urlsplit(self.path).path
        try:
            if asked := API.fullmatch(path):
                self.send(200, json.dumps(self.describe(asked)).encode())
            elif asked := RESOLVE.fullmatch(path):
                self.resolve(asked)
            elif path.startswith("/large/"):
                if self.token:  # an address that is signed takes no key, and a store must not see it
                    raise Refusal(400, None, "Only one auth mechanism allowed")
                _, _, sha256, kind, owner, name, file = path.split("/", 6)
                self.send_file(self.hub.repositories[kind, f"{owner}/{name}"].files[unquote(file)], sha256)
            else:
                raise Refusal(404, None, "Not found")
        except Refusal as refusal:
            self.refuse(refusal)

    do_HEAD = do_POST = do_GET

    def describe(self, asked):
        """A repository, the listing of one of its folders, or what is known of some of its paths."""
        repository = self.hub.find(asked["kind"], asked["name"], unquote(asked["revision"] or "main"), self.token)
        if asked["call"] == "tree":
            folder = f"{unquote(asked['path'])}/" if asked["path"] else ""
            deep = parse_qs(urlsplit(self.path).query).get("recursive") == ["true"]
            within = {path.removeprefix(folder): path for path in repository.entries if path.startswith(folder)}
            return [repository.entries[path] for below, path in within.items() if deep or "/" not in below]
        if asked["call"] == "paths-info":
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            return [repository.entries[p] for p in parse_qs(body).get("paths", []) if p in repository.entries]
        about = {"private": False, "gated": "manual" if repository.gated else False, "downloads": 0, "likes": 0}
        files = [{"rfilename": path} for path in repository.files]
        return {"id": repository.name, "sha": repository.commit, "tags": [], "siblings": files, **about}

    def resolve(self, asked):
        """A file: at once if it is small, else the address where it is."""
        kind = "datasets" if asked["kind"] else "models"
        repository = self.hub.find(kind, asked["name"], unquote(asked["revision"]), self.token)
        path, commit = unquote(asked["path"]), {"X-Repo-Commit": repository.commit}
        try:
            content = self.hub.content(repository, path, self.token)
        except Refusal as refusal:
            self.refuse(refusal, commit)
            return
        if path.endswith(LARGE):
            sha256 = hashlib.sha256(content).hexdigest()
            # Another host, or huggingface_hub would take this address for one of the hub's own and ask it for metadata.
            address = f"http://localhost:{self.hub.port}/large/{sha256}/{kind}/{repository.name}/{quote(path)}"
            linked = {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
            self.send(302, b"", {"Location": address, **commit, **linked})
        else:
            self.send_file(content, git_hash(content), commit)

    def send_file(self, content, etag, headers=None):
        """The content, or the range of it that was asked for, or half of that if it is to be cut."""
        status, headers = 200, {"ETag": f'"{etag}"', "Accept-Ranges": "bytes", **(headers or {})}
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or ""):
            first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            status, content = 206, content[first : last + 1]
        cut = self.hub.cuts.pop(unquote(self.path).rsplit("/", 1)[-1], None) if self.command == "GET" else None
        self.send(status, content, headers, len(content) // 2 if cut else None)
        if cut == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def refuse(self, refusal, headers=None):
        """The refusal in the hub's form."""
        status, code, why = refusal.args
        coded = {"X-Error-Code": code} if code else {}
        self.send(status, json.dumps({"error": why}).encode(), {"X-Error-Message": why, **coded, **(headers or {})})

    def send(self, status, body, headers=None, sent=None):
        """An answer, of whose body only the first `sent` bytes go out if that is given."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])
