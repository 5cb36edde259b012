"""What metrics refuses, in words for people."""

from decimal import Decimal


class BudgetExhausted(Exception):
    """A hard budget has nothing left for this run."""

    def __init__(self, *, period: str, limit_usd: Decimal) -> None:
        self.period = period
        self.limit_usd = limit_usd
        per = {"run": "per run", "day": "for today", "month": "for this month"}[period]
        super().__init__(
            f"The budget {per} ({limit_usd:.2f} USD) is used up or held by other runs. Wait for them to end, "
            "or have an admin of the account raise the limit under Settings, Budgets."
        )


class OwnLimitReached(Exception):
    """A run has spent what it may by its own limit, whatever its budgets have left."""

    def __init__(self, *, limit_usd: Decimal) -> None:
        self.limit_usd = limit_usd
        super().__init__(
            f"This run has used up its own limit of {limit_usd:.2f} USD. Grant it more budget to let it go on."
        )


class NothingToVoteOn(Exception):
    """The run has not ended yet: there is nothing to judge."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class EvolutionDecided(Exception):
    """This has been decided in the meantime. Load the page again to see how."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.__doc__)


class NoSuchProposal(Exception):
    """Choose at least one of the proposals that may be tried."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class ReportRefused(Exception):
    """A reported call that is not booked."""

    def __str__(self) -> str:
        return self.__doc__ or ""


class NoTimeOfRun(ReportRefused):
    """must lie between the run's start and now"""


class RunTakesNoReports(ReportRefused):
    """The run has not begun, or has ended: only a live run's calls can be reported."""


class RunTooDear(ReportRefused):
    """With this call the run would have cost more than a million dollars: that is taken for a mistake."""


class CallWasMetered(ReportRefused):
    """The gateway has counted this call of the provider's already: it is in the ledger."""


class ReportedOtherwise(ReportRefused):
    """This run has a reported call of this request id with another content. Nothing is booked over it."""
