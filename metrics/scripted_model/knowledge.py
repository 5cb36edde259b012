"""What the scripted model knows, read from `knowledge.json`: its phrases and the mistakes it can mend."""

import json
from dataclasses import dataclass
from pathlib import Path

KNOWLEDGE_FILE = Path(__file__).with_name("knowledge.json")


@dataclass(frozen=True)
class Fix:
    """`wrong` becomes `right` where it occurs once in a file and `when` (a regular expression) is found
    in the failing tests' output."""

    wrong: str
    right: str
    when: str
    because: str
    change: str


@dataclass(frozen=True)
class Knowledge:
    test_command: str
    list_command: str
    phrases: dict[str, str]
    fixes: tuple[Fix, ...]
    advice: tuple[str, ...]  # what a prompt can tell an agent

    def say(self, phrase: str, **values: str) -> str:
        return self.phrases[phrase].format(**values)

    def change_for(self, wrong: str) -> str:
        return next((fix.change for fix in self.fixes if fix.wrong == wrong), "corrected")


def load_knowledge(path: Path = KNOWLEDGE_FILE) -> Knowledge:
    data = json.loads(path.read_text(encoding="utf-8"))
    return Knowledge(
        test_command=data["test_command"],
        list_command=data["list_command"],
        phrases=data["phrases"],
        fixes=tuple(Fix(**fix) for fix in data["fixes"]),
        advice=tuple(data["advice"]),
    )
