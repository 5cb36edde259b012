"""A text filled in with a real issue: what an agent would be sent, and where words of other people stand in it."""

import re
from dataclasses import dataclass

from projects.models import Issue
from prompts.context import context_for
from prompts.errors import Problem, RenderingTooLarge, TemplateRefused
from prompts.operations import PromptText
from prompts.querysets import style_guide_for
from prompts.rendering import render_prompt
from prompts.template_check import check_template

_FENCED = re.compile(r"(<untrusted-[0-9a-f]{16} from=[^>]*>.*?</untrusted-[0-9a-f]{16}>)", re.DOTALL)


@dataclass(frozen=True)
class Piece:
    text: str
    is_untrusted: bool


@dataclass(frozen=True)
class Trial:
    """`problems` and the filled-in parts exclude each other; without an issue there are neither."""

    variables: tuple[str, ...] = ()
    template_problems: tuple[Problem, ...] = ()
    system_problems: tuple[Problem, ...] = ()
    too_large: str = ""
    prompt: tuple[Piece, ...] = ()
    system_prompt: str = ""
    issue: Issue | None = None

    @property
    def is_refused(self) -> bool:
        return bool(self.template_problems or self.system_problems or self.too_large)


def try_out(text: PromptText, issue: Issue | None) -> Trial:
    """As a run of this issue would get it now, with its project's style guide; the fence's nonce is a new one."""
    template_problems, used = _checked(text.template, is_system_prompt=False)
    system_problems, used_by_system = _checked(text.system_prompt, is_system_prompt=True)
    if template_problems or system_problems:
        return Trial(template_problems=template_problems, system_problems=system_problems)
    variables = tuple(sorted({*used, *used_by_system}))
    if issue is None:
        return Trial(variables)
    context = context_for(project=issue.project, issue=issue, style_guide=style_guide_for(issue.project))
    try:
        sent = render_prompt(template=text.template, system_prompt=text.system_prompt, context=context)
    except RenderingTooLarge as error:
        return Trial(variables, too_large=str(error))
    parts = _FENCED.split(sent.prompt)
    pieces = tuple(Piece(part, place % 2 == 1) for place, part in enumerate(parts) if part)
    return Trial(variables, prompt=pieces, system_prompt=sent.system_prompt, issue=issue)


def _checked(source: str, *, is_system_prompt: bool) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    try:
        return (), check_template(source, is_system_prompt=is_system_prompt).variables
    except TemplateRefused as error:
        return error.problems, ()
