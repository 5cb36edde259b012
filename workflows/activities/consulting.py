"""One question to a model through the gateway's Unix socket, as its protocol has it, and the answer's text."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx
from django.conf import settings
from temporalio.exceptions import ApplicationError

from agent_runs.models import AgentRun
from metrics.affordable import affordable_output_tokens
from workflows.operations.consultations import token_for

# Enough for five proposals of the longest prompt that there is reason to have.
LONGEST_ANSWER_TOKENS = 16_000
MAX_ANSWER_CHARACTERS = 400_000
TIMEOUT = httpx.Timeout(connect=10, read=900, write=60, pool=10)
_QUOTED_CHARACTERS = 300


class ConsultationRefused(Exception):
    """The model was not asked, or refused to answer: asking again would not help."""


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


def call_of(run: AgentRun) -> Call:
    """Gives the run a new token. Inside of `tenant()`; raises RunHasEnded."""
    return Call(
        token=token_for(run),
        model=run.language_model.model_id,
        prompt=run.prompt_text,
        system_prompt=run.system_prompt_text,
        longest_answer=min(affordable_output_tokens(run=run) or LONGEST_ANSWER_TOKENS, LONGEST_ANSWER_TOKENS),
    )


def ask(call: Call) -> str:
    """The text of the answer. Raises ConsultationRefused, and ApplicationError for what may heal."""
    headers = {"authorization": f"Bearer {call.token}", "anthropic-version": "2023-06-01"}
    transport = httpx.HTTPTransport(uds=str(settings.GATEWAY_SOCKET))
    try:
        with (
            httpx.Client(transport=transport, base_url="http://gateway.paid", timeout=TIMEOUT) as client,
            client.stream("POST", "/v1/messages", json=call.body(), headers=headers) as response,
        ):
            if response.status_code != HTTPStatus.OK:
                raise _refused(response.status_code, response.read())
            return _text_of(response)
    except httpx.HTTPError as error:
        raise ApplicationError(f"The gateway does not answer: {type(error).__name__}.", type="GatewayAway") from error


def _text_of(response: httpx.Response) -> str:
    parts: list[str] = []
    size, is_complete = 0, False
    for line in response.iter_lines():
        if not line.startswith("data:"):
            continue
        event = json.loads(line[5:])
        delta = event.get("delta") or {}
        if event.get("type") == "content_block_delta" and delta.get("type") == "text_delta":
            parts.append(delta["text"])
            size += len(delta["text"])
            if size > MAX_ANSWER_CHARACTERS:
                raise ConsultationRefused("The model's answer is too long.")
        if event.get("type") == "message_delta" and delta.get("stop_reason") == "max_tokens":
            raise ConsultationRefused("The money does not pay for a whole answer. Raise the spending cap.")
        is_complete = is_complete or event.get("type") == "message_stop"
    if not is_complete:
        raise ApplicationError("The model's answer broke off.", type="AnswerBrokeOff")
    return "".join(parts)


def _refused(status: int, body: bytes) -> Exception:
    try:
        words = str(json.loads(body)["error"]["message"])[:_QUOTED_CHARACTERS]
    except (ValueError, KeyError, TypeError):
        words = "no reason given"
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ApplicationError(f"The model's provider answered {status}: {words}", type="ModelAway")
    return ConsultationRefused(f"The model could not be asked ({status}): {words}")
