"""A file server on 127.0.0.1 that can be told to misbehave."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class ServedFile:
    content: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"1"'})
    has_ranges: bool = True
    obeys_if_range: bool = True
    break_after: list[int] = field(default_factory=list)  # of each next answer, only so many bytes are sent
    max_piece: int | None = None  # a part that was asked for is given in pieces of so many bytes
    has_length: bool = True
    status: int = 200


class FileServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, ServedFile] = {}
        self.requests: list[tuple[str, str | None]] = []  # path and range
        self.validators: list[str | None] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def add(self, path: str, content: bytes, **options: object) -> str:
        self.files[f"/{path}"] = ServedFile(content, **options)
        return self.url(path)


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        self.server.validators.append(self.headers.get("If-Range"))
        file = self.server.files.get(self.path, ServedFile(b"", status=404))
        if file.status != 200:
            self.send_error(file.status)
            return
        start = self._find_start(file)
        if start is not None and start >= len(file.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(file.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        end = len(file.content) if start is None or file.max_piece is None else start + file.max_piece
        body = file.content[start or 0 : end]
        self.send_response(200 if start is None else 206)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(file.content)}")
        if file.has_length:
            self.send_header("Content-Length", str(len(body)))
        for name, value in file.headers.items():
            self.send_header(name, value)
        self.end_headers()
        n_sent = file.break_after.pop(0) if file.break_after else len(body)
        self.wfile.write(body[:n_sent])
        self.close_connection = True

    def _find_start(self, file: ServedFile) -> int | None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not asked or not file.has_ranges:
            return None
        validator = self.headers.get("If-Range")
        if validator is not None and file.obeys_if_range and validator not in file.headers.values():
            return None
        return int(asked[1])

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serve() -> Iterator[FileServer]:
    server = FileServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
