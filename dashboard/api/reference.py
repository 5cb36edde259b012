"""The OpenAPI document as people read it: a section for each operation, with its fields and a request to try."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dashboard.api.document import ROOT, Json

KINDS = {
    ("string", "date"): "date",
    ("string", "date-time"): "time",
    ("string", None): "text",
    ("null", None): "null",
}


@dataclass(frozen=True)
class Entry:
    """A field or parameter. `name` says where it is: `runs[].issue.title`."""

    name: str
    kind: str
    words: str
    is_required: bool


@dataclass(frozen=True)
class Refusal:
    status: str
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    anchor: str
    method: str
    path: str
    summary: str
    words: str
    scope: str
    takes: tuple[Entry, ...]
    gives: tuple[Entry, ...]
    gives_lines: bool
    refusals: tuple[Refusal, ...]
    curl: str


def sections(document: Json, address: str) -> list[Section]:
    """In the order of the document; `address` is of this installation, without a path."""
    return [
        _Reader(document, address).section(path, method, said)
        for path, methods in document["paths"].items()
        for method, said in methods.items()
    ]


class _Reader:
    def __init__(self, document: Json, address: str) -> None:
        self._document = document
        self._address = address.rstrip("/") + ROOT

    def section(self, path: str, method: str, said: Json) -> Section:
        success = next(answer for status, answer in said["responses"].items() if status.startswith("2"))
        media_type, content = next(iter(success["content"].items()))
        parameters = [
            Entry(one["name"], *self._kind(one["schema"], one.get("description", "")), one["required"])
            for one in said["parameters"]
        ]
        body = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        return Section(
            anchor=said["operationId"],
            method=method.upper(),
            path=ROOT + path,
            summary=said["summary"],
            words=said.get("description", ""),
            scope=next((scope for entry in said["security"] for scope in entry["token"]), ""),
            takes=(*parameters, *(self._entries(body) if body else ())),
            gives=tuple(self._entries(content["schema"])),
            gives_lines=media_type == "application/jsonl",
            refusals=tuple(
                Refusal(status, tuple(re.findall("`([a-z_]+)`", answer["description"])))
                for status, answer in said["responses"].items()
                if status[0] in "45"
            ),
            curl=self._curl(path, method.upper(), said, body),
        )

    def _entries(self, schema: Json, prefix: str = "") -> Iterator[Entry]:
        """Every field, those of objects inside behind their own."""
        shape = self._followed(schema)
        for name, one in shape.get("properties", {}).items():
            kind, words = self._kind(one, one.get("description", ""))
            yield Entry(prefix + name, kind, words, name in shape.get("required", ()))
            inner, suffix = self._inside(one)
            if inner is not None:
                yield from self._entries(inner, f"{prefix}{name}{suffix}.")

    def _inside(self, schema: Json) -> tuple[Json | None, str]:
        """The object that a field holds, if it holds one or a list of them."""
        for kind in schema.get("anyOf", [schema]):
            followed = self._followed(kind)
            if followed.get("type") == "array":
                return followed["items"], "[]"
            if "properties" in followed:
                return followed, ""
        return None, ""

    def _followed(self, schema: Json) -> Json:
        if "$ref" not in schema:
            return schema
        found: Json = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found

    def _kind(self, schema: Json, words: str) -> tuple[str, str]:
        """What kind of value it is, and the words with what it may be."""
        kinds = [self._followed(kind) for kind in schema.get("anyOf", [schema])]
        values = [str(value) for kind in kinds for value in kind.get("enum", [])]
        default = schema.get("default")
        said = [words] if words else []
        if values:
            said.append(f"One of {', '.join(f'`{value}`' for value in values)}.")
        if default:
            said.append(f"{default} when it is not said.")
        return " or ".join(dict.fromkeys(self._name(kind) for kind in kinds)), " ".join(said)

    def _name(self, schema: Json) -> str:
        kind = schema.get("type", "object")
        if kind == "array":
            return f"list of {self._name(self._followed(schema['items']))}s"
        return KINDS.get((kind, schema.get("format")), str(kind))

    def _curl(self, path: str, method: str, said: Json, body: Json | None) -> str:
        examples = {one["name"]: self._example(one["schema"]) for one in said["parameters"]}
        needed = [one["name"] for one in said["parameters"] if one["in"] == "query" and one["required"]]
        address = self._address + re.sub(r"\{(\w+)\}", lambda match: str(examples[match[1]]), path)
        if needed:
            address = f"'{address}?{'&'.join(f'{name}={examples[name]}' for name in needed)}'"
        flag = "" if method == "GET" or (method == "POST" and body) else f"-X {method} "
        lines = [f"curl -s {flag}{address}"]
        if said["security"]:
            lines.append('-H "Authorization: Bearer $PAID_TOKEN"')
        if "Idempotency-Key" in examples:
            lines.append('-H "Idempotency-Key: $(uuidgen)"')
        if body:
            shape = self._followed(body)
            sent = {
                name: self._example(one)
                for name, one in shape["properties"].items()
                if name in shape.get("required", ()) or "examples" in one
            }
            lines += ['-H "Content-Type: application/json"', f"-d '{json.dumps(sent)}'"]
        return " \\\n  ".join(lines)

    def _example(self, schema: Json) -> Any:
        followed = self._followed(schema)
        return next(iter(followed.get("examples") or followed.get("enum") or [1]))
