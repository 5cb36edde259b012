"""Rows of which a page has fifty or five hundred: as templates they took most of its time, here a tenth of that."""

from collections.abc import Iterable

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from accounts.models import Account
from agent_runs.models import AgentRun
from dashboard.log_lines import LogLine
from dashboard.templatetags.display import ago, icon, model_name, run_cost, run_status, unlocalized, usd
from metrics.overview import Day
from prompts.models import Prompt, Scope
from prompts.search import Piece, PromptHit

register = template.Library()

TITLE_CHARACTERS = 90
ERROR_CHARACTERS = 160
RUN = """
<tr class="linked">
  <td>
    <a class="row-link" href="{runs}{pk}/">{title}</a>
    <div class="cell-note dotted"><span>{project} #{number}</span><span class="wide-only">run {pk}</span>\
<span class="phone-only">{started}</span></div>{error}
  </td>
  <td class="cell-tight">{status}</td>
  <td class="cell-tight wide-only cell-note">{model}</td>
  <td class="cell-right cell-tight">{cost}</td>
  <td class="cell-right cell-tight wide-only cell-note">{started}</td>
</tr>"""
ERROR = '\n    <div class="cell-note row-error">{}</div>'


PROMPT = """
<tr class="linked">
  <td><a class="row-link" href="{address}">{name}</a><div class="cell-note"><code>{slug}</code>{said}</div></td>
  <td class="cell-tight"><span class="tag">{scope}</span></td>
  <td class="cell-right cell-tight">{version}</td>
  <td class="cell-right cell-tight wide-only cell-note">{changed}</td></tr>"""
IN_USE = format_html('{}<span class="tag tag-current wide-only">in use</span>', " ")
NO_VERSION = format_html('<span class="text-secondary">{}</span>', "none")
DAY = """<tr data-day="{day}" data-completed="{completed}" data-failed="{failed}" data-other="{other}" \
data-cost="{cost}">
  <td>{weekday} {day}</td><td class="cell-right">{completed}</td><td class="cell-right">{failed}</td>\
<td class="cell-right">{other}</td><td class="cell-right">{dollars}</td></tr>"""


@register.simple_tag
def day_rows(days: Iterable[Day]) -> SafeString:
    """Of the table beside the chart of runs and cost, which the chart is drawn from."""
    rows = (
        format_html(
            DAY,
            day=f"{day.day.day} {day.day:%b}",
            weekday=f"{day.day:%a}",
            completed=day.completed,
            failed=day.failed,
            other=day.other,
            cost=unlocalized(day.cost_usd),
            dollars=usd(day.cost_usd),
        )
        for day in days
    )
    return format_html_join("", "{}", ((row,) for row in rows))


@register.simple_tag
def run_rows(account: Account, runs: Iterable[AgentRun], *, show_error: bool = False) -> SafeString:
    """Of runs with names (agent_runs.querysets.with_names)."""
    address = reverse("runs", args=[account.slug])
    rows = (
        format_html(
            RUN,
            runs=address,
            pk=run.pk,
            title=shortened(run.issue.title, TITLE_CHARACTERS),
            project=run.project.name,
            number=run.issue.number,
            started=ago(run.created_at),
            error=format_html(ERROR, shortened(run.error, ERROR_CHARACTERS)) if show_error and run.error else "",
            status=run_status(run),
            model=model_name(run.language_model),
            cost=run_cost(run),
        )
        for run in runs
    )
    return format_html_join("", "{}", ((row,) for row in rows))


@register.simple_tag
def prompt_rows(account: Account, prompts: Iterable[Prompt]) -> SafeString:
    """Of the list of prompts (prompts.listing), each with its current version."""
    address = reverse("prompts", args=[account.slug])
    rows = (
        format_html(
            PROMPT,
            address=f"{address}{prompt.pk}/",
            said="",
            version=f"v{prompt.current_version.version}" if prompt.current_version else NO_VERSION,
            changed=ago(prompt.updated_at),
            **_named(prompt),
        )
        for prompt in prompts
    )
    return format_html_join("", "{}", ((row,) for row in rows))


@register.simple_tag
def hit_rows(account: Account, hits: Iterable[PromptHit]) -> SafeString:
    """Of a search of prompts, each with the version that was found and what it says."""
    address = reverse("prompts", args=[account.slug])
    rows = (
        format_html(
            PROMPT,
            address=f"{address}{hit.prompt.pk}/?version={hit.version.version}",
            said=format_html('<span class="headline">{}</span>', _headline(hit.headline)),
            version=format_html(
                "v{}{}", hit.version.version, IN_USE if hit.version.pk == hit.prompt.current_version_id else ""
            ),
            changed=ago(hit.version.created_at),
            **_named(hit.prompt),
        )
        for hit in hits
    )
    return format_html_join("", "{}", ((row,) for row in rows))


def _named(prompt: Prompt) -> dict[str, str]:
    of_project = f": {prompt.project.name}" if prompt.project else ""
    return {"name": prompt.name, "slug": prompt.slug, "scope": f"{Scope(prompt.scope).label}{of_project}"}


def _headline(pieces: Iterable[Piece]) -> SafeString:
    return format_html_join(
        "", "{}", ((format_html("<mark>{}</mark>", piece.text) if piece.is_hit else piece.text,) for piece in pieces)
    )


@register.simple_tag
def log_rows(lines: Iterable[LogLine]) -> SafeString:
    """Of a run's log."""
    return mark_safe("".join(map(_log_row, lines)))  # noqa: S308 - numbers, names of ours, and HTML that is safe


def _log_row(line: LogLine) -> str:
    number = "·" if line.number is None else line.number
    cut = '<em class="log-cut"> … cut here; the download has all of it</em>' if line.is_cut else ""
    return (
        f'<div class="log-line log-{line.kind}" id="L{line.seq}">'
        f'<a class="log-number" href="#L{line.seq}" title="{line.at:%Y-%m-%d %H:%M:%S} UTC">{number}</a>'
        f'<span class="log-icon">{icon(line.icon)}</span>'
        f'<span class="log-text">{line.html}{cut}</span></div>'
    )


def shortened(text: str, characters: int) -> str:
    """As `truncatechars`, which reads every character of a text that fits."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"
