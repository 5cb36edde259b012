"""The OpenAPI document: complete, well formed, and changed on purpose only."""

import json
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver
from jsonschema import Draft202012Validator

from dashboard.api.document import endpoints, openapi
from dashboard.api.endpoints import nowhere

SNAPSHOT = Path(settings.BASE_DIR) / "docs" / "openapi.json"
# What OpenAPI 3.1 demands of the objects that we use; what they hold beside that is refused.
OBJECT: dict[str, Any] = {"type": "object"}
TEXT = {"type": "string", "minLength": 1}
CONTENT = {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/media"}}
STRUCTURE = {
    "$defs": {
        "media": {"properties": {"schema": OBJECT}, "required": ["schema"], "additionalProperties": False},
        "parameter": {
            "properties": {
                "name": TEXT, "in": {"enum": ["path", "query", "header"]}, "description": TEXT,
                "required": {"type": "boolean"}, "schema": OBJECT,
            },
            "required": ["name", "in", "schema"],
            "additionalProperties": False,
            "if": {"properties": {"in": {"const": "path"}}},
            "then": {"properties": {"required": {"const": True}}, "required": ["required"]},
        },
        "response": {
            "properties": {"description": TEXT, "headers": OBJECT, "content": CONTENT},
            "required": ["description"],
            "additionalProperties": False,
        },
        "operation": {
            "properties": {
                "operationId": TEXT, "summary": TEXT, "description": TEXT,
                "tags": {"type": "array", "items": TEXT},
                "parameters": {"type": "array", "items": {"$ref": "#/$defs/parameter"}},
                "requestBody": {
                    "properties": {"required": {"type": "boolean"}, "content": CONTENT}, "required": ["content"],
                    "additionalProperties": False,
                },
                "responses": {
                    "type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/response"},
                    "propertyNames": {"pattern": "^[1-5][0-9]{2}$"},
                },
                "security": {"type": "array", "items": {"additionalProperties": {"type": "array", "items": TEXT}}},
            },
            "required": ["operationId", "summary", "responses", "security"],
            "additionalProperties": False,
        },
    },
    "properties": {
        "openapi": {"const": "3.1.0"},
        "info": {"properties": {"title": TEXT, "version": TEXT}, "required": ["title", "version"]},
        "servers": {"type": "array", "items": {"properties": {"url": TEXT}, "required": ["url"]}},
        "paths": {
            "propertyNames": {"pattern": "^/"},
            "additionalProperties": {
                "propertyNames": {"enum": ["get", "put", "post", "delete", "patch"]},
                "additionalProperties": {"$ref": "#/$defs/operation"},
            },
        },
        "components": {
            "properties": {"schemas": OBJECT, "headers": OBJECT, "securitySchemes": OBJECT},
            "additionalProperties": False,
        },
    },
    "required": ["openapi", "info", "paths"],
    "additionalProperties": False,
}  # fmt: skip


def _found(value: Any, key: str) -> Iterator[Any]:
    """Every value of `key`, however deep."""
    inner = value if isinstance(value, list) else []
    if isinstance(value, dict):
        inner = list(value.values())
        if key in value:
            yield value[key]
    for one in inner:
        yield from _found(one, key)


def test_it_is_served_to_everybody(client: Client):
    answer = client.get("/api/v1/openapi.json")

    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer.json() == openapi()
    assert not answer.cookies


def test_it_has_the_structure_of_openapi_and_every_schema_is_one():
    document = openapi()

    assert [error.message for error in Draft202012Validator(STRUCTURE).iter_errors(document)] == []
    for schema in [*_found(document, "schema"), *document["components"]["schemas"].values()]:
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere_and_every_name_is_there_once():
    document = openapi()
    for reference in _found(document, "$ref"):
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert place
    names = list(_found(document["paths"], "operationId"))
    assert len(names) == len(set(names))


def test_every_address_of_the_api_is_in_it():
    """A view in dashboard/api/urls.py that is no endpoint of operations is found here: `endpoint(…)` makes it one."""
    documented = {id(one.operation) for one in endpoints()}
    *patterns, last = get_resolver("dashboard.api.urls").url_patterns
    missing = [
        str(pattern.pattern)
        for pattern in patterns
        if not all(id(one) in documented for one in getattr(pattern.callback, "operations", [None]))
    ]

    assert missing == []
    assert (str(last.pattern), last.callback) == ("", nowhere)
    assert len(openapi()["paths"]) == len(patterns)


def test_every_operation_is_explained():
    for one in endpoints():
        summary, _, _ = one.operation.words.partition("\n\n")
        assert summary.endswith("."), f"{one.operation.name} needs a docstring: its first sentence is its summary"


def test_it_changes_on_purpose_only(capsys: pytest.CaptureFixture[str]):
    """After a change that is meant: manage.py openapi > docs/openapi.json, and read the difference."""
    call_command("openapi")

    assert json.loads(capsys.readouterr().out) == json.loads(SNAPSHOT.read_text())


def test_people_read_the_same_document(alice: Client):
    page = unescape(alice.get("/a/northwind/settings/api/reference/").content.decode())

    missing = [one.operation.name for one in endpoints() if f'id="{one.operation.name}"' not in page]
    assert missing == []
    assert (
        """curl -s http://testserver/api/v1/runs \\
  -H "Authorization: Bearer $PAID_TOKEN" \\
  -H "Idempotency-Key: $(uuidgen)" \\
  -H "Content-Type: application/json" \\
  -d '{"project_id": 1, "issue_number": 17}'"""
        in page
    )
    assert "curl -s -X POST http://testserver/api/v1/runs/42/stop" in page
    assert "curl -s 'http://testserver/api/v1/costs?by=project'" in page
    assert "<code>runs[].issue.title</code>" in page
    assert "<code>idempotency_key_reused</code>" in page
