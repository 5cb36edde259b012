"""The scripted model as the one that chooses a model: the last of the list for what sounds large, else the first."""

import json
import re

from metrics.scripted_model.knowledge import Knowledge
from prompts.rendering import fenced_texts

_ASKED = "Choose the language model that an autonomous coding agent should use"
_LIST_ENDS = "# The issue"
_NAME = re.compile(r"^- `([^`\n]+)`: ", re.MULTILINE)
_SOUNDS_LARGE = re.compile(r"\b(?:concurren|deadlock|migrat|security)", re.IGNORECASE)


def choice_for(text: str, knowledge: Knowledge) -> str | None:
    """The answer to the seeded prompt `meta.select_model`; None for any other question."""
    offered, _, asked = text.partition(_LIST_ENDS)
    names = _NAME.findall(offered)
    if _ASKED not in offered or not names:
        return None
    is_large = _SOUNDS_LARGE.search(" ".join(fenced_texts(asked).values())) is not None
    reason = knowledge.say("large_issue" if is_large else "small_issue")
    return json.dumps({"model": names[-1] if is_large else names[0], "reason": reason}, ensure_ascii=False)
