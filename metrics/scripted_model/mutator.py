"""The scripted model as one that improves prompts: adds a line of advice to the text that it is shown.

Its last proposal forgets a variable, as models do: whoever asks has to notice.
"""

import json
import re

from metrics.scripted_model.knowledge import Knowledge
from prompts.rendering import fenced_texts

TEMPLATE, SYSTEM_PROMPT = "prompt template", "prompt's system prompt"
_ASKED = re.compile(r"propose (\d) better texts")
_VARIABLE = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def proposals_for(text: str, knowledge: Knowledge) -> str | None:
    """The answer to the seeded prompt `meta.evolve_prompt`; None for any other question."""
    asked, quoted = _ASKED.search(text), fenced_texts(text)
    if asked is None or TEMPLATE not in quoted:
        return None
    template, system_prompt = quoted[TEMPLATE], quoted.get(SYSTEM_PROMPT, "")
    proposals = [
        {"template": f"{template.rstrip()}\n\n{advice}\n", "system_prompt": system_prompt, "reason": advice}
        for advice in knowledge.advice
    ]
    forgetful = {
        "template": f"{_VARIABLE.sub('', template, count=1).rstrip()}\n\nBe brief.\n",
        "system_prompt": system_prompt,
        "reason": "A shorter prompt leaves more room for the work.",
    }
    wanted = int(asked.group(1))
    chosen = [*proposals[: max(wanted - 1, 1)], forgetful][:wanted]
    return json.dumps({"analysis": knowledge.say("analysis"), "proposals": chosen}, ensure_ascii=False)
