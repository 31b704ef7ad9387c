"""A small Hugging Face hub on the loopback interface: data sets and models, the calls of its libraries.

    with Hub({"owner/name": {"README.md": b"...", "data/train.parquet": b"..."}}) as hub:
        os.environ["HF_ENDPOINT"] = hub.url    # before huggingface_hub is imported

It answers what the libraries ask for: the commit of a revision, the tree below a folder, facts of paths, and
files, whole or by Range. Everything else is 404, as on the real hub for what does not exist.

Who sends `TOKEN` may also create a repository and commit files to it: text within the commit, weights by LFS
before it. They are in `Hub.repositories` afterwards.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
TOKEN = "hf_of_a_tester"


class Hub:
    """A context manager; ``asked`` is every method and path, in their order."""

    def __init__(self, repositories: Mapping[str, Mapping[str, bytes]]) -> None:
        self.repositories = {name: dict(files) for name, files in repositories.items()}
        self.large: dict[str, bytes] = {}
        """What came by LFS, by its hash."""
        self.asked: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.path.removeprefix("/large/")
        self.hub.asked.append(f"PUT {self.path}")
        if hashlib.sha256(content).hexdigest() != name:
            return self._send(400, b"another file", {})
        self.hub.large[name] = content
        return self._send(200, b"", {})

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read `Hub.asked`."""

    def _answer(self, body: bytes) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        writes = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", path) or re.fullmatch(
            r"/([^/]+/[^/]+)\.git/info/lfs/objects/(batch)", path
        )
        if path == "/api/validate-yaml":  # the head of a README.md
            return self._json({"errors": [], "warnings": []})
        if self.command == "POST" and (writes or path == "/api/repos/create"):
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self._send(401, b'{"error": "Invalid credentials"}', {})
            if writes is None:
                return self._json(self._create(**json.loads(body)))
            if writes[1] in self.hub.repositories:
                return self._json(getattr(self, f"_{writes[2]}")(writes[1], body))
        if found := re.fullmatch(
            r"/api/(?:datasets|models)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)/?(.*))?", path
        ):
            name, what, revision, folder = found.groups()
            if name in self.hub.repositories and revision in (None, "main", COMMIT):
                return self._json(self._api(name, what, folder or "", body))
        elif found := re.fullmatch(r"(?:/datasets)?/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            name, revision, file = found.groups()
            content = self.hub.repositories.get(name, {}).get(file)
            if content is not None and revision in ("main", COMMIT):
                return self._file(content)
        return self._send(404, b"{}", {"X-Error-Code": self._missing(path)})

    def _create(self, name: str, organization: str, **_: Any) -> dict[str, str]:
        self.hub.repositories.setdefault(f"{organization}/{name}", {})
        return {"url": f"{self.hub.url}/{organization}/{name}"}

    def _preupload(self, name: str, body: bytes) -> dict[str, Any]:
        """Which files go by LFS."""
        paths = [file["path"] for file in json.loads(body)["files"]]
        modes = {path: "lfs" if path.endswith(".safetensors") else "regular" for path in paths}
        return {"files": [{"path": path, "uploadMode": modes[path], "shouldIgnore": False} for path in paths]}

    def _batch(self, name: str, body: bytes) -> dict[str, Any]:
        """Where large files are to be put."""
        objects = json.loads(body)["objects"]
        return {
            "transfer": "basic",
            "objects": [
                {**entry, "actions": {"upload": {"href": f"{self.hub.url}/large/{entry['oid']}"}}}
                for entry in objects
            ],
        }

    def _commit(self, name: str, body: bytes) -> dict[str, str]:
        files = self.hub.repositories[name]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        return {"commitUrl": f"{self.hub.url}/{name}/commit/{COMMIT}", "commitOid": COMMIT}

    def _missing(self, path: str) -> str:
        """What the hub calls what is not there."""
        if "/resolve/" in path:
            return "EntryNotFound"
        known = any(f"/{name}/revision/" in path for name in self.hub.repositories)
        return "RevisionNotFound" if known else "RepoNotFound"

    def _api(self, name: str, what: str | None, folder: str, body: bytes) -> Any:
        files = self.hub.repositories[name]
        if what in (None, "revision"):
            siblings = [{"rfilename": file} for file in files]
            return {"_id": "0", "id": name, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings,
                    "downloads": 0, "likes": 0, "gated": False, "disabled": False}  # fmt: skip
        below = {file: content for file, content in files.items() if file.startswith(folder and folder + "/")}
        if what == "tree":
            recursive = "recursive=true" in self.path.lower()
            folders = {file.rsplit("/", 1)[0] for file in below if "/" in file}
            listed = [
                _entry(file, content)
                for file, content in below.items()
                if recursive or "/" not in file[len(folder) + 1 if folder else 0 :]
            ]
            return listed + [
                {"type": "directory", "oid": "0", "size": 0, "path": one} for one in sorted(folders)
            ]
        wanted = parse_qs(body.decode()).get("paths") or json.loads(body or b"{}").get("paths", [])
        return [_entry(path, files[path]) for path in wanted if path in files] + [
            {"type": "directory", "oid": "0", "size": 0, "path": path}
            for path in wanted
            if any(file.startswith(path + "/") for file in files)
        ]

    def _file(self, content: bytes) -> None:
        sent = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, end = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            sent["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            return self._send(206, content[start : end + 1], sent)
        return self._send(200, content, sent)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _entry(path: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "oid": hashlib.sha1(content).hexdigest(), "size": len(content), "path": path}
