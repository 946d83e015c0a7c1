"""The optional language model: asked on this machine only, believed only where its evidence stands in the report."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from liverpair.core.errors import UsageError
from liverpair.evaluate.labels import label_report
from liverpair.evaluate.labels.endpoint import PROMPT_VERSION, EndpointSettings, check_address, label_with_endpoint

TEXT = "Leber: Zwei Metastasen, die größere 12 mm. Milz frei."
GOOD = {"status": "present", "largest_mm": 12, "count": 2, "evidence": "Leber: Zwei Metastasen, die größere 12 mm."}


class Server(HTTPServer):
    """Answers every request with ``answer`` (bytes) and keeps what it was asked."""

    status = 200
    location = ""
    answer = b""
    asked: dict[str, Any]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked["path"] = self.path
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_args: object) -> None:
        """Stay silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def settings(server: Server) -> EndpointSettings:
    return EndpointSettings(f"http://127.0.0.1:{server.server_port}/v1", "tiny", timeout_s=5)


def say(content: object) -> bytes:
    text = content if isinstance(content, str) else json.dumps(content)
    return json.dumps({"model": "tiny-q4", "choices": [{"message": {"content": text}}]}).encode()


def test_a_good_answer_is_the_label_and_names_the_model(server: Server) -> None:
    server.answer = say(GOOD)
    found = label_with_endpoint(TEXT, "MR", settings(server))
    assert (found.label.status, found.label.largest_mm, found.label.count) == ("present", 12.0, 2)
    assert (found.source, found.model, found.prompt_version, found.problem) == ("model", "tiny-q4", PROMPT_VERSION, "")


def test_the_model_is_asked_at_temperature_0_with_a_schema(server: Server) -> None:
    server.answer = say(GOOD)
    label_with_endpoint(TEXT, "MR", settings(server))
    assert server.asked["path"] == "/v1/chat/completions"
    assert (server.asked["temperature"], server.asked["model"]) == (0, "tiny")
    assert server.asked["response_format"]["type"] == "json_schema"
    assert TEXT in server.asked["messages"][1]["content"]


@pytest.mark.parametrize(
    "content",
    [
        "I think there are metastases.",
        {**GOOD, "status": "maybe"},
        {**GOOD, "evidence": "Multiple liver metastases."},
        {**GOOD, "evidence": ""},
        {**GOOD, "largest_mm": "12"},
        {**GOOD, "largest_mm": -3},
        {**GOOD, "count": 2.5},
        {**GOOD, "count": True},
        {**GOOD, "extra": 1},
        {"status": "present"},
        [],
    ],
)
def test_a_bad_answer_falls_back_to_the_rules_and_says_so(server: Server, content: object) -> None:
    server.answer = say(content)
    found = label_with_endpoint(TEXT, "MR", settings(server))
    assert found.label == label_report(TEXT, "MR")
    assert found.source == "rules"
    assert found.problem


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b"not json", b'{"choices": []}'])
def test_what_is_no_chat_answer_falls_back_to_the_rules(server: Server, answer: bytes) -> None:
    server.answer = answer
    assert label_with_endpoint(TEXT, "MR", settings(server)).source == "rules"


def test_a_redirect_is_not_followed(server: Server) -> None:
    server.status, server.location, server.answer = 307, "http://192.0.2.1/v1", say(GOOD)
    found = label_with_endpoint(TEXT, "MR", settings(server))
    assert (found.source, found.problem) == ("rules", "the server answered with status 307")


def test_a_server_that_is_not_there_leaves_the_rules(server: Server) -> None:
    gone = EndpointSettings("http://127.0.0.1:9/v1", "tiny", timeout_s=1)
    assert label_with_endpoint(TEXT, "MR", gone).source == "rules"


def test_no_proxy_sees_the_report(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    server.answer = say(GOOD)
    assert label_with_endpoint(TEXT, "MR", settings(server)).source == "model"


@pytest.mark.parametrize("url", ["http://localhost:1/v1", "http://127.8.8.8/v1", "https://[::1]:8080/v1"])
def test_loopback_addresses_are_allowed(url: str) -> None:
    check_address(EndpointSettings(url, "m"))


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.5/v1",
        "https://api.example.com/v1",
        "http://localhost.example.com/v1",
        "http://127.0.0.1.example.com/v1",
        "http://0.0.0.0/v1",
        "http://127.0.0.1@example.com/v1",
        "file:///etc/passwd",
        "",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        check_address(EndpointSettings(url, "m"))


def test_another_host_must_be_allowed_explicitly() -> None:
    check_address(EndpointSettings("http://10.0.0.5/v1", "m", allow_other_host=True))


def test_an_absent_label_carries_no_size(server: Server) -> None:
    server.answer = say({"status": "absent", "largest_mm": 12, "count": 1, "evidence": "Milz frei."})
    label = label_with_endpoint(TEXT, "MR", settings(server)).label
    assert (label.status, label.largest_mm, label.count) == ("absent", None, None)
