"""What the meta-agent is told: each model with its price and how it did in this project, and what the run may spend."""

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal

from agent_runs.models import AgentRun
from metrics.analytics.runs import ModelHistory, history_by_model
from metrics.models import BudgetReservation
from metrics.querysets import budgets_of
from prompts.models import TokenClass
from prompts.querysets import prices_now
from prompts.selection import Candidate, Offer, Selection

TOO_DEAR = "Its usual run costs more than this one may spend."


def offers_for(*, run: AgentRun, rules: Selection) -> list[Offer]:
    """What the rules looked at, with the words for whoever chooses. Inside of `tenant()`."""
    prices: dict[int, dict[str, Decimal]] = {}
    for price in prices_now([candidate.language_model_id for candidate in rules.candidates]):
        prices.setdefault(price.language_model_id, {})[price.token_class] = price.usd_per_million
    histories = history_by_model(run.account_id, run.project_id)
    money = _money_of(run)
    return [
        _offer(candidate, prices.get(candidate.language_model_id, {}), histories, money)
        for candidate in rules.candidates
    ]


def budget_of(run: AgentRun) -> str:
    """What the run may spend, and what the budgets over it have left beside that."""
    left = [
        f" Beside that {use.left_usd:.2f} USD are left of the {'project' if use.budget.project_id else 'account'}'s "
        f"budget of this {use.budget.period}."
        for use in budgets_of(run.account_id)
        if use.left_usd is not None and use.budget.project_id in (None, run.project_id)
    ]
    return f"The run may spend at most {_money_of(run):.2f} USD.{''.join(left)}"


def _money_of(run: AgentRun) -> Decimal:
    """Its escrow: the run's own limit, or less where a hard budget had less left."""
    return BudgetReservation.objects.get(agent_run=run).amount_usd


def _offer(
    candidate: Candidate,
    prices: Mapping[str, Decimal],
    histories: Mapping[int, ModelHistory],
    money: Decimal,
) -> Offer:
    history = histories.get(candidate.language_model_id)
    return Offer(
        **asdict(candidate),
        price=_price(prices),
        history="" if history is None else _history(history),
        note=TOO_DEAR if history is not None and (history.mean_cost_usd or 0) > money else "",
    )


def _price(prices: Mapping[str, Decimal]) -> str:
    named = [(prices.get(TokenClass.INPUT), "in"), (prices.get(TokenClass.OUTPUT), "out")]
    known = [f"{usd.normalize():f} USD {direction}" for usd, direction in named if usd is not None]
    return f"{', '.join(known)} per million tokens" if known else "no price known"


def _history(history: ModelHistory) -> str:
    judged = history.merged + history.unmerged
    merged = f", {history.merged} of {judged} pull requests merged" if judged else ""
    runs = "1 run" if history.runs == 1 else f"{history.runs} runs"
    cost = "" if history.mean_cost_usd is None else f", {history.mean_cost_usd:.2f} USD a run"
    return f"{runs}, {history.completed} completed{merged}{cost}"
