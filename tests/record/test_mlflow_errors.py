"""Servers that answer, but not as they should: told apart, in one line, without long waits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.record.mlflow import Mirror, MirrorError
from bench.record.mlflow_errors import failure
from bench.record.store import Store
from tests.builders.trials import begin, finish


class Answers(BaseHTTPRequestHandler):
    """Whatever is asked."""

    status, body, headers_too = 200, b"", ()

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(self.status)
        for name, value in self.headers_too:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_PATCH = do_GET  # noqa: N815 - the names of http.server

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


EVIL = b'{"error_code": "INTERNAL_ERROR", "message": "\x1b]0;x\x07 https://me:hunter2@db"}'


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, EVIL, "answers with errors only (too many 500 error responses)"),
        (503, b"busy", "answers with errors only (too many 503 error responses)"),
        (401, b"no", "does not let us in ("),
        (200, b"<html>log in</html>", "does not answer as MLflow does ("),
        (200, b"[1, 2]", "does not answer as MLflow does ("),
        (200, b"{}", "does not answer as MLflow does"),
    ],
)
def test_a_server_that_answers_otherwise(
    store: Store, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch,
    status: int, body: bytes, said: str,
) -> None:  # fmt: skip
    for name in ("MAX_RETRIES", "BACKOFF_FACTOR", "BACKOFF_JITTER"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "1")
    monkeypatch.setattr(Answers, "status", status)
    monkeypatch.setattr(Answers, "body", body)
    monkeypatch.setattr(Answers, "headers_too", (("Retry-After", "3600"),))
    files = finish(begin(store, epochs=2))
    begun = time.monotonic()
    with pytest.raises(MirrorError) as caught:
        Mirror(store, f"http://me:hunter2@127.0.0.1:{server.server_port}").sync()
    assert time.monotonic() - begun < 60
    text = str(caught.value)
    assert said in text
    assert text.startswith("MLflow at http://***@127.0.0.1")
    assert "\n" not in text
    assert "hunter2" not in text
    memory = files.mlflow_path
    assert not memory.exists() or not json.loads(memory.read_text()).get("run_id")


def test_the_innermost_words_of_urllib3_are_enough() -> None:
    error = RuntimeError("HTTPConnectionPool: Max retries exceeded (Caused by X: Read timed out.)")
    assert str(failure("X", error)) == "MLflow at X does not answer (Read timed out)"
