"""Alice owns, Bob is a member, Vera may look, Charlie sees nothing."""

from http import HTTPStatus

from django.test import Client

from accounts.models import ApiToken, GithubToken, ProviderKey
from agent_runs.models import AgentRun
from metrics.models import CostBudget
from paid.lib.tenancy import platform
from projects.models import Comment, PullRequest, PullRequestState
from prompts.models import PromptVersion
from tests.dashboard.addresses import tenant_addresses
from tests.dashboard.world import World

METHODS = ("get", "post", "head", "put", "delete")


def test_an_outsider_gets_404_at_every_address_by_every_method(world: World, charlie: Client):
    addresses = tenant_addresses(world)
    answers = {
        (name, method): getattr(charlie, method)(address).status_code
        for name, address in addresses.items()
        for method in METHODS
    }

    assert len(addresses) >= 20
    assert {key: status for key, status in answers.items() if status != HTTPStatus.NOT_FOUND} == {}


def test_another_tenants_rows_are_404_at_ones_own_addresses(world: World, charlie: Client):
    addresses = tenant_addresses(world)
    with_rows = {
        name: address for name, address in addresses.items() if any(part.isdigit() for part in address.split("/"))
    }
    answers = {
        name: charlie.get(address.replace("/a/northwind/", "/a/elsewhere/")).status_code
        for name, address in with_rows.items()
    }

    allowed = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
    assert len(with_rows) >= 10
    assert {name: status for name, status in answers.items() if status not in allowed} == {}


def test_a_stranger_is_sent_to_the_sign_in_from_every_address(world: World, client: Client):
    for address in tenant_addresses(world).values():
        answer = client.get(address)

        assert answer.status_code == HTTPStatus.FOUND
        assert answer["Location"] == f"/sign-in/?next={address}"


def test_a_member_sees_every_page_that_is_read(world: World, bob: Client):
    addresses = tenant_addresses(world)
    pages = {name: bob.get(address).status_code for name, address in addresses.items() if name != "run_log_stream"}

    read = {name for name, status in pages.items() if status == HTTPStatus.OK}
    assert {
        "overview", "runs", "run", "run_log", "run_log_file", "projects", "project", "issue", "pull_request",
        "prompts", "prompt", "prompt_compare", "prompt_edit", "prompt_promote", "settings_profile",
        "prompt_try", "prompt_file", "style_guides", "language_models", "prompt_label", "prompt_label_remove",
        "settings_members", "settings_github", "settings_api", "settings_keys", "settings_budgets", "issue_new",
        "pull_request_merge", "pull_request_close", "experiments", "experiment", "experiment_new",
        "experiment_pause", "experiment_delete", "settings_quality",
        "style_guide", "style_guide_new", "style_guide_edit", "style_guide_remove",
    } <= read  # fmt: skip
    assert {name for name, status in pages.items() if status >= HTTPStatus.INTERNAL_SERVER_ERROR} == set()


ADMINS_ONLY = (
    "project_meta_agent",
    "settings_github_connect", "settings_github_revoke", "settings_keys_add", "settings_keys_revoke",
    "settings_budgets_set", "settings_budgets_remove", "settings_budgets_webhook", "settings_budgets_webhook_remove",
    "run_grant", "experiment_start", "experiment_resume", "experiment_conclude", "settings_api_create",
    "settings_api_revoke", "settings_quality_set", "prompt_evolution_policy", "prompt_evolution_try",
    "prompt_evolution_reject", "preference_add", "preference_move", "preference_remove",
)  # fmt: skip
WORK = (
    "demo_start", "issue_new", "issue_run", "run_stop", "run_retry", "run_resume", "prompt_edit", "prompt_promote",
    "prompt_withdraw", "prompt_check", "prompt_label", "prompt_label_remove",
    "pull_request_merge", "pull_request_close", "pull_request_comment",
    "experiment_new", "experiment_look", "experiment_pause", "experiment_delete",
    "style_guide_new", "style_guide_edit", "style_guide_remove",
)  # fmt: skip


def test_a_member_may_not_touch_the_accounts_secrets_and_budgets(world: World, bob: Client):
    addresses = tenant_addresses(world)

    assert {name: bob.post(addresses[name]).status_code for name in ADMINS_ONLY} == dict.fromkeys(
        ADMINS_ONLY, HTTPStatus.FORBIDDEN
    )
    with platform():
        assert GithubToken.objects.get().revoked_at is None
        assert ProviderKey.objects.get().revoked_at is None
        assert ApiToken.objects.get().revoked_at is None
        assert CostBudget.objects.get().limit_usd == 5


def test_a_viewer_starts_changes_and_judges_nothing(world: World, vera: Client):
    addresses = tenant_addresses(world)

    assert {name: vera.post(addresses[name]).status_code for name in (*WORK, *ADMINS_ONLY)} == dict.fromkeys(
        (*WORK, *ADMINS_ONLY), HTTPStatus.FORBIDDEN
    )
    with platform():
        assert AgentRun.objects.count() == 3
        assert PromptVersion.objects.filter(prompt=world.prompt).count() == 2
        assert Comment.objects.count() == 1
        assert PullRequest.objects.get().state == PullRequestState.OPEN


def test_a_viewers_pages_offer_nothing_that_they_may_not_do(world: World, vera: Client):
    page = vera.get(f"/a/northwind/runs/{world.live_run.pk}/").content.decode()

    assert "Add a --max-length option" in page
    assert "/stop" not in page
