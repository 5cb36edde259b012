"""Rows of which a page has fifty or five hundred: as templates they took most of its time, here a tenth of that."""

from collections.abc import Iterable

from django import template
from django.template import Context
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from accounts.models import Account
from agent_runs.models import AgentRun
from dashboard.label_filter import LabelFilter
from dashboard.log_lines import LogLine
from dashboard.markup import filled, joined
from dashboard.project_rows import IssueRow, ProjectRow
from dashboard.templatetags.display import (
    ago,
    icon,
    model_name,
    run_cost,
    run_status,
    unlocalized,
    usd,
    work_state,
)
from metrics.overview import Day
from projects.models import ForgeKind, IssueState, Project
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
ERROR = '\n    <div class="cell-note row-error">{error}</div>'


PROMPT = """
<tr class="linked">
  <td><a class="row-link" href="{address}">{name}</a><div class="cell-note"><code>{slug}</code>{said}</div></td>
  <td class="cell-tight"><span class="tag">{scope}</span></td>
  <td class="cell-right cell-tight">{version}</td>
  <td class="cell-right cell-tight wide-only cell-note">{changed}</td></tr>"""
ISSUE = """
<tr class="linked">
  <td><a class="row-link" href="{issues}{number}/">{title}</a>
    <div class="cell-note dotted"><span>#{number}</span>{labels}{last}</div></td>
  <td class="cell-tight">{state}</td>
  <td class="cell-right cell-tight wide-only">{runs}</td>
  <td class="cell-right cell-tight wide-only">{cost}</td>
  <td class="cell-right cell-tight">{action}</td>
</tr>"""
LABEL = '<a class="tag above" href="{query}" title="Only issues with this label">{name}</a>'
START = """<form class="above" method="post" action="{issues}{number}/run">{csrf}<button class="btn btn-quiet" \
type="submit">{icon}<span class="wide-only">Start</span><span class="visually-hidden"> an agent on #{number}</span>\
</button></form>"""
PROJECT = """
<tr class="linked">
  <td><a class="row-link" href="{projects}{pk}/">{name}</a>{off}
    <div class="cell-note">{icon} {owner}/{repo}<span class="phone-only"> · {cost}</span></div></td>
  <td class="cell-right">{open_issues}</td>
  <td class="cell-right wide-only">{runs}{live}</td>
  <td class="cell-right wide-only">{cost}</td>
  <td class="cell-right wide-only cell-note">{last}</td>
</tr>"""
OFF = filled(' <span class="tag">off</span>')
LIVE = ' <span class="status status-blue"><span class="status-dot status-dot-animated"></span>{count} live</span>'
IN_USE = filled(' <span class="tag tag-current wide-only">in use</span>')
NO_VERSION = filled('<span class="text-secondary">none</span>')
DAY = """<tr data-day="{day}" data-completed="{completed}" data-failed="{failed}" data-other="{other}" \
data-cost="{cost}">
  <td>{weekday} {day}</td><td class="cell-right">{completed}</td><td class="cell-right">{failed}</td>\
<td class="cell-right">{other}</td><td class="cell-right">{dollars}</td></tr>"""


