"""What the page of a run tells beside its log: the prompt beside its parent, quality, and the way to try again."""

from django.test import Client

from agent_runs.models import AgentRun
from metrics.quality import begin_quality
from paid.lib.tenancy import platform
from prompts.models import PromptVersion
from tests.dashboard.world import World


def test_the_prompt_as_sent_stands_with_what_its_version_changed(world: World, bob: Client):
    with platform():
        first, second = PromptVersion.objects.filter(prompt=world.prompt).order_by("version")
        with_parent = PromptVersion.objects.create(
            account_id=world.account.pk,
            prompt=world.prompt,
            version=3,
            template=second.template + "Be brief.",
            parent_version=second,
        )
        AgentRun.objects.filter(pk=world.run.pk).update(prompt_version=first)
    without = bob.get(f"/a/northwind/runs/{world.run.pk}/").content.decode()
    with platform():
        AgentRun.objects.filter(pk=world.run.pk).update(prompt_version=with_parent)
    page = bob.get(f"/a/northwind/runs/{world.run.pk}/").content.decode()

    assert "What version" not in without
    assert "What version 3 changed in version 2" in page
    assert 'side-new">Be brief.</td>' in page


def test_what_is_confirmed_of_its_quality_is_shown_and_nothing_else(world: World, bob: Client):
    assert "<h2>Quality</h2>" not in bob.get(f"/a/northwind/runs/{world.run.pk}/").content.decode()
    with platform():
        begin_quality(run=world.run)
    page = bob.get(f"/a/northwind/runs/{world.run.pk}/").content.decode()

    quality = page[page.index("<h2>Quality</h2>") :].split("</section>")[0]
    assert [term.split("</dt>")[0] for term in quality.split("<dt>")[1:]] == ["Turns", "Lines"]


def test_an_issue_whose_last_run_failed_offers_to_retry_that_run(world: World, bob: Client, vera: Client):
    failed = f"/a/northwind/projects/{world.project.pk}/issues/{world.failed_run.issue.number}/"
    other = f"/a/northwind/projects/{world.project.pk}/issues/{world.issue.number}/"
    retry = f"/a/northwind/runs/{world.failed_run.pk}/retry"

    assert retry in bob.get(failed).content.decode()
    assert "Start an agent" not in bob.get(failed).content.decode()
    assert "Start an agent" in bob.get(other).content.decode()
    assert retry not in vera.get(failed).content.decode()
