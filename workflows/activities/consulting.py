"""One question to a model through the gateway's Unix socket, as its protocol has it, and the answer's text."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx
from django.conf import settings
from django.db import InterfaceError, OperationalError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from agent_runs.logs import storable
from agent_runs.models import LIVE_STATUSES, AgentRun
from metrics.affordable import affordable_output_tokens
from paid.lib.tenancy import tenant
from workflows.connections import released_connections
from workflows.operations.consultations import token_for

# Enough for five proposals of the longest prompt that there is reason to have.
LONGEST_ANSWER_TOKENS = 16_000
MAX_ANSWER_CHARACTERS = 400_000
# Holds an answer that comes as one event, whatever of it JSON escapes.
MAX_LINE_BYTES = 4 * 1024 * 1024
TOO_LONG = "The model's answer is too long."
TIMEOUT = httpx.Timeout(connect=10, read=900, write=60, pool=10)
# How soon an answer that nobody wants any more is broken off.
LOOK_SECONDS = 0.5
_QUOTED_CHARACTERS = 300


class ConsultationRefused(Exception):
    """The model was not asked, or refused to answer: asking again would not help."""


class ConsultationStopped(ConsultationRefused):
    """Somebody stopped the question before it was answered."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@dataclass(frozen=True)
class Call:
    """One request, with all that it needs from the database. Its representation shows no token."""

    token: str = field(repr=False)
    model: str
    prompt: str
    system_prompt: str
    longest_answer: int

    def body(self) -> dict[str, object]:
        """An answer that is asked for as a stream is not cut off on its way while the model thinks."""
        return {
            "model": self.model,
            "max_tokens": self.longest_answer,
            "stream": True,
            "messages": [{"role": "user", "content": self.prompt}],
            **({"system": self.system_prompt} if self.system_prompt else {}),
        }


def call_of(run: AgentRun, *, longest_answer: int = LONGEST_ANSWER_TOKENS) -> Call:
    """Gives the run a new token. Inside of `tenant()`; raises RunHasEnded."""
    return Call(
        token=token_for(run),
        model=run.language_model.model_id,
        prompt=run.prompt_text,
        system_prompt=run.system_prompt_text,
        longest_answer=min(affordable_output_tokens(run=run) or longest_answer, longest_answer),
    )


def ask(call: Call, *, account_id: int, wanted_by: tuple[int, ...], seconds: float) -> str:
    """The text of the answer. Raises ConsultationRefused, and ApplicationError for what may heal.

    The runs `wanted_by` are looked at meanwhile: once one of them shall stop or has ended, the answer is broken off
    and ConsultationStopped raised. The gateway settles what had come by then, as for any client that leaves.
    """

    def is_wanted() -> bool:
        try:
            with released_connections(), tenant(account_id):
                wanting = AgentRun.objects.filter(pk__in=wanted_by, stop_requested_at=None, status__in=LIVE_STATUSES)
                return wanting.count() == len(wanted_by)
        except (OperationalError, InterfaceError):
            return True  # a database that is away for a moment is no reason to lose what is being paid for

    return asyncio.run(_ask_while(is_wanted, call, seconds))


async def _ask_while(is_wanted: Callable[[], bool], call: Call, seconds: float) -> str:
    asking = asyncio.create_task(_ask(call))
    try:
        async with asyncio.timeout(seconds):
            while not (await asyncio.wait({asking}, timeout=LOOK_SECONDS))[0]:
                _leave_if_superseded()
                if activity.is_cancelled() or not await asyncio.to_thread(is_wanted):
                    raise ConsultationStopped
        return asking.result()
    except TimeoutError as error:
        raise ApplicationError(f"The model did not answer within {seconds:g} seconds.", type="ModelAway") from error
    finally:
        # Closes the connection, which is what tells the gateway.
        asking.cancel()
        await asyncio.wait({asking})


def _leave_if_superseded() -> None:
    """Another attempt asks, or will: this one has nothing to say about the question any more."""
    details = activity.cancellation_details()
    if activity.is_worker_shutdown() or (details is not None and (details.not_found or details.timed_out)):
        raise ApplicationError("The worker left while the model answered.", type="WorkerLeaves")


async def _ask(call: Call) -> str:
    headers = {"authorization": f"Bearer {call.token}", "anthropic-version": "2023-06-01"}
    transport = httpx.AsyncHTTPTransport(uds=str(settings.GATEWAY_SOCKET))
    try:
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://gateway.paid", timeout=TIMEOUT) as client,
            client.stream("POST", "/v1/messages", json=call.body(), headers=headers) as response,
        ):
            if response.status_code != HTTPStatus.OK:
                raise _refused(response.status_code, await response.aread())
            return await _text_of(response)
    except httpx.HTTPError as error:
        raise ApplicationError(f"The gateway does not answer: {type(error).__name__}.", type="GatewayAway") from error


async def _text_of(response: httpx.Response) -> str:
    parts: list[str] = []
    size, is_complete = 0, False
    async for line in _lines_of(response):
        if not line.startswith(b"data:"):
            continue
        event = _event_of(line[5:])
        delta = event.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        if event.get("type") == "content_block_delta" and delta.get("type") == "text_delta":
            text = delta.get("text")
            parts.append(text if isinstance(text, str) else "")
            size += len(parts[-1])
            if size > MAX_ANSWER_CHARACTERS:
                raise ConsultationRefused(TOO_LONG)
        if event.get("type") == "message_delta" and delta.get("stop_reason") == "max_tokens":
            raise ConsultationRefused("The money does not pay for a whole answer. Raise the spending cap.")
        is_complete = is_complete or event.get("type") == "message_stop"
    if not is_complete:
        raise ApplicationError("The model's answer broke off.", type="AnswerBrokeOff")
    return storable("".join(parts))


async def _lines_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """Whole lines. An account's own provider may send one without end, which httpx would keep in memory."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise ConsultationRefused(TOO_LONG)
        for line in lines:
            yield line
    yield rest


def _event_of(text: bytes) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise ApplicationError("What the model's provider sends cannot be read.", type="AnswerBrokeOff")
    return event


def _refused(status: int, body: bytes) -> Exception:
    try:
        words = storable(str(json.loads(body)["error"]["message"])[:_QUOTED_CHARACTERS])
    except (ValueError, KeyError, TypeError, RecursionError):
        words = "no reason given"
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ApplicationError(f"The model's provider answered {status}: {words}", type="ModelAway")
    return ConsultationRefused(f"The model could not be asked ({status}): {words}")
