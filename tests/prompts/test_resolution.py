"""The nearest scope, the running experiment, and the same variant for the same subject every time."""

import hashlib
from collections import Counter
from decimal import Decimal

import pytest
from django.db import connection

from paid.lib.tenancy import platform, tenant
from prompts.errors import PromptNotFound
from prompts.models import AbTest, AbVariant, Prompt, PromptVersion, Scope
from prompts.resolution import ResolvedPrompt, resolve_prompt
from tests.factories.accounts import AccountFactory
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import (
    AbTestFactory,
    AbVariantFactory,
    PromptVersionFactory,
    global_prompt,
    prompt_with_version,
)

SLUG = "coding.x"


@pytest.fixture
def account():
    return AccountFactory()


@pytest.fixture
def project(account):
    return ProjectFactory(account=account)


def resolve(project, subject="1", slug=SLUG) -> ResolvedPrompt:
    with tenant(project.account_id):
        return resolve_prompt(account_id=project.account_id, project_id=project.pk, slug=slug, subject=subject)


@pytest.mark.django_db
def test_the_nearest_scope_wins(account, project):
    shared = global_prompt(slug=SLUG, template="global")
    assert (resolve(project).prompt_id, resolve(project).scope) == (shared.pk, "global")
    mine = prompt_with_version(account=account, slug=SLUG, template="account")
    assert (resolve(project).prompt_id, resolve(project).scope) == (mine.pk, "account")
    nearest = prompt_with_version(account=account, slug=SLUG, template="project", scope=Scope.PROJECT, project=project)
    version_id = nearest.current_version_id
    assert version_id is not None
    assert resolve(project) == ResolvedPrompt(
        prompt_id=nearest.pk,
        prompt_version_id=version_id,
        version_account_id=account.pk,
        version=1,
        template="project",
        system_prompt="",
        ab_variant_id=None,
        scope="project",
    )
    assert resolve(ProjectFactory(account=account)).prompt_id == mine.pk
    assert resolve(ProjectFactory()).prompt_id == shared.pk


@pytest.mark.django_db
def test_a_withdrawn_prompt_lets_the_wider_scope_count(account, project):
    shared = global_prompt(slug=SLUG)
    mine = prompt_with_version(account=account, slug=SLUG)
    with platform():
        Prompt.objects.filter(pk=mine.pk).update(current_version=None)
    assert resolve(project).prompt_id == shared.pk


@pytest.mark.django_db
def test_an_unknown_slug_says_what_to_do(project):
    with pytest.raises(PromptNotFound, match=r"no prompt `coding.y` for this project. Run `manage.py seed_prompts`"):
        resolve(project, slug="coding.y")


@pytest.mark.django_db
def test_another_tenants_prompt_is_not_found_even_by_its_account_id(account, project):
    prompt_with_version(account=account, slug=SLUG)
    stranger = AccountFactory()
    with tenant(stranger.pk), pytest.raises(PromptNotFound):
        resolve_prompt(account_id=account.pk, project_id=project.pk, slug=SLUG, subject="1")


@pytest.mark.django_db
def test_it_runs_as_the_tenants_role(project):
    global_prompt(slug=SLUG)
    with tenant(project.account_id), connection.cursor() as cursor:
        cursor.execute("SELECT current_user, prosecdef FROM pg_proc WHERE proname = 'resolve_prompt'")
        assert cursor.fetchone() == ("paid_tenant", False)


def experiment(prompt, account, *, share="1", weights=(1, 1), status="running", salt="pepper") -> list[AbVariant]:
    test = AbTestFactory(
        prompt=prompt,
        account_id=account.pk,
        prompt_account_id=prompt.account_id,
        traffic_share=Decimal(share),
        status=status,
        salt=salt,
    )
    return [
        AbVariantFactory(
            ab_test=test,
            account_id=account.pk,
            weight=weight,
            is_control=index == 0,
            prompt_version=PromptVersionFactory(prompt=prompt, version=index + 10, template=f"variant {index}"),
        )
        for index, weight in enumerate(weights)
    ]


def expected_variant(variants, salt: str, subject: str, share: Decimal):
    """The assignment, written down a second time."""
    digest = hashlib.sha256(f"{len(salt)}:{salt}{subject}".encode()).hexdigest()
    if int(digest[:12], 16) >= share * 2**48:
        return None
    total, upto = sum(variant.weight for variant in variants), 0
    for variant in variants:
        upto += variant.weight
        if int(digest[12:24], 16) * total < upto * 2**48:
            return variant
    raise AssertionError


@pytest.mark.django_db
def test_a_subject_keeps_its_variant_and_gets_the_one_that_the_hash_says(account, project):
    prompt = prompt_with_version(account=account, slug=SLUG, template="current")
    variants = experiment(prompt, account, share="0.6", weights=(3, 1, 2))
    counts: Counter[int | None] = Counter()
    for subject in map(str, range(400)):
        resolved = resolve(project, subject)
        expected = expected_variant(variants, "pepper", subject, Decimal("0.6"))
        assert resolved.ab_variant_id == (expected.pk if expected else None)
        assert resolved.template == (expected.prompt_version.template if expected else "current")
        counts[resolved.ab_variant_id] += 1
    again = Counter(resolve(project, subject).ab_variant_id for subject in map(str, range(400)))
    assert again == counts
    assert sum(counts[variant.pk] for variant in variants) == 240


@pytest.mark.django_db
def test_another_salt_splits_otherwise(account, project):
    prompt = prompt_with_version(account=account, slug=SLUG)
    experiment(prompt, account, salt="pepper")
    before = [resolve(project, str(subject)).ab_variant_id for subject in range(40)]
    with platform():
        AbTest.objects.update(salt="sugar")
    assert [resolve(project, str(subject)).ab_variant_id for subject in range(40)] != before


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["draft", "paused", "completed"])
def test_an_experiment_that_does_not_run_changes_nothing(account, project, status):
    prompt = prompt_with_version(account=account, slug=SLUG, template="current")
    experiment(prompt, account, status=status)
    assert (resolve(project).template, resolve(project).ab_variant_id) == ("current", None)


@pytest.mark.django_db
def test_an_accounts_experiment_on_a_global_prompt_is_its_own(account, project):
    shared = global_prompt(slug=SLUG, template="current")
    variants = experiment(shared, account)
    assert resolve(project).ab_variant_id in {variant.pk for variant in variants}
    assert resolve(project).version_account_id == 0
    assert resolve(ProjectFactory()).ab_variant_id is None


@pytest.mark.django_db
def test_a_running_experiment_without_variants_leaves_the_current_version(account, project):
    prompt = prompt_with_version(account=account, slug=SLUG, template="current")
    experiment(prompt, account, weights=())
    assert (resolve(project).template, resolve(project).ab_variant_id) == ("current", None)
    with platform():
        assert PromptVersion.objects.count() == 1
