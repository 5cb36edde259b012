"""What the page of a run tells beside its log: the prompt beside its parent, quality, and the way to try again."""

from django.test import Client

from agent_runs.models import AgentRun
from metrics.models import QualityMetric
from metrics.quality.operations import begin_quality
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
    assert [term.split("</dt>")[0].split(" <")[0] for term in quality.split("<dt>")[1:]] == ["Turns", "Lines"]


def test_an_issue_whose_last_run_failed_offers_to_retry_that_run(world: World, bob: Client, vera: Client):
    failed = f"/a/northwind/projects/{world.project.pk}/issues/{world.failed_run.issue.number}/"
    other = f"/a/northwind/projects/{world.project.pk}/issues/{world.issue.number}/"
    retry = f"/a/northwind/runs/{world.failed_run.pk}/retry"

    assert retry in bob.get(failed).content.decode()
    assert "Start an agent" not in bob.get(failed).content.decode()
    assert "Start an agent" in bob.get(other).content.decode()
    assert retry not in vera.get(failed).content.decode()


def test_a_member_votes_changes_the_vote_and_takes_it_back(world: World, bob: Client, vera: Client):
    address = f"/a/northwind/runs/{world.run.pk}/vote"
    page = f"/a/northwind/runs/{world.run.pk}/"
    too_early = bob.post(address, {"vote": "up"}, follow=True).content.decode()
    assert "has not ended yet" in too_early
    with platform():
        begin_quality(run=world.failed_run)
    address, page = (one.replace(str(world.run.pk), str(world.failed_run.pk)) for one in (address, page))
    bob.post(address, {"vote": "up"})
    assert "1 up" not in bob.get(page).content.decode()
    assert counted(world) == (1, 0)
    bob.post(address, {"vote": "down"})
    assert counted(world) == (0, 1)
    assert 'value="none"' in bob.get(page).content.decode()
    bob.post(address, {"vote": "none"})
    assert counted(world) == (0, 0)
    bob.post(address, {"vote": "sideways"})
    assert counted(world) == (0, 0)
    assert vera.post(address, {"vote": "up"}).status_code in (403, 404)
    assert counted(world) == (0, 0)


def counted(world: World) -> tuple[int, int]:
    with platform():
        row = QualityMetric.objects.get(agent_run=world.failed_run)
        return row.votes_up, row.votes_down
