"""Model calls that did not pass the gateway, reported over HTTP."""

from http import HTTPStatus
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from accounts.api_tokens import TokenHolder
from accounts.models import ApiScope
from dashboard.api.endpoints import INVALID, Body, operation
from dashboard.api.problems import FieldProblem, Kind, Problem
from dashboard.api.runs import RUN_NOT_FOUND, get_run
from dashboard.api.shapes import Text, Usd
from metrics.errors import CallWasMetered, NoTimeOfRun, ReportedOtherwise, ReportRefused, RunTakesNoReports, RunTooDear
from metrics.reported_usage import ReportedCall, report_usage

# Several times what any model takes or gives in one call: a slip of the keyboard is no bill.
MOST_TOKENS = 10_000_000
Tokens = Annotated[int, Field(ge=0, le=MOST_TOKENS)]
REFUSALS: dict[type[ReportRefused], Kind] = {
    ReportedOtherwise: Kind(HTTPStatus.CONFLICT, "request_id_reused"),
    CallWasMetered: Kind(HTTPStatus.CONFLICT, "call_was_metered"),
    RunTakesNoReports: Kind(HTTPStatus.CONFLICT, "run_takes_no_reports"),
    RunTooDear: Kind(HTTPStatus.CONFLICT, "run_too_dear"),
}


class UsageReport(Body):
    request_id: Annotated[
        Text,
        Field(
            min_length=1,
            max_length=200,
            description="The provider's id of the call, or one of your own: each call of a run has another.",
            examples=["req_011CQ8"],
        ),
    ]
    model: Annotated[Text, Field(min_length=1, max_length=200, description="The provider's name of it.")]
    called_at: AwareDatetime = Field(description="Between the run's start and now: the prices of this moment count.")
    input_tokens: Tokens = Field(0, description="Without those that the provider read from or wrote to its cache.")
    output_tokens: Tokens = 0
    cache_read_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    cache_write_1h_tokens: Tokens = Field(0, description="Of `cache_write_tokens`, those that are kept for an hour.")

    @model_validator(mode="after")
    def counts_something(self) -> Self:
        if self.cache_write_1h_tokens > self.cache_write_tokens:
            raise ValueError("`cache_write_1h_tokens` are some of `cache_write_tokens`")
        if not self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens:
            raise ValueError("a call has tokens")
        return self


class UsageBooked(BaseModel):
    run_id: int
    request_id: str
    cost_usd: Usd
    is_priced: bool = Field(description="False when no price is known yet: the call is priced when one is.")
    is_new: bool = Field(description="False when the same report was booked before.")


@operation(
    "POST",
    scope=ApiScope.USAGE_WRITE,
    takes=UsageReport,
    gives=UsageBooked,
    problems=(RUN_NOT_FOUND, *REFUSALS.values()),
)
def report_call(who: TokenHolder, asked: UsageReport, *, run_id: int) -> UsageBooked:
    """Report a model call of a live run that did not pass the gateway.

    Paid prices it, adds it to the run, its day and its budgets, and shows it as reported: it was told, not counted. A
    report can be sent again whenever no answer came; nothing takes one back.
    """
    run = get_run(who, run_id)
    try:
        booked = report_usage(run=run, call=ReportedCall(**asked.model_dump()), actor_name=who.actor_name)
    except NoTimeOfRun as error:
        errors = [FieldProblem(field="called_at", detail=str(error))]
        raise Problem(INVALID, f"called_at: {error}", errors=errors) from None
    except tuple(REFUSALS) as error:
        raise Problem(REFUSALS[type(error)], str(error)) from None
    return UsageBooked(
        run_id=run.pk,
        request_id=asked.request_id,
        cost_usd=booked.cost_usd,
        is_priced=booked.is_priced,
        is_new=booked.is_new,
    )
