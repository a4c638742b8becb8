"""The server of the model: chat completions of the OpenAI form over the guarded way out, bounded in time and size.

Source: OpenAI API reference, "Create chat completion": `choices[].message.content`, `finish_reason`, `usage`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, Field, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential
from yarl import URL

from services.egress.client import EgressClient
from services.egress.exchange import READ_BYTES, Answer
from services.egress.faults import EgressError, Fault
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.processor.model.errors import ModelAnswerInvalid, ModelUnavailable
from services.processor.model.prompts import AnswerInvalid, Prompt
from services.providers.retry_after import retry_after

_T = TypeVar("_T")
_OK = 200
_TRANSIENT = frozenset((408, 409, 425, 429, 500, 502, 503, 504))
_LASTING = frozenset((Fault.URL_REFUSED, Fault.ADDRESS_REFUSED, Fault.CERTIFICATE_REFUSED))
"""Faults that the operator removes, and no retry."""
_UNSENT = _LASTING | {Fault.NAME_UNRESOLVED, Fault.UNREACHABLE, Fault.TLS_FAILED, Fault.MACHINE_BUSY}
"""Faults before the text was sent, which cost no tokens."""
_FINISHED = "stop"
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 8.0
_MOST_TOKENS = 10_000_000


@dataclass(frozen=True)
class ModelAddress:
    """A model at a server.

    Args:
        url: The base address of the server, such as `http://127.0.0.1:11434/v1`.
        model: The name of the model there.
        key: The key for the server, if it wants one.
    """

    url: str
    model: str
    key: Secret | None = None

    @property
    def is_outside(self) -> bool:
        """Whether texts leave this machine. A name may lead anywhere, so only a loopback address is inside."""
        try:
            return not ip_address(URL(self.url).host or "").is_loopback
        except ValueError:
            return True


@dataclass
class Spending:
    """The tokens of a call so far.

    Args:
        tokens: Those that the server has counted.
        is_exact: Whether every attempt is counted: an attempt without an answer may have cost tokens.
    """

    tokens: int = 0
    is_exact: bool = True


class _Usage(BaseModel):
    total_tokens: Annotated[int, Field(ge=0)]


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[Any] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1, max_length=1)]
    usage: _Usage | None = None


class _Retried(Exception):  # noqa: N818 - not a failure of its own
    """A failure that another attempt may remove."""

    def __init__(self, failure: MeshError, wait: timedelta | None = None) -> None:
        super().__init__()
        self.failure, self.wait = failure, wait


class ModelEndpoint:
    """Asks a model. It follows no redirect, reads 64 KiB of an answer, and offers the model no tool.

    Args:
        client: The guarded way out.
        address: The model.
        seconds: The time of a question with its retries.
        attempts: The attempts at a question.
    """

    def __init__(self, client: EgressClient, address: ModelAddress, seconds: float, attempts: int) -> None:
        self._client, self.address, self._seconds, self.attempts = client, address, seconds, attempts

    async def ask(self, prompt: Prompt, read: Callable[[str], _T], spending: Spending) -> _T:
        """Ask the model, and return its answer as `read` returns it.

        Args:
            prompt: The question.
            read: Reads the answer, or raises `AnswerInvalid`; then the model is asked again.
            spending: Counts the tokens, for failures too.

        Raises:
            ModelUnavailable: The server gave no answer; the metadata has the cause.
            ModelAnswerInvalid: The last answer has not the form that was demanded.

        Safe to call again: the model is asked again, and that costs tokens.
        """
        ends_at = time.monotonic() + self._seconds
        try:
            async for attempt in AsyncRetrying(
                stop=stop_after_attempt(self.attempts) | stop_before_delay(self._seconds),
                wait=_pause,
                retry=retry_if_exception_type(_Retried),
                reraise=True,
            ):
                with attempt:
                    answer = await self._answer(prompt, max(0.0, ends_at - time.monotonic()), spending)
                    return _read(_content(answer, spending, prompt), read)
        except _Retried as exc:
            raise exc.failure from exc
        raise AssertionError("tenacity ends with an answer or a failure")

    async def _answer(self, prompt: Prompt, seconds: float, spending: Spending) -> Answer:
        key = self.address.key
        try:
            answer = await self._client.post(
                f"{self.address.url.rstrip('/')}/chat/completions",
                orjson.dumps(self._request(prompt)),
                {"content-type": "application/json", "accept": "application/json"},
                timeout_seconds=seconds,
                own_headers=None if key is None else {"authorization": Secret(f"Bearer {key.reveal()}")},
                keep_bytes=READ_BYTES,
            )
        except EgressError as exc:
            spending.is_exact &= exc.fault in _UNSENT
            failure = ModelUnavailable(metadata={"cause": exc.fault.value})
            raise (failure if exc.fault in _LASTING else _Retried(failure)) from exc
        if answer.status == _OK:
            return answer
        wait = retry_after({"retry-after": answer.retry_after})
        failure = ModelUnavailable(metadata={"cause": f"http_{answer.status}"}, retry_after=wait)
        raise _Retried(failure, wait) if answer.status in _TRANSIENT else failure

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        return {
            "model": self.address.model,
            "messages": [
                {"role": "system", "content": prompt.instructions},
                {"role": "user", "content": prompt.content},
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": prompt.form},
            },
            "temperature": 0,
            "max_completion_tokens": prompt.answer_tokens,
            "n": 1,
            "stream": False,
        }


def _content(answer: Answer, spending: Spending, prompt: Prompt) -> str:
    """Return the text of an answer, and count its tokens. Raises `_Retried`."""
    if not answer.is_complete:
        spending.is_exact = False
        raise _invalid("too_large")
    try:
        completion = _Completion.model_validate_json(answer.body)
    except (ValidationError, UnicodeError) as exc:
        spending.is_exact = False
        raise _invalid("malformed") from exc
    # A server that counts nothing is taken to have spent what the question may cost.
    counted = prompt.most_tokens if completion.usage is None else completion.usage.total_tokens
    spending.tokens += min(counted, _MOST_TOKENS)
    choice = completion.choices[0]
    if choice.message.tool_calls or choice.message.refusal:
        raise _invalid("refusal" if choice.message.refusal else "tool_call")
    if choice.finish_reason != _FINISHED or choice.message.content is None:
        raise _invalid("unfinished")
    return choice.message.content


def _read(content: str, read: Callable[[str], _T]) -> _T:
    try:
        return read(content)
    except AnswerInvalid as exc:
        raise _invalid("malformed") from exc


def _invalid(cause: str) -> _Retried:
    return _Retried(ModelAnswerInvalid(metadata={"cause": cause}))


_GROWING = wait_random_exponential(multiplier=_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS)


def _pause(state: RetryCallState) -> float:
    """Return the pause before the next attempt: as the server says, else a growing one."""
    failed = state.outcome.exception() if state.outcome else None
    if isinstance(failed, _Retried) and failed.wait is not None:
        return failed.wait.total_seconds()
    return _GROWING(state)
