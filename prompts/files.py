"""Prompts as files: front matter, the template, and after a marker the system prompt. Teams can keep them in git."""

import re
from dataclasses import dataclass
from pathlib import Path

from prompts.models import Prompt, PromptVersion
from prompts.operations import PromptText

MARKER = "<!-- system prompt -->"
FIELDS = ("slug", "name", "category", "description")
VERSION = "version"
# A template may hold the marker itself, in a file with one backslash more.
_MARKER_LINE = re.compile(r"^<!-- (\\*)system prompt -->$", re.MULTILINE)
_ESCAPED_LINE = re.compile(r"^<!-- \\(\\*)system prompt -->$", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n(?P<fields>.*?)\n---\n(?P<text>.*)\Z", re.DOTALL)
SEEDS = Path(__file__).resolve().parent / "seeds"


class PromptFileError(Exception):
    """This is not a prompt's file: it needs front matter with slug, name, category and description."""


@dataclass(frozen=True)
class PromptFile:
    """`version` is the one that the file was written from; None where nobody said."""

    slug: str
    name: str
    category: str
    description: str
    text: PromptText
    version: int | None = None


def parse_prompt_file(source: str) -> PromptFile:
    """Raises `PromptFileError`. Line ends are made those of Unix; blank lines around both parts do not count."""
    match = _FRONT_MATTER.match(source.replace("\r\n", "\n"))
    if match is None:
        raise PromptFileError(PromptFileError.__doc__)
    if "\x00" in source:
        raise PromptFileError("It holds a NUL character, which is in no text.")
    fields = {
        name.strip(): value.strip()
        for name, separator, value in (line.partition(":") for line in match["fields"].splitlines())
        if separator
    }
    number = fields.pop(VERSION, None)
    if set(fields) != set(FIELDS):
        raise PromptFileError(
            f"The front matter needs {', '.join(FIELDS)}, and may have {VERSION}; it has {', '.join(fields)}."
        )
    if number is not None and not re.fullmatch(r"[1-9][0-9]{0,8}", number):
        raise PromptFileError(f"The version is a number from 1 on, not {number}.")
    template, _, system_prompt = match["text"].partition(f"\n{MARKER}\n")
    template = _ESCAPED_LINE.sub(r"<!-- \1system prompt -->", template.strip())
    return PromptFile(
        slug=fields["slug"],
        name=fields["name"],
        category=fields["category"],
        description=fields["description"],
        text=PromptText(template=template + "\n", system_prompt=system_prompt.strip()),
        version=int(number) if number else None,
    )


def format_prompt_file(prompt: PromptFile) -> str:
    """The reverse of `parse_prompt_file`, but for what that does not count: blank lines around both parts."""
    head = "".join(f"{name}: {' '.join(getattr(prompt, name).split())}\n" for name in FIELDS)
    if prompt.version is not None:
        head += f"{VERSION}: {prompt.version}\n"
    system = prompt.text.system_prompt.strip()
    system_prompt = f"{MARKER}\n{system}\n" if system else ""
    template = _MARKER_LINE.sub(r"<!-- \\\1system prompt -->", prompt.text.template.strip())
    return f"---\n{head}---\n{template}\n{system_prompt}"


def file_of(prompt: Prompt, version: PromptVersion) -> PromptFile:
    return PromptFile(
        slug=prompt.slug,
        name=prompt.name,
        category=prompt.category,
        description=prompt.description,
        text=PromptText(version.template, version.system_prompt),
        version=version.version,
    )


def as_in_a_file(text: PromptText) -> PromptText:
    """How a text comes back from a file: two texts that are the same so differ in nothing that counts."""
    return parse_prompt_file(format_prompt_file(PromptFile("-", "-", "-", "-", text))).text


def seed_files() -> list[PromptFile]:
    """The prompts that every installation begins with, by slug."""
    return [parse_prompt_file(path.read_text(encoding="utf-8")) for path in sorted(SEEDS.glob("*.md"))]
