"""Reads the published description and examples, and holds requests and answers against the description."""

import json
import lzma
import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

HERE = Path(__file__).resolve().parent


@cache
def description() -> dict[str, Any]:
    return _unpacked("openapi.json.xz")  # type: ignore[no-any-return]


def webhook_examples() -> list[dict[str, Any]]:
    """329 of `{"event": name, "payload": …}`."""
    return deepcopy(_webhook_examples())


@cache
def _webhook_examples() -> list[dict[str, Any]]:
    return _unpacked("webhooks.json.xz")  # type: ignore[no-any-return]


def example(method: str, path: str, code: str = "200") -> Any:
    """A fresh copy of the published example answer."""
    return deepcopy(_operation(method, path)["responses"][code]["example"])


def deviations(method: str, path: str, request: object, status: int, answer: object) -> list[str]:
    """Where a request or its answer differs from the description; `path` is the real one, below the API's root."""
    found = next((op for op in description()["operations"] if _matches(op, method, path)), None)
    if found is None:
        return [f"{method} {path} is not in the description"]
    problems = []
    # A refused request is allowed to be wrong; that is why it was refused.
    if request is not None and found["request"] is not None and status < 400:
        problems += _violations(found["request"], request, "request")
    response = found["responses"].get(str(status))
    if response is None:
        # Not listed for each operation: refusals that the server's front gives to any request.
        return (
            problems if status in (304, 401, 403, 404, 429, 500, 502, 503) else [*problems, f"{status} is not listed"]
        )
    if "schema" in response:
        problems += _violations(response["schema"], answer, f"{status}")
    return [f"{method} {path}: {problem}" for problem in problems]


def _unpacked(name: str) -> Any:
    return json.loads(lzma.decompress((HERE / name).read_bytes()))


def _operation(method: str, path: str) -> dict[str, Any]:
    return next(op for op in description()["operations"] if (op["method"], op["path"]) == (method, path))


def _matches(operation: dict[str, Any], method: str, path: str) -> bool:
    return operation["method"] == method and _pattern(operation["path"]).fullmatch(path) is not None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{[a-z_]+\\}", "[^/]+", re.escape(template)))


def _violations(schema: dict[str, Any], document: object, where: str) -> list[str]:
    whole = {"allOf": [schema], "components": description()["components"]}
    return [
        f"{where} {error.json_path}: {error.message[:200]}"
        for error in Draft202012Validator(whole).iter_errors(document)
    ]
