"""Which proposed prompts may be tried. A proposal was written by a model that had read untrusted text.

Words cannot be proved harmless. What is held here is that a proposal stays a template of the same shape, does not
carry over what an issue said, and brings in no way out of the sandbox that its parent did not have; a person reads
it before it is tried, unless the account wants it otherwise, and the sandbox holds whatever it says.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from metrics.evolution.answer import Proposal
from prompts.context import has_hidden_characters
from prompts.errors import TemplateRefused
from prompts.operations import PromptText
from prompts.template_check import check_template

# So many words in a row, taken from a sampled run, are a copy and not a coincidence.
COPIED_WORDS = 8
_LEAST_TITLE_WORDS = 4
_WORD = re.compile(r"\w+")

# Repetitions are bounded: a text may be written to be slow to search.
_ADDRESSES = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,20}://\S*|\bwww\.\S+|\b[\w.+-]{1,64}@[\w-]{1,63}\.\w+|\b\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|\b(?:[a-z0-9-]{1,63}\.){1,4}(?:com|net|org|io|dev|app|ai|xyz|ru|cn|onion|me|co)\b",
    re.IGNORECASE,
)
_REACHES = re.compile(
    r"\b(?:curl|wget|fetch|netcat|nc|ncat|telnet|ssh|scp|sftp|rsync|ftp|nslookup|socat|upload|download|webhook"
    r"|git\s+(?:push|remote|config|fetch|pull|clone)|pip3?\s+install|npm\s+(?:i|install)|apt(?:-get)?|sudo|chmod|chown"
    r"|rm\s+-\w{0,9}r\w{0,9}|eval|exec|base64|/dev/tcp|/proc/\S*|/etc/\S*|printenv)\b",
    re.IGNORECASE,
)
_SECRETS = re.compile(
    r"\b(?:passwords?|passphrases?|secrets?|credentials?|api[ _-]?keys?|access[ _-]?tokens?|tokens?|private[ _-]?keys?"
    r"|environment variables?|[A-Z][A-Z0-9_]{0,60}_(?:KEY|TOKEN|SECRET|PASSWORD))\b|~/\.\w+|(?<!\w)\.env\b",
    re.IGNORECASE,
)
_OVERRIDES = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass|skip|disable)\b[^.\n]{0,40}"
    r"\b(?:instructions?|rules?|prompts?|guards?|checks?|tests?|reviews?|limits?|sandbox|fences?|policy|policies)\b"
    r"|\bprompt injection\b|\bdo not (?:tell|mention|report)\b|\bjailbreak\b",
    re.IGNORECASE,
)
_FENCES = re.compile(
    r"untrusted-|</?\s*(?:system|untrusted|instructions?|assistant|human|user)\b|<!--|-->", re.IGNORECASE
)
# What a proposal may not have more of than its parent, and how a person is told.
_KINDS = (
    (_ADDRESSES, "It names an address that the prompt did not have: {}."),
    (_REACHES, "It tells the agent to use something that reaches beyond its files: {}."),
    (_SECRETS, "It speaks of secrets: {}."),
    (_OVERRIDES, "It would have the agent set rules aside: {}."),
    (_FENCES, "It has marks that stand for the fence around other people's text: {}."),
)
_QUOTED_CHARACTERS = 60


@dataclass(frozen=True)
class Standard:
    """What proposals are measured by. `sampled` are the untrusted texts that the model was shown."""

    parent: PromptText
    variables: frozenset[str]
    nonce: str
    sampled: tuple[str, ...]

    @property
    def longest(self) -> int:
        """Characters of both parts together."""
        return longest_for(self.parent)


def longest_for(parent: PromptText) -> int:
    """Half as long again as the parent, or a thousand characters more: a prompt is paid for with every run."""
    size = len(parent.template) + len(parent.system_prompt)
    return size + max(1_000, size // 2)


def refusals_of(proposal: Proposal, standard: Standard) -> tuple[str, ...]:
    """Why this text may not be tried, in words for people; empty if it may."""
    whole = f"{proposal.template}\n{proposal.system_prompt}"
    if len(whole) - 1 > standard.longest:
        return (f"It has {len(whole) - 1:,} characters; {standard.longest:,} are allowed.",)
    return (
        *_wrong_shape(proposal, standard),
        *_wrong_words(whole, standard),
        *_copied(whole, standard),
    )


def judge(proposals: Sequence[Proposal], standard: Standard) -> list[tuple[str, ...]]:
    """The refusals of each. Of equal texts the first counts."""
    seen: set[str] = set()
    found: list[tuple[str, ...]] = []
    for proposal in proposals:
        text = " ".join(f"{proposal.template}\n{proposal.system_prompt}".split())
        again = ("It is the same as another proposal.",) if text in seen else ()
        seen.add(text)
        found.append((*again, *refusals_of(proposal, standard)))
    return found


def _wrong_shape(proposal: Proposal, standard: Standard) -> Iterator[str]:
    if not proposal.template.strip():
        yield "It is empty."
        return
    text = PromptText(proposal.template, proposal.system_prompt)
    if _same(text, standard.parent):
        yield "It is the prompt as it was."
    try:
        checked = check_template(text.template), check_template(text.system_prompt, is_system_prompt=True)
    except TemplateRefused as error:
        yield f"It is no valid template: {error}"
        return
    used = {name for part in checked for name in part.variables}
    if missing := sorted(standard.variables - used):
        yield f"It drops {_listed(missing)}."
    if added := sorted(used - standard.variables):
        yield f"It adds {_listed(added)}, which the prompt did not use."


def _wrong_words(whole: str, standard: Standard) -> Iterator[str]:
    if standard.nonce and standard.nonce in whole:
        yield "It repeats the mark of the fence around other people's text."
    if has_hidden_characters(whole):
        yield "It has characters that people cannot see."
    parent = f"{standard.parent.template}\n{standard.parent.system_prompt}"
    for pattern, words in _KINDS:
        if found := _more_of(pattern, whole, parent):
            yield words.format(", ".join(f"“{entry[:_QUOTED_CHARACTERS]}”" for entry in found[:3]))


def _copied(whole: str, standard: Standard) -> Iterator[str]:
    own = set(_runs_of_words(f"{standard.parent.template}\n{standard.parent.system_prompt}", COPIED_WORDS))
    theirs = set(_runs_of_words(whole, COPIED_WORDS)) - own
    said = f" {' '.join(_words(whole))} "
    for text in standard.sampled:
        copied = next((run for run in _runs_of_words(text, COPIED_WORDS) if run in theirs), "")
        words = _words(text)
        if not copied and _LEAST_TITLE_WORDS <= len(words) < COPIED_WORDS and f" {' '.join(words)} " in said:
            copied = " ".join(words)
        if copied:
            yield f"It copies from a run that it was shown: “{copied[:_QUOTED_CHARACTERS]}”."
            return


def _more_of(pattern: re.Pattern[str], text: str, parent: str) -> list[str]:
    """What the pattern finds in `text` more often than in `parent`, by the words that it finds."""
    had = Counter(match.lower() for match in pattern.findall(parent))
    has = Counter(match.lower() for match in pattern.findall(text))
    return sorted(has - had)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _runs_of_words(text: str, length: int) -> Iterator[str]:
    words = _words(text)
    return (" ".join(words[start : start + length]) for start in range(len(words) - length + 1))


def _same(one: PromptText, other: PromptText) -> bool:
    return (one.template.split(), one.system_prompt.split()) == (other.template.split(), other.system_prompt.split())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
