"""Makes the two files beside it from GitHub's published descriptions, as npm packages hold them:

    npm install --ignore-scripts @octokit/openapi @octokit/webhooks-examples
    python -m tests.standins.github.published.trim node_modules/@octokit

Of the OpenAPI description only the operations that Paid uses are kept, without texts: 13 MB become 40 kB.
"""

import json
import lzma
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = "/repos/{owner}/{repo}"
ISSUE = REPOSITORY + "/issues/{issue_number}"
PULL = REPOSITORY + "/pulls/{pull_number}"
OPERATIONS = (
    ("get", "/user"),
    ("get", REPOSITORY),
    ("get", REPOSITORY + "/commits"),
    ("get", REPOSITORY + "/issues"),
    ("post", REPOSITORY + "/issues"),
    ("get", ISSUE),
    ("get", ISSUE + "/comments"),
    ("post", ISSUE + "/comments"),
    ("get", ISSUE + "/events"),
    ("post", ISSUE + "/labels"),
    ("delete", ISSUE + "/labels/{name}"),
    ("get", REPOSITORY + "/pulls"),
    ("post", REPOSITORY + "/pulls"),
    ("get", PULL),
    ("patch", PULL),
    ("put", PULL + "/merge"),
    ("get", PULL + "/reviews"),
    ("get", REPOSITORY + "/commits/{ref}/check-runs"),
    ("get", REPOSITORY + "/commits/{ref}/status"),
    ("get", REPOSITORY + "/collaborators/{username}/permission"),
    ("post", REPOSITORY + "/git/refs"),
)
TEXTS = ("description", "title", "externalDocs", "example", "x-github", "x-octokit", "deprecated", "x-multi-segment")


class Trimmer:
    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description
        self.schemas: dict[str, Any] = {}

    def resolved(self, node: Any) -> Any:
        while isinstance(node, dict) and "$ref" in node:
            found: Any = self.description
            for key in node["$ref"][2:].split("/"):
                found = found[key]
            node = found
        return node

    def schema(self, node: Any, *, names_are_properties: bool = False) -> Any:
        """OpenAPI 3.0's dialect as JSON Schema: `nullable` becomes a type, references are collected."""
        if isinstance(node, list):
            return [self.schema(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node and isinstance(node["$ref"], str):
            self._collect(node["$ref"])
            return {"$ref": node["$ref"]}
        kept = {
            key: self.schema(value, names_are_properties=key == "properties" and not names_are_properties)
            for key, value in node.items()
            if names_are_properties or (key not in TEXTS and key not in ("nullable", "examples", "default"))
        }
        if node.get("nullable") is True and not names_are_properties:
            return {"anyOf": [kept, {"type": "null"}]}
        return kept

    def _collect(self, reference: str) -> None:
        name = reference.rsplit("/", 1)[1]
        if name not in self.schemas:
            self.schemas[name] = {}
            self.schemas[name] = self.schema(self.resolved({"$ref": reference}))

    def operation(self, method: str, path: str) -> dict[str, Any]:
        operation = self.description["paths"][path][method]
        return {
            "method": method.upper(),
            "path": path,
            "query": [
                parameter["name"]
                for parameter in map(self.resolved, operation["parameters"])
                if parameter["in"] == "query"
            ],
            "request": self._content(operation.get("requestBody", {})).get("schema"),
            "responses": {code: self._content(answer) for code, answer in operation["responses"].items()},
        }

    def _content(self, node: Any) -> dict[str, Any]:
        content = self.resolved(node).get("content", {}).get("application/json")
        if content is None:
            return {}
        examples = [self.resolved(example)["value"] for example in content.get("examples", {}).values()]
        return {"schema": self.schema(content["schema"]), **({"example": examples[0]} if examples else {})}


def packed(document: object) -> bytes:
    return lzma.compress(json.dumps(document, separators=(",", ":"), sort_keys=True).encode(), preset=9)


def main(packages: Path) -> None:
    description = json.loads((packages / "openapi/generated/api.github.com.json").read_text())
    trimmer = Trimmer(description)
    operations = [trimmer.operation(method, path) for method, path in OPERATIONS]
    openapi = {
        "version": description["info"]["version"],
        "operations": operations,
        "components": {"schemas": trimmer.schemas},
    }
    (HERE / "openapi.json.xz").write_bytes(packed(openapi))
    examples = json.loads((packages / "webhooks-examples/api.github.com/index.json").read_text())
    deliveries = [{"event": entry["name"], "payload": payload} for entry in examples for payload in entry["examples"]]
    (HERE / "webhooks.json.xz").write_bytes(packed(deliveries))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
