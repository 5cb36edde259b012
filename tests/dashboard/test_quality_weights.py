"""The weights of the score: shown to everybody, tried before they are set, set by admins."""

from decimal import Decimal

from django.test import Client

from accounts.models import Account, AuditEvent
from metrics.models import QualityMetric
from metrics.quality.operations import begin_quality, weights_of
from metrics.quality.score import QualityWeights
from paid.lib.tenancy import platform, tenant
from tests.dashboard.world import World

PAGE = "/a/northwind/settings/quality/"
SET = PAGE + "set"


def weights(**changed: str) -> dict[str, str]:
    return {name: str(value) for name, value in QualityWeights().model_dump().items()} | changed


def own(world: World) -> object:
    with platform():
        return Account.objects.get(pk=world.account.pk).settings.get("quality_weights")


def test_an_admin_sets_weights_and_takes_the_hosts_again(world: World, alice: Client):
    said = alice.post(SET, weights(merged="9", lint="0"), follow=True).content.decode()
    with platform():
        stand = weights_of(world.account.pk)
    back = alice.post(SET, {"do": "reset"}, follow=True).content.decode()

    assert "The weights are set." in said
    assert "Your own weights" in said
    assert (stand.merged, stand.lint, stand.ci) == (Decimal(9), Decimal(0), Decimal(2))
    assert own(world) is None
    assert "The host's weights" in back.replace("&#x27;", "'")
    with platform():
        assert AuditEvent.objects.filter(action="quality.weights_set", actor="Alice Example").count() == 2


def test_the_effect_is_shown_and_nothing_is_set(world: World, alice: Client):
    with tenant(world.account.pk):
        begin_quality(run=world.run)
        QualityMetric.objects.filter(agent_run=world.run).update(quality_score=Decimal("0.20000"))
    page = alice.post(SET, weights(do="preview", merged="0")).content.decode()
    with platform():
        stands = QualityMetric.objects.get(agent_run=world.run).quality_score

    assert "1 of the last 1 scored run would have another score." in page
    # Only the turns are known: 20 / (20 + 6).
    assert "20 % → 77 %" in page
    assert world.issue.title in page
    assert (own(world), stands) == (None, Decimal("0.20000"))


def test_without_a_scored_run_there_is_no_effect_to_show(world: World, alice: Client):
    assert "There is nothing to compare the weights by." in alice.post(SET, weights(do="preview")).content.decode()


def test_weights_that_say_nothing_are_refused_beside_their_field(world: World, alice: Client):
    nothing = alice.post(SET, dict.fromkeys(weights(), "0"))
    negative = alice.post(SET, weights(ci="-1"))

    assert (nothing.status_code, negative.status_code) == (422, 422)
    assert "Give at least one signal a weight" in nothing.content.decode()
    assert "greater than or equal to 0" in negative.content.decode()
    assert own(world) is None


def test_a_viewer_reads_them_and_is_offered_no_change(world: World, vera: Client):
    page = vera.get(PAGE).content.decode()

    assert "Merged" in page
    assert 'name="merged"' not in page
    assert "Set weights" not in page
