"""Reads on experiments."""

from django.db.models import Case, IntegerField, Prefetch, QuerySet, Value, When

from prompts.models import AbTest, AbTestStatus, AbVariant, Prompt

_LIVE_FIRST = (AbTestStatus.RUNNING, AbTestStatus.PAUSED, AbTestStatus.DRAFT, AbTestStatus.COMPLETED)


def experiments_of(account_id: int) -> QuerySet[AbTest]:
    """The newest first, with prompt and winner."""
    return AbTest.objects.filter(account_id=account_id).select_related("prompt", "winner").order_by("-id")


def experiments_on(prompt: Prompt, account_id: int) -> QuerySet[AbTest]:
    """The account's experiments on a prompt, its own or a global one: the running one first, then the newest."""
    position = Case(
        *(When(status=status, then=Value(place)) for place, status in enumerate(_LIVE_FIRST)),
        output_field=IntegerField(),
    )
    variants = AbVariant.objects.select_related("prompt_version").order_by("-is_control", "pk")
    return (
        AbTest.objects.filter(account_id=account_id, prompt=prompt)
        .prefetch_related(Prefetch("variants", variants))
        .order_by(position, "-id")
    )


def variants_of(test: AbTest) -> QuerySet[AbVariant]:
    """The control first."""
    return (
        AbVariant.objects.filter(account_id=test.account_id, ab_test=test)
        .select_related("prompt_version")
        .order_by("-is_control", "pk")
    )