@register.simple_tag
def day_rows(days: Iterable[Day]) -> SafeString:
    """Of the table beside the chart of runs and cost, which the chart is drawn from."""
    rows = (
        filled(
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
    return joined(rows)


@register.simple_tag
def run_rows(account: Account, runs: Iterable[AgentRun], *, show_error: bool = False) -> SafeString:
    """Of runs with names (agent_runs.querysets.named)."""
    address = reverse("runs", args=[account.slug])
    rows = (
        filled(
            RUN,
            runs=address,
            pk=run.pk,
            title=shortened(run.issue.title, TITLE_CHARACTERS),
            project=run.project.name,
            number=run.issue.number,
            started=ago(run.created_at),
            error=filled(ERROR, error=shortened(run.error, ERROR_CHARACTERS)) if show_error and run.error else "",
            status=run_status(run),
            model=model_name(run.language_model),
            cost=run_cost(run),
        )
        for run in runs
    )
    return joined(rows)


@register.simple_tag
def project_rows(account: Account, projects: Iterable[ProjectRow]) -> SafeString:
    address = reverse("projects", args=[account.slug])
    rows = (
        filled(
            PROJECT,
            projects=address,
            pk=row.project.pk,
            name=row.project.name,
            off="" if row.project.is_active else OFF,
            icon=icon("brand-github" if row.project.forge == ForgeKind.GITHUB else "device-desktop"),
            owner=row.project.owner,
            repo=row.project.repo,
            open_issues=row.open_issues,
            runs=row.totals.runs,
            live=filled(LIVE, count=row.live_runs) if row.live_runs else "",
            cost=usd(row.totals.cost_usd),
            last=ago(row.totals.last_started_at) if row.totals.last_started_at else "never",
        )
        for row in projects
    )
    return joined(rows)


@register.simple_tag(takes_context=True)
def issue_rows(
    context: Context, project: Project, issues: Iterable[IssueRow], labels: LabelFilter, *, may_start: bool
) -> SafeString:
    """Of a project's list, with a button for those that an agent may start on. A label narrows the list to it."""
    slug = context["request"].account.slug
    address, runs = f"{reverse('project', args=[slug, project.pk])}issues/", reverse("runs", args=[slug])
    csrf = filled('<input type="hidden" name="csrfmiddlewaretoken" value="{token}">', token=context["csrf_token"])
    rows = (
        filled(
            ISSUE,
            issues=address,
            number=row.issue.number,
            title=shortened(row.issue.title, TITLE_CHARACTERS),
            labels=joined(_label(name, labels) for name in row.issue.labels),
            last=filled("<span>last run {ago}</span>", ago=ago(row.newest.created_at)) if row.newest else "",
            state=work_state(row.issue),
            runs=len(row.runs),
            cost=usd(row.cost_usd),
            action=_issue_action(row, address, runs, csrf, may_start=may_start),
        )
        for row in issues
    )
    return joined(rows)


def _label(name: str, labels: LabelFilter) -> SafeString:
    if name in labels.names:
        return filled('<span class="tag tag-chosen">{name}</span>', name=name)
    return filled(LABEL, query=labels.with_label(name), name=name)


def _issue_action(row: IssueRow, issues: str, runs: str, csrf: SafeString, *, may_start: bool) -> SafeString | str:
    if row.newest and row.newest.is_live:
        return filled('<a class="btn btn-quiet above" href="{runs}{pk}/">Watch</a>', runs=runs, pk=row.newest.id)
    if may_start and row.issue.state == IssueState.OPEN:
        return filled(START, issues=issues, number=row.issue.number, csrf=csrf, icon=icon("player-play"))
    return ""


@register.simple_tag
def prompt_rows(account: Account, prompts: Iterable[Prompt]) -> SafeString:
    """Of the list of prompts (prompts.listing), each with its current version."""
    address = reverse("prompts", args=[account.slug])
    rows = (
        filled(
            PROMPT,
            address=f"{address}{prompt.pk}/",
            said="",
            version=f"v{prompt.current_version.version}" if prompt.current_version else NO_VERSION,
            changed=ago(prompt.updated_at),
            **_named(prompt),
        )
        for prompt in prompts
    )
    return joined(rows)


@register.simple_tag
def hit_rows(account: Account, hits: Iterable[PromptHit]) -> SafeString:
    """Of a search of prompts, each with the version that was found and what it says."""
    address = reverse("prompts", args=[account.slug])
    rows = (
        filled(
            PROMPT,
            address=f"{address}{hit.prompt.pk}/?version={hit.version.version}",
            said=filled('<span class="headline">{headline}</span>', headline=_headline(hit.headline)),
            version=filled(
                "v{version}{use}",
                version=hit.version.version,
                use=IN_USE if hit.version.pk == hit.prompt.current_version_id else "",
            ),
            changed=ago(hit.version.created_at),
            **_named(hit.prompt),
        )
        for hit in hits
    )
    return joined(rows)


def _named(prompt: Prompt) -> dict[str, str]:
    of_project = f": {prompt.project.name}" if prompt.project else ""
    return {"name": prompt.name, "slug": prompt.slug, "scope": f"{Scope(prompt.scope).label}{of_project}"}


def _headline(pieces: Iterable[Piece]) -> SafeString:
    return joined(filled("<mark>{text}</mark>" if piece.is_hit else "{text}", text=piece.text) for piece in pieces)


@register.simple_tag
def log_rows(lines: Iterable[LogLine]) -> SafeString:
    """Of a run's log."""
    return mark_safe("".join(map(_log_row, lines)))  # noqa: S308 - numbers, names of ours, and HTML that is safe


def _log_row(line: LogLine) -> str:
    number = "·" if line.number is None else line.number
    cut = '<em class="log-cut"> … cut here; the download has all of it</em>' if line.is_cut else ""
    return (
        f'<div class="log-line log-{line.kind}" id="L{line.seq}">'
        f'<a class="log-number" href="#L{line.seq}" title="{line.at.isoformat(" ", "seconds")[:19]} UTC">{number}</a>'
        f'<span class="log-icon">{icon(line.icon)}</span>'
        f'<span class="log-text">{line.html}{cut}</span></div>'
    )


def shortened(text: str, characters: int) -> str:
    """As `truncatechars`, which reads every character of a text that fits."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"
