"""How values are shown: exact in the title, easy to read in the text."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.safestring import SafeString

from agent_runs.models import AgentRun, RunStatus, RunStep
from dashboard import template_colours
from dashboard.markdown import to_html
from dashboard.markup import filled
from metrics.models import ExperimentReading, Proposal
from projects.models import Issue, PullRequest, PullRequestState, WorkState
from prompts.models import AbTest, AbTestStatus, LanguageModel

register = template.Library()

SPRITE = "vendor/tabler-icons-3.51.0/sprite.svg"
UNKNOWN = filled('<span class="text-secondary">–</span>')
# The navigation entry of a page is the first word of its URL name; these belong to another entry.
SECTIONS = {
    "project": "projects",
    "issue": "projects",
    "pull": "projects",
    "run": "runs",
    "prompt": "prompts",
    "style": "prompts",
    "language": "prompts",
    "preference": "prompts",
    "experiment": "experiments",
}


@register.simple_tag
@lru_cache(maxsize=500)
def icon(name: str, extra_class: str = "") -> SafeString:
    """Kept: some hundred of them stand on a page, and each would ask where static files are."""
    return filled(
        '<svg class="icon {extra}" aria-hidden="true"><use href="{sprite}#{name}"></use></svg>',
        extra=extra_class,
        sprite=static(SPRITE),
        name=name,
    )


@register.filter
def section(url_name: str | None) -> str:
    first = (url_name or "").split("_")[0]
    return SECTIONS.get(first, first)


@register.simple_tag
def run_status(run: AgentRun) -> SafeString:
    status = RunStatus(run.status)
    return badge(status.label, status.colour, is_live=status.is_live)


@register.simple_tag
def model_name(model: LanguageModel) -> SafeString:
    """The name, or that it is none of a provider's."""
    if not model.is_scripted:
        return filled("{name}", name=model.name or model.model_id)
    said = "Played by a scripted model on this machine: no provider was asked, nothing was paid"
    return filled(
        '<span class="tag tag-scripted" title="{said}">{icon}scripted model</span>', said=said, icon=icon("robot")
    )


@register.simple_tag
def run_cost(run: AgentRun) -> SafeString:
    """The sum so far, and whether some calls are missing from it."""
    if not run.unpriced_calls:
        return usd(run.cost_usd)
    if not run.cost_usd:
        title = f"{run.unpriced_calls} calls of a model without a known price"
        return filled('<span class="tag" title="{title}">unpriced</span>', title=title)
    title = f"{run.unpriced_calls} more calls have no known price"
    return filled('{usd}<span class="text-secondary" title="{title}">+?</span>', usd=usd(run.cost_usd), title=title)


@register.simple_tag
def work_state(issue: Issue) -> SafeString:
    state = WorkState(issue.work_state)
    return badge(state.label, state.colour, is_live=state is WorkState.IN_PROGRESS)


@register.simple_tag
def pull_request_state(pull_request: PullRequest) -> SafeString:
    state = PullRequestState(pull_request.state)
    return badge(state.label, state.colour)


@register.simple_tag
def experiment_status(test: AbTest) -> SafeString:
    status = AbTestStatus(test.status)
    return badge(status.label, status.colour, is_live=status is AbTestStatus.RUNNING)


@register.simple_tag
def proposal_badge(reading: ExperimentReading) -> SafeString:
    proposal = Proposal(reading.proposal)
    return badge(proposal.label, proposal.colour)


@lru_cache(maxsize=200)
def badge(label: str, colour: str, *, is_live: bool = False) -> SafeString:
    """A status in Tabler's colour `colour`, which the TextChoices class carries; a live one breathes."""
    return filled(
        '<span class="status status-{colour}"><span class="status-dot {moving}"></span>{label}</span>',
        colour=colour,
        moving="status-dot-animated" if is_live else "",
        label=label,
    )


@register.filter
def is_live(run: AgentRun) -> bool:
    return RunStatus(run.status).is_live


@register.filter
def elapsed(timed: AgentRun | RunStep) -> timedelta | None:
    """From start to end; None while either is missing."""
    return timed.finished_at - timed.started_at if timed.started_at and timed.finished_at else None


@register.filter
def unlocalized(value: Decimal) -> str:
    """A number for an attribute: plain digits, whatever the language."""
    return f"{value:f}"


@register.filter
def plain(value: float | None) -> str:
    """A float for an attribute, six decimals; empty when it is not known."""
    return "" if value is None else f"{value:.6f}"


@register.filter
def at(values: Mapping[int, str], key: int) -> str:
    """The entry of a mapping, such as the name of a row's id."""
    return values.get(key, "")


@register.filter
def usd(value: Decimal | None) -> SafeString:
    """Dollars with the digits that matter; the exact amount is in the title."""
    if value is None:
        return filled('<span class="text-secondary" title="Not known yet">–</span>')
    return filled(
        '<span class="number" title="{exact} USD">${short}</span>', exact=exact(value), short=short_usd(value)
    )


def short_usd(value: Decimal) -> str:
    size = abs(value)
    if size == 0:
        return "0.00"
    if size < Decimal("0.01"):
        return f"{value:.5f}" if size >= Decimal("0.00001") else f"{value:.8f}"
    return f"{value:,.3f}" if size < 1 else f"{value:,.2f}"


def exact(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@register.filter
def tokens(value: int | None) -> SafeString:
    if value is None:
        return UNKNOWN
    return filled(
        '<span class="number" title="{all} tokens">{short}</span>', all=f"{value:,}", short=short_count(value)
    )


def short_count(value: int) -> str:
    if value < 1_000:
        return str(value)
    if value < 1_000_000:
        return f"{value / 1_000:.1f}k".replace(".0k", "k")
    return f"{value / 1_000_000:.2f}M"


@register.filter
def count(value: int) -> SafeString:
    """A large number in few digits; all of them are in the title."""
    return filled('<span class="number" title="{all}">{short}</span>', all=f"{value:,}", short=short_count(value))


@register.filter
def milliseconds(value: float) -> str:
    """Of a statement: from microseconds to hours."""
    if value < 1:
        return f"{value * 1000:.0f} µs"
    return f"{value:.1f} ms" if value < 1_000 else duration(value / 1000)


@register.filter
def ago(value: datetime | None) -> SafeString:
    """A relative time that the browser keeps fresh; the absolute one is in the title."""
    if value is None:
        return UNKNOWN
    return filled(
        '<time datetime="{exact}" title="{title} UTC" data-ago>{relative}</time>',
        exact=value.isoformat(),
        title=f"{value:%d %b %Y %H:%M:%S}",
        relative=relative(timezone.now() - value),
    )


def relative(passed: timedelta) -> str:
    seconds = int(passed.total_seconds())
    if seconds < 10:
        return "just now"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return "just now"


@register.filter
def duration(value: timedelta | float | int | None) -> str:
    if value is None:
        return "–"
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@register.filter
def markdown(text: str) -> SafeString:
    return to_html(text)


@register.filter
def jinja(source: str) -> SafeString:
    """A template's source, escaped, with its Jinja2 in colours."""
    return template_colours.to_html(source)


@register.filter
def percent(value: float | Decimal | None) -> str:
    return "–" if value is None else f"{value * 100:.0f} %"


@register.filter
def initials(value: str) -> str:
    words: Iterable[str] = value.replace(".", " ").replace("@", " ").split()
    return "".join(word[0] for word in list(words)[:2]).upper()
