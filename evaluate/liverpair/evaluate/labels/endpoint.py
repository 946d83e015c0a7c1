"""Label a report with a language model on the user's own machine: optional, off unless an address is given.

Any server with OpenAI's chat interface will do (llama.cpp, Ollama, vLLM). Reports never leave the machine: an address
other than loopback is refused unless the caller says that this host may see them; proxies and redirects are not
followed. The answer must be the JSON asked for, and its evidence must stand verbatim in the report; else the rules
label the report, and the row says so.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib import error, parse, request

from liverpair.core.errors import UsageError
from liverpair.evaluate.labels.report import STATUSES, ReportLabel, label_report

__all__ = ["PROMPT_VERSION", "EndpointLabel", "EndpointSettings", "check_address", "label_with_endpoint"]

#: Changes with every change of the prompt or the schema: it stands beside each label.
PROMPT_VERSION = "1"
PROMPT = """You read one radiology report (German or English) and answer one question: what does it say of METASTASES IN
THE LIVER? Other organs do not count. Answer with JSON only:
status: "present" (stated or strongly suspected now), "absent" (denied, resolved, resected without recurrence, or only
benign lesions), "uncertain" (possible, not excluded, unclear lesion), "not_mentioned" (the report does not cover the
liver). The question or history section is no finding; the conclusion outranks the findings.
largest_mm: largest CURRENT diameter in mm of a (possible) liver metastasis, else null. Never a previous size.
count: their number if stated, else null.
evidence: the sentence that decides, copied verbatim from the report; "" for not_mentioned."""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["status", "largest_mm", "count", "evidence"],
    "properties": {
        "status": {"type": "string", "enum": list(STATUSES)},
        "largest_mm": {"type": ["number", "null"]},
        "count": {"type": ["integer", "null"]},
        "evidence": {"type": "string"},
    },
}
# An answer of this schema is a few hundred characters; a megabyte is something else.
LARGEST_ANSWER = 1_000_000
LARGEST_MM, LARGEST_COUNT = 300.0, 1000


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """``url``: base address, for example http://127.0.0.1:11434/v1. ``model``: the name the server knows.

    ``allow_other_host``: send reports to an address that is not loopback (then the hospital's rules must permit it).
    ``timeout_s``: for one report; a model without a graphics card takes its time.
    """

    url: str
    model: str
    allow_other_host: bool = False
    timeout_s: float = 120.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class EndpointLabel:
    """``source``: "model" or "rules"; ``model``: name the server gave; ``problem``: why the rules had to label."""

    label: ReportLabel
    source: str
    model: str
    prompt_version: str
    problem: str = ""


class _NoRedirect(request.HTTPRedirectHandler):
    """A redirect could carry the report to another host."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        return None


class _MalformedError(ValueError):
    """The server's answer is not what was asked for."""


def check_address(settings: EndpointSettings) -> None:
    """UsageError unless the address is http(s) and loopback, or another host is explicitly allowed.

    Names other than "localhost" are not looked up: what they point to may change between check and use.
    """
    parts = parse.urlsplit(settings.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("the address of the language model must be like http://127.0.0.1:11434/v1.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError("the address of the language model must hold no user, password, query or fragment.")
    if not settings.model.strip():
        raise UsageError("name the model that the server shall use.")
    if not (settings.allow_other_host or _is_loopback(parts.hostname)):
        raise UsageError(
            "the language model's host is not this machine, so reports would leave it; use a local server "
            "(127.0.0.1), or allow the other host explicitly if your rules permit it."
        )


def label_with_endpoint(text: str, modality: str | None, settings: EndpointSettings) -> EndpointLabel:
    """The model's label of one report, or the rules' where the model fails or answers badly.

    UsageError as `check_address`; a server that cannot be reached is a problem of the row, not an error.
    """
    check_address(settings)
    by_rules = label_report(text, modality)
    try:
        answer = _ask(text, modality, settings)
        label = _validated(answer, text, by_rules.language)
    except (
        _MalformedError,
        HTTPException,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        RecursionError,
    ) as problem:
        # error.URLError is an OSError; its text may repeat the address but never the report.
        kind = str(problem) if isinstance(problem, _MalformedError) else type(problem).__name__
        return EndpointLabel(by_rules, "rules", settings.model, PROMPT_VERSION, kind)
    name = answer.get("model")
    return EndpointLabel(label, "model", name if isinstance(name, str) and name else settings.model, PROMPT_VERSION)


def _is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ask(text: str, modality: str | None, settings: EndpointSettings) -> Mapping[str, Any]:
    """The server's answer as JSON; _MalformedError or OSError."""
    study = f"Examination: {modality}\n" if modality else ""
    body = {
        "model": settings.model,
        "temperature": 0,
        "seed": settings.seed,
        "stream": False,
        "messages": [
            {"role": "system", "content": PROMPT},
            {"role": "user", "content": f"{study}Report:\n{text}"},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "liver_metastases", "strict": True, "schema": SCHEMA},
        },
    }
    post = request.Request(
        settings.url.rstrip("/") + "/chat/completions",
        data=json.dumps(body).encode("utf-8"),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    # No proxy of the environment: it would see the report.
    opener = request.build_opener(request.ProxyHandler({}), _NoRedirect())
    try:
        with opener.open(post, timeout=settings.timeout_s) as stream:
            data = stream.read(LARGEST_ANSWER + 1)
    except error.HTTPError as refused:
        raise _MalformedError(f"the server answered with status {refused.code}") from refused
    if len(data) > LARGEST_ANSWER:
        raise _MalformedError("the answer is too long")
    answer = json.loads(data)
    if not isinstance(answer, dict):
        raise _MalformedError("the answer is no JSON object")
    return answer


def _validated(answer: Mapping[str, Any], text: str, language: str) -> ReportLabel:
    """The label in an answer; _MalformedError says what is wrong with it."""
    content = answer["choices"][0]["message"]["content"]
    found = json.loads(content) if isinstance(content, str) else content
    if not isinstance(found, dict) or set(found) != set(SCHEMA["required"]):
        raise _MalformedError("the answer does not have the fields asked for")
    status, evidence = found["status"], found["evidence"]
    if status not in STATUSES or not isinstance(evidence, str):
        raise _MalformedError("the answer has an unknown status or no evidence")
    if (evidence not in text) or bool(evidence.strip()) == (status == "not_mentioned"):
        raise _MalformedError("the evidence does not stand verbatim in the report")
    largest, count = found["largest_mm"], found["count"]
    if status not in ("present", "uncertain"):
        largest = count = None
    if largest is not None and not (_is_number(largest) and 0 < largest <= LARGEST_MM):
        raise _MalformedError("the size is no plausible number of millimetres")
    if count is not None and not (isinstance(count, int) and _is_number(count) and 0 < count <= LARGEST_COUNT):
        raise _MalformedError("the count is no plausible number")
    return ReportLabel(status, None if largest is None else float(largest), count, language, evidence)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
