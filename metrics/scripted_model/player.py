"""The scripted coding agent: run the tests, read what failed, mend it, run them again, report.

Every decision is a function of the conversation so far. Nothing is remembered between calls.
"""

import posixpath
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from metrics.scripted_model.chooser import choice_for
from metrics.scripted_model.conversation import Conversation, Step
from metrics.scripted_model.knowledge import Fix, Knowledge
from metrics.scripted_model.mutator import proposals_for

MAX_EDITS = 5
_ASKED_TEST_COMMAND = re.compile(r"`(python3? -m (?:unittest|pytest)[^`\n]*)`")
_FRAME = re.compile(r'File "([^"<>]+\.py)", line \d+')
_TEST_ID = re.compile(r"^(?:FAIL|ERROR): \S+ \(([\w.]+)\)", re.MULTILINE)
_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+import\s+([\w, ]+)|import\s+([\w.]+))", re.MULTILINE)
# Read numbers its lines, as `    12\tcode` or `    12→code`.
_LINE_NUMBER = re.compile(r"^ *\d+[\t→]", re.MULTILINE)


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Turn:
    text: str
    tool_calls: tuple[ToolCall, ...] = field(default=())


def next_turn(conversation: Conversation, knowledge: Knowledge) -> Turn:
    """The model's next turn. A request that offers no tools is a side call: it gets one line of text."""
    if not conversation.tools:
        answer = proposals_for(conversation.text, knowledge) or choice_for(conversation.text, knowledge)
        return Turn(answer or knowledge.say("title"))
    if missing := {"Bash", "Read", "Edit"} - conversation.tools:
        return Turn(knowledge.say("tools_missing", tools=", ".join(sorted(missing))))
    if not conversation.steps:
        return _run_tests(conversation, knowledge.say("opening"), knowledge)
    last = conversation.steps[-1]
    if last.tool == "Edit":
        if last.failed:
            return Turn(knowledge.say("edit_refused"))
        return _run_tests(conversation, knowledge.say("check"), knowledge)
    if _is_test_run(last) and _passed(last):
        return Turn(_summary(conversation, knowledge))
    return _mend_or_read_on(conversation, knowledge)


def _run_tests(conversation: Conversation, text: str, knowledge: Knowledge) -> Turn:
    asked = _ASKED_TEST_COMMAND.search(conversation.text)
    command = asked.group(1) if asked else knowledge.test_command
    return Turn(text, (ToolCall("Bash", {"command": command, "description": "Run the tests"}),))


def _mend_or_read_on(conversation: Conversation, knowledge: Knowledge) -> Turn:
    failure = next((step.output for step in reversed(conversation.steps) if _is_test_run(step)), "")
    edits = conversation.steps_of("Edit")
    if len(edits) >= MAX_EDITS:
        return Turn(knowledge.say("stuck"))
    for read in reversed(conversation.steps_of("Read")):
        fix = _fix_for(read, failure, edits, knowledge)
        if fix is not None:
            path = read.arguments["file_path"]
            arguments = {"file_path": path, "old_string": fix.wrong, "new_string": fix.right}
            return Turn(knowledge.say("mend", because=fix.because), (ToolCall("Edit", arguments),))
    return _read_on(conversation, failure, knowledge)


def _read_on(conversation: Conversation, failure: str, knowledge: Knowledge) -> Turn:
    listing = next((step for step in conversation.steps if _is_listing(step)), None)
    if listing is None:
        call = ToolCall("Bash", {"command": knowledge.list_command, "description": "List the Python files"})
        return Turn(knowledge.say("list"), (call,))
    root = conversation.working_directory or ""
    present = {posixpath.join(root, line.removeprefix("./")) for line in listing.output.splitlines()}
    already_read = {str(step.arguments.get("file_path")) for step in conversation.steps_of("Read")}
    for path in _suspects(conversation, failure):
        if path in present and path not in already_read:
            text = knowledge.say("look", path=posixpath.basename(path))
            return Turn(text, (ToolCall("Read", {"file_path": path}),))
    return Turn(knowledge.say("stuck"))


def _fix_for(read: Step, failure: str, edits: tuple[Step, ...], knowledge: Knowledge) -> Fix | None:
    if read.failed:
        return None
    source = _LINE_NUMBER.sub("", read.output)
    done = {str(edit.arguments.get("old_string")) for edit in edits}
    for fix in knowledge.fixes:
        if fix.wrong in done or source.count(fix.wrong) != 1:
            continue
        if re.search(fix.when, failure):
            return fix
    return None


def _suspects(conversation: Conversation, failure: str) -> Iterator[str]:
    """Absolute paths worth reading, nearest to the failure first: frames of the traceback, the failing tests'
    modules, then what the files read so far import."""
    root = conversation.working_directory or ""
    for path in reversed(_FRAME.findall(failure)):
        if not path.startswith("/") or (root and path.startswith(root + "/")):
            yield posixpath.join(root, path)
    for test_id in _TEST_ID.findall(failure):
        # tests.test_slug.SlugTest.test_it: the module is what precedes the class.
        parts = [part for part in test_id.split(".") if not part[:1].isupper()]
        yield (posixpath.join(root, *parts[:-1]) + ".py" if len(parts) > 1 else posixpath.join(root, parts[0]) + ".py")
    for read in conversation.steps_of("Read"):
        yield from (posixpath.join(root, path) for path in _imported(_LINE_NUMBER.sub("", read.output)))


def _imported(source: str) -> Iterator[str]:
    for package, names, module in _IMPORT.findall(source):
        name = package or module
        if name.split(".")[0] in sys.stdlib_module_names:
            continue
        base = name.replace(".", "/")
        yield f"{base}.py"
        for imported in filter(None, (part.strip() for part in names.split(","))):
            if imported.islower():
                yield f"{base}/{imported}.py"
        yield f"{base}/__init__.py"


def _summary(conversation: Conversation, knowledge: Knowledge) -> str:
    mended = [
        (
            posixpath.basename(str(edit.arguments["file_path"])),
            knowledge.change_for(str(edit.arguments["old_string"])),
        )
        for edit in conversation.steps_of("Edit")
        if not edit.failed
    ]
    if not mended:
        return knowledge.say("nothing_to_do")
    lines = "\n".join(f"- `{name}` now {change}." for name, change in mended)
    return knowledge.say("done", changes=lines)


def _is_test_run(step: Step) -> bool:
    command = str(step.arguments.get("command", ""))
    return step.tool == "Bash" and ("unittest" in command or "pytest" in command)


def _is_listing(step: Step) -> bool:
    return step.tool == "Bash" and str(step.arguments.get("command", "")).startswith("find ")


def _passed(step: Step) -> bool:
    """unittest closes with a line `OK`, pytest with `N passed`; both name failures in the same place."""
    if step.failed or re.search(r"^(FAILED|NO TESTS RAN)|\d+ failed", step.output, re.MULTILINE):
        return False
    return re.search(r"^OK\b|\d+ passed", step.output, re.MULTILINE) is not None
