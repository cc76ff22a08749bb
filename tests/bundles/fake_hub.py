"""A hub of models on 127.0.0.1, as far as uploading and downloading small files needs it."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def hash_of(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "ThreadingHTTPServer"

    def log_message(self, *args) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, value, status: int = 200) -> None:
        self.answer(status, json.dumps(value).encode(), Content_Type="application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        repos, parts = self.server.repos, self.path.split("?")[0].strip("/").split("/")
        if parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            repos.setdefault(name, {})
            self.answer_json({"url": f"http://127.0.0.1/{name}", "id": name})
        elif parts == ["api", "validate-yaml"]:
            self.answer_json({"errors": [], "warnings": []})
        elif parts[4] == "preupload":
            files = json.loads(body)["files"]
            mode = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
            self.answer_json({"files": [{"path": file["path"], **mode} for file in files]})
        elif parts[4] == "commit":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    repos["/".join(parts[2:4])][line["value"]["path"]] = content
            url = f"http://{self.headers['Host']}/{'/'.join(parts[2:4])}/commit/{COMMIT}"
            self.answer_json({"commitUrl": url, "commitOid": COMMIT, "hookOutput": ""})
        else:
            self.answer_json({"error": self.path}, status=404)

    def do_GET(self) -> None:
        repos, parts = self.server.repos, self.path.split("?")[0].strip("/").split("/")
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        if name not in repos:
            self.answer(404, b"", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        elif parts[0] == "api" and "tree" in parts:
            files = repos[name].items()
            self.answer_json([{"type": "file", "path": p, "size": len(c), "oid": hash_of(c)} for p, c in files])
        elif parts[0] == "api":
            siblings = [{"rfilename": path} for path in repos[name]]
            self.answer_json({"id": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
        else:
            content = repos[name].get("/".join(parts[4:]))
            if content is None:
                self.answer(404, b"", X_Error_Code="EntryNotFound")
                return
            self.server.downloads.append("/".join(parts[4:])) if self.command == "GET" else None
            self.answer(200, content, ETag=f'"{hash_of(content)}"', X_Repo_Commit=COMMIT)

    do_HEAD = do_GET


@contextmanager
def run_fake_hub() -> Iterator[ThreadingHTTPServer]:
    """Give a running server; its `repos` are the files by repository, its `downloads` the files that were fetched."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.repos, server.downloads = {}, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
