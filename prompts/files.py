"""Prompts as files: front matter, the template, and after a marker the system prompt. Teams can keep them in git."""

import re
from dataclasses import dataclass
from pathlib import Path

from prompts.operations import PromptText

MARKER = "<!-- system prompt -->"
FIELDS = ("slug", "name", "category", "description")
_FRONT_MATTER = re.compile(r"\A---\n(?P<fields>.*?)\n---\n(?P<text>.*)\Z", re.DOTALL)
SEEDS = Path(__file__).resolve().parent / "seeds"


class PromptFileError(Exception):
    """This is not a prompt's file: it needs front matter with slug, name, category and description."""


@dataclass(frozen=True)
class PromptFile:
    slug: str
    name: str
    category: str
    description: str
    text: PromptText


def parse_prompt_file(source: str) -> PromptFile:
    """Raises `PromptFileError`. Line ends are made those of Unix; blank lines around both parts do not count."""
    match = _FRONT_MATTER.match(source.replace("\r\n", "\n"))
    if match is None:
        raise PromptFileError(PromptFileError.__doc__)
    fields = {
        name.strip(): value.strip()
        for name, separator, value in (line.partition(":") for line in match["fields"].splitlines())
        if separator
    }
    if set(fields) != set(FIELDS):
        raise PromptFileError(f"The front matter needs exactly {', '.join(FIELDS)}; it has {', '.join(fields)}.")
    template, _, system_prompt = match["text"].partition(f"\n{MARKER}\n")
    text = PromptText(template=template.strip() + "\n", system_prompt=system_prompt.strip())
    return PromptFile(fields["slug"], fields["name"], fields["category"], fields["description"], text)


def format_prompt_file(prompt: PromptFile) -> str:
    """The reverse of `parse_prompt_file`."""
    head = "".join(f"{name}: {' '.join(getattr(prompt, name).split())}\n" for name in FIELDS)
    system_prompt = f"{MARKER}\n{prompt.text.system_prompt}\n" if prompt.text.system_prompt else ""
    return f"---\n{head}---\n{prompt.text.template.strip()}\n{system_prompt}"


def seed_files() -> list[PromptFile]:
    """The prompts that every installation begins with, by slug."""
    return [parse_prompt_file(path.read_text(encoding="utf-8")) for path in sorted(SEEDS.glob("*.md"))]
