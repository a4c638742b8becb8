"""A model behind an API of the OpenAI form: it answers by the words of the text, and by faults on demand.

Source: OpenAI API reference, "Create chat completion". The answers are those of the official client's models.
"""

import asyncio
import json
import re
import time
from collections import deque
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.control.actions import Actions
from simulator.http import JSON

NAME = "simulated-model"
PATH = "/model/v1"
_CHARACTERS_OF_TOKEN = 4
_WORD = re.compile(r"\w{4,}")
# The orders that an obedient model follows: a name or a value behind them.
_ORDERS = (
    re.compile(
        r"(?:label|classify|mark|file) (?:this|it|the mail)?.{0,30}? as[: ]+[\"'`]?(\w[\w -]{0,40})",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?:answer|reply|respond|output|return|print|say)(?: with| only)*[: ]+[\"'`]?([^\"'`\n]{1,80})", re.IGNORECASE
    ),
)
Kind = Literal[
    "status", "malformed", "second_object", "extra_field", "huge", "empty", "slow", "not_json", "tool_call",
    "refusal", "cut", "outside", "invented", "no_usage",
]  # fmt: skip


class ModelFault(BaseModel):
    """The next answers of the model.

    Attributes:
        kind: The fault of them.
        status: The status of a ``status`` fault.
        retry_after: Its Retry-After, seconds.
        seconds: The wait of a ``slow`` fault.
        count: The number of answers.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    status: int = 500
    retry_after: int | None = None
    seconds: float = Field(default=1.0, ge=0)
    count: int = Field(default=1, ge=1)


class _Message(BaseModel):
    role: Literal["system", "user"]
    content: str


class _Form(BaseModel):
    type: Literal["json_schema"]
    json_schema: dict[str, Any]


class _Asked(BaseModel):
    """A request. A field that the model does not offer is refused, as tools are."""

    model_config = ConfigDict(extra="forbid")

    model: str
    messages: list[_Message] = Field(min_length=2, max_length=2)
    response_format: _Form
    temperature: float = 1
    max_completion_tokens: int = Field(ge=1)
    n: Literal[1] = 1
    stream: Literal[False] = False


class SimulatedModel:
    """The model.

    Args:
        key: The key that callers have to show; empty lets everybody in.
    """

    def __init__(self, key: str = "") -> None:
        self._key = key
        self._faults: deque[ModelFault] = deque()
        self.is_obedient = False
        """Whether the model follows orders in the text of strangers, as far as it can."""
        self.requests: deque[JSON] = deque(maxlen=100)
        self.count = 0

    @property
    def routes(self) -> list[Route]:
        """The routes of the API."""
        return [Route(f"{PATH}/chat/completions", self.complete, methods=["POST"])]

    def register(self, actions: Actions) -> None:
        """Add the actions of the control API."""
        actions.add("model.get", "GET", "/control/model", lambda _body: self.shown())
        actions.add("model.set", "PATCH", "/control/model", self.change)

    def shown(self) -> JSON:
        """Return the number of requests, the last of them, and the settings."""
        return {
            "requests": self.count,
            "last": self.requests[-1] if self.requests else None,
            "obedient": self.is_obedient,
        }

    def change(self, body: JSON) -> JSON:
        """Set the next ``faults`` (a list of `ModelFault`), or whether the model is ``obedient``."""
        if "faults" in body:
            self._faults = deque(ModelFault.model_validate(fault) for fault in body["faults"])
        self.is_obedient = bool(body.get("obedient", self.is_obedient))
        return self.shown()

    async def complete(self, request: Request) -> Response:
        """Answer one request."""
        if self._key and request.headers.get("authorization") != f"Bearer {self._key}":
            return _error(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key")
        try:
            body = await request.json()
            asked = _Asked.model_validate(body)
        except (ValidationError, ValueError) as exc:
            return _error(400, f"The request is not valid: {type(exc).__name__}.", "invalid_request_error", None)
        self.count += 1
        self.requests.append(body)
        fault = self._next()
        if fault is not None and (early := await _early(fault)) is not None:
            return early
        content = self._content(asked)
        return JSONResponse(_completion(asked, *_spoiled(content, fault)) if fault else _completion(asked, content))

    def _next(self) -> ModelFault | None:
        if not self._faults:
            return None
        fault = self._faults[0]
        fault.count -= 1
        if fault.count == 0:
            self._faults.popleft()
        return fault

    def _content(self, asked: _Asked) -> str:
        instructions, given = asked.messages[0].content, json.loads(asked.messages[1].content)
        text = "\n".join(filter(None, (given.get("subject", ""), given["text"])))
        order = _order(text) if self.is_obedient else ""
        if "quotes" in asked.response_format.json_schema["schema"]["properties"]:
            return json.dumps({"quotes": _quotes(_behind(instructions), text, order)})
        labels = _behind(instructions)
        return json.dumps({"label": order or _label(labels, text)})


def _behind(instructions: str) -> Any:
    """Return the JSON at the end of the instructions."""
    for found in re.finditer(r": (?=[\[{])", instructions):
        with suppress(ValueError):
            return json.loads(instructions[found.end() :])
    msg = "the instructions end with no JSON"
    raise ValueError(msg)


def _order(text: str) -> str:
    return next((found[1].strip() for one in _ORDERS if (found := one.search(text))), "")


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


def _label(labels: list[JSON], text: str) -> str:
    """Return the label whose name and examples share most words with the text."""
    seen = _words(text)
    scores = {one["name"]: len(seen & _words(" ".join((one["name"], *one["examples"])))) for one in labels}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] else "unknown"


def _quotes(schema: JSON, text: str, order: str) -> list[JSON]:
    """Return what stands behind the labels of a schema, and what an order says for every property."""
    quotes = []
    for name, field in schema["properties"].items():
        labels = [name, field.get("title", name), *field.get("x-labels", [])]
        pattern = rf"(?:{'|'.join(map(re.escape, labels))})\s*[:=]\s*([^\n]+)"
        if found := re.search(pattern, text, re.IGNORECASE):
            quotes.append({"name": name, "text": found[1].strip()})
        if order:
            quotes.append({"name": name, "text": order})
    return quotes


async def _early(fault: ModelFault) -> Response | None:
    """Return the answer of a fault that needs no content."""
    if fault.kind == "status":
        headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
        return _error(fault.status, "The server had an error.", "server_error", None, headers)
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
    if fault.kind == "not_json":
        return Response("<html>gateway</html>", media_type="text/html")
    if fault.kind == "huge":
        return Response(b'{"choices": [' + b" " * 10_000_000, media_type="application/json")
    return None


def _spoiled(content: str, fault: ModelFault) -> tuple[str | None, JSON]:
    """Return the content of an answer with a fault, and other fields of it."""
    contents: dict[str, str | None] = {
        "malformed": content[:-1],
        "second_object": content + content,
        "extra_field": json.dumps({**json.loads(content), "action": "delete"}),
        "empty": "",
        "outside": json.dumps({"label": "administrator"}),
        "invented": json.dumps({"quotes": [{"name": "total", "text": "999.99 EUR"}]}),
        "tool_call": None,
        "refusal": None,
    }
    return contents.get(fault.kind, content), {"fault": fault.kind}


def _completion(asked: _Asked, content: str | None, marks: JSON | None = None) -> JSON:
    """Return an answer in the form of the API (`chat.completion`)."""
    fault = (marks or {}).get("fault", "")
    message: JSON = {"role": "assistant", "content": content, "refusal": "No." if fault == "refusal" else None}
    if fault == "tool_call":
        function = {"name": "send_mail", "arguments": "{}"}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
    finish = {"tool_call": "tool_calls", "cut": "length"}.get(fault, "stop")
    sent = sum(len(one.content) for one in asked.messages) // _CHARACTERS_OF_TOKEN
    got = len(content or "") // _CHARACTERS_OF_TOKEN + 1
    made: JSON = {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": sent, "completion_tokens": got, "total_tokens": sent + got},
    }
    if fault == "no_usage":
        del made["usage"]
    return made


def _error(status: int, message: str, kind: str, code: str | None, headers: dict[str, str] | None = None) -> Response:
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return JSONResponse(body, status, headers)
