"""One account with everything in it, and who visits: Alice owns, Bob works, Vera looks, Charlie is elsewhere."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.utils import timezone

from accounts.models import Account, ApiToken, GithubToken, ProviderKey, Role, User
from agent_runs.models import AgentRun, LogKind, RunStatus, StepName, StepStatus
from metrics.models import Candidate, CostBudget, EvolutionStatus
from paid.lib.tenancy import platform
from projects.models import Issue, Project, PullRequest, WorkState
from prompts.models import AbTest, LanguageModel, ModelPreference, Prompt, PromptLabel, PromptVersion, StyleGuide
from tests.factories.accounts import (
    AccountFactory,
    ApiTokenFactory,
    GithubTokenFactory,
    MembershipFactory,
    ProviderKeyFactory,
    UserFactory,
)
from tests.factories.agent_runs import (
    AgentRunFactory,
    AgentRunLogFactory,
    ModelSelectionFactory,
    RunDiffFactory,
    RunStepFactory,
)
from tests.factories.base import together
from tests.factories.metrics import BudgetReservationFactory, CostBudgetFactory, EvolutionFactory, TokenUsageFactory
from tests.factories.projects import CommentFactory, IssueFactory, ProjectFactory, PullRequestFactory
from tests.factories.prompts import (
    AbTestFactory,
    AbVariantFactory,
    LanguageModelFactory,
    ModelPreferenceFactory,
    PromptFactory,
    PromptLabelFactory,
    PromptVersionFactory,
    StyleGuideFactory,
)

PATCH = """diff --git a/slugify.py b/slugify.py
index 1111111..2222222 100644
--- a/slugify.py
+++ b/slugify.py
@@ -1,6 +1,9 @@ import re
 import re
+import unicodedata


 def slugify(title: str) -> str:
-    words = re.findall(r"[a-z0-9]+", title.lower())
+    # An accented letter becomes its plain one, so that "Über uns" reads "uber-uns".
+    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
+    words = re.findall(r"[a-z0-9]+", plain.lower())
     return "-".join(words)
diff --git a/tests/test_slugify.py b/tests/test_slugify.py
new file mode 100644
--- /dev/null
+++ b/tests/test_slugify.py
@@ -0,0 +1,5 @@
+from slugify import slugify
+
+
+def test_accents():
+    assert slugify("Über uns") == "uber-uns"
"""
FIRST_TEMPLATE = """You work on {{ project.name }}.

Solve this issue:

# {{ issue.title }}

{{ issue.body }}

Run the tests before you finish.
"""
SECOND_TEMPLATE = FIRST_TEMPLATE.replace(
    "Run the tests before you finish.", "First write a test that fails.\nRun all tests before you finish."
)
BETTER = Candidate(
    template=f"{SECOND_TEMPLATE}\nRead your change once more, as a reviewer would.\n",
    reason="A second look finds slips.",
)
FORGETFUL = Candidate(
    template=SECOND_TEMPLATE.replace("{{ issue.body }}\n\n", ""),
    reason="A shorter prompt leaves more room for the work.",
    refusals=("It drops `issue.body`.",),
)
LOG: tuple[tuple[LogKind, str, dict[str, str]], ...] = (
    (LogKind.SYSTEM, "Workspace ready: branch paid/1-slugs-lose-accents-1 at 4f2a91c", {}),
    (LogKind.EVENT, "I will look at the failing test first.", {"event": "message"}),
    (LogKind.EVENT, "Bash: python -m pytest -q", {"event": "tool_use"}),
    (LogKind.STDOUT, "\x1b[31mFAILED\x1b[0m tests/test_slugify.py::test_accents - AssertionError", {}),
    (LogKind.EVENT, "slugify.py drops every letter that is not ASCII. I will normalise first.", {"event": "message"}),
    (LogKind.EVENT, "Edit: slugify.py", {"event": "tool_use"}),
    (LogKind.STDERR, "warning: CRLF will be replaced by LF", {}),
    (LogKind.STDOUT, "\x1b[32m6 passed\x1b[0m in 0.04s <script>alert(1)</script>", {}),
    (LogKind.EVENT, "The slug keeps its letters now, and a test says so.", {"event": "result"}),
)


@dataclass(frozen=True)
class World:
    account: Account
    alice: User
    bob: User
    charlie: User
    vera: User
    project: Project
    issue: Issue
    pull_request: PullRequest
    prompt: Prompt
    model: LanguageModel
    run: AgentRun
    failed_run: AgentRun
    live_run: AgentRun
    token: GithubToken
    api_token: ApiToken
    label: PromptLabel
    key: ProviderKey
    budget: CostBudget
    experiment: AbTest
    style_guide: StyleGuide
    preference: ModelPreference


def make_world() -> World:
    with together():
        return _make_world()


def _make_world() -> World:
    account = AccountFactory(name="Northwind Labs", slug="northwind")
    alice, bob, charlie, vera = _people(account)
    project = ProjectFactory(account=account, name="slugify", forge="local", owner="northwind", repo="slugify")
    issue = _issue(project)
    prompt, versions = _prompt(account, alice)
    model = LanguageModelFactory(account=account, name="Scripted demo", model_id="scripted-demo", is_scripted=True)
    pull_request = _pull_request(issue)
    common = {"account": account, "project": project, "prompt_version": versions[-1], "language_model": model}
    run = _finished(issue, pull_request, alice, common)
    failed = IssueFactory(project=project, number=3, title="Empty titles raise", work_state=WorkState.FAILED)
    live = IssueFactory(project=project, number=4, title="Add a --max-length option", work_state=WorkState.IN_PROGRESS)
    return World(
        account=account,
        alice=alice,
        bob=bob,
        charlie=charlie,
        vera=vera,
        project=project,
        issue=issue,
        pull_request=pull_request,
        prompt=prompt,
        model=model,
        run=run,
        failed_run=_failed(failed, bob, common),
        live_run=_live(live, bob, common),
        token=GithubTokenFactory(account=account, name="Team token"),
        label=PromptLabelFactory(name="staging", prompt_version=versions[0]),
        api_token=ApiTokenFactory(account=account, name="Deployment of the shop"),
        key=ProviderKeyFactory(account=account, name="Team key"),
        budget=CostBudgetFactory(account=account, project=None, period="day", limit_usd=Decimal(5)),
        experiment=_draft(prompt, versions, alice),
        # Of a language and a kind of task that nothing here has: they change no run.
        style_guide=_style_guide(account),
        preference=ModelPreferenceFactory(account=account, category="review", stance="exclude", provider="mistral"),
    )


def _people(account: Account) -> tuple[User, User, User, User]:
    """Alice, Bob, Charlie and Vera; the account is not Charlie's."""
    alice, bob, charlie, vera = (
        UserFactory(name=f"{name} Example", email=f"{name.lower()}@example.com")
        for name in ("Alice", "Bob", "Charlie", "Vera")
    )
    MembershipFactory(account=account, user=vera, role=Role.VIEWER)
    MembershipFactory(account=account, user=alice, role=Role.OWNER)
    MembershipFactory(account=account, user=bob, role=Role.MEMBER)
    MembershipFactory(account=AccountFactory(name="Elsewhere", slug="elsewhere"), user=charlie, role=Role.OWNER)
    return alice, bob, charlie, vera


def _issue(project: Project) -> Issue:
    issue: Issue = IssueFactory(
        project=project,
        number=1,
        title="Slugs lose their accents",
        body="slugify('Über uns') gives 'ber-uns'.\n\nExpected: 'uber-uns'. The test in tests/ shows it.",
        work_state=WorkState.IN_REVIEW,
        labels=["bug", "paid"],
    )
    return issue


def _pull_request(issue: Issue) -> PullRequest:
    """What mends the issue, with a comment."""
    pull_request: PullRequest = PullRequestFactory(
        project=issue.project,
        issue=issue,
        number=2,
        title="Keep accents as plain letters in slugs",
        body="Normalises the title before it is cut into words.\n\n<!-- paid:run=1 -->",
        head_branch="paid/1-slugs-lose-accents-1",
        base_branch="main",
    )
    CommentFactory(project=issue.project, number=2, author="Bob Example", body="Nice. Does it keep the ß?")
    return pull_request


def _style_guide(account: Account) -> StyleGuide:
    guide: StyleGuide = StyleGuideFactory(
        account=account, name="Stylesheets", language="css", raw_text="No colour by name."
    )
    return guide


def _prompt(account: Account, author: User) -> tuple[Prompt, list[PromptVersion]]:
    prompt = PromptFactory(
        account=account, slug="coding.implement_issue", name="Implement an issue", category="coding", scope="account"
    )
    versions: list[PromptVersion] = []
    for number, template in enumerate((FIRST_TEMPLATE, SECOND_TEMPLATE), start=1):
        versions.append(
            PromptVersionFactory(
                prompt=prompt,
                version=number,
                template=template,
                change_notes="First version" if number == 1 else "Asks for a failing test first",
                author=str(author),
                created_by=author,
                parent_version=versions[-1] if versions else None,
            )
        )
    prompt.current_version = versions[-1]
    with platform():
        prompt.save(update_fields=["current_version"])
    return prompt, versions


def _propose(prompt: Prompt, version: PromptVersion) -> None:
    """A model's proposals wait for a decision: one that may be tried and one that may not."""
    EvolutionFactory(
        prompt=prompt,
        parent_version=version,
        status=EvolutionStatus.PROPOSED,
        analysis="The agents stop before they have checked their change. The prompt does not ask for it.",
        candidates=[candidate.model_dump(mode="json") for candidate in (BETTER, FORGETFUL)],
    )


def _draft(prompt: Prompt, versions: list[PromptVersion], author: User) -> AbTest:
    _propose(prompt, versions[-1])
    test: AbTest = AbTestFactory(prompt=prompt, name="A failing test first", created_by=author)
    AbVariantFactory(ab_test=test, prompt_version=versions[-1], name="control", is_control=True)
    AbVariantFactory(ab_test=test, prompt_version=versions[0], name="no test first")
    return test


def _finished(issue: Issue, pull_request: PullRequest, actor: User, common: dict[str, object]) -> AgentRun:
    started = timezone.now() - timedelta(minutes=7)
    run = AgentRunFactory(
        **common,
        issue=issue,
        pull_request=pull_request,
        requested_by=actor,
        status=RunStatus.COMPLETED,
        prompt_text=SECOND_TEMPLATE,
        system_prompt_text="You are a careful engineer.",
        branch="paid/1-slugs-lose-accents-1",
        base_sha="4f2a91c0" * 5,
        head_sha="9be01d77" * 5,
        fingerprint="ab" * 32,
        summary="Slugs keep their letters: accents become plain ones. I added a test for it.",
        iterations=6,
        started_at=started,
        finished_at=started + timedelta(seconds=38),
        input_tokens=18_344,
        output_tokens=1_207,
        cache_read_tokens=9_120,
        cost_usd=Decimal("0.083127450000"),
    )
    for position, name in enumerate((StepName.QUEUE, StepName.WORKSPACE, StepName.AGENT, StepName.PUBLISH)):
        RunStepFactory(
            agent_run=run,
            name=name,
            status=StepStatus.DONE,
            started_at=started + timedelta(seconds=9 * position),
            finished_at=started + timedelta(seconds=9 * position + 8),
            detail="Pull request #2" if name == StepName.PUBLISH else "",
        )
    for tokens, cost in ((12_000, "0.050000000000"), (6_344, "0.033127450000")):
        TokenUsageFactory(run=run, input_tokens=tokens, cost_usd=Decimal(cost))
    RunDiffFactory(agent_run=run, patch=PATCH, files_changed=2, lines_added=9, lines_removed=1)
    ModelSelectionFactory(
        agent_run=run, reason="This is a sample project: the scripted model plays its agent.", candidates=[{}, {}]
    )
    BudgetReservationFactory(agent_run=run, amount_usd=Decimal("0.5"), drawn_usd=Decimal("0.083127450000"))
    write_log(run)
    return run


def _failed(issue: Issue, actor: User, common: dict[str, object]) -> AgentRun:
    started = timezone.now() - timedelta(hours=3)
    return AgentRunFactory(
        **common,
        issue=issue,
        requested_by=actor,
        status=RunStatus.FAILED,
        error_code="budget",
        error="The run used up its reserve of 0.50 USD before it was done. Give the project a higher limit per run, "
        "then retry.",
        started_at=started,
        finished_at=started + timedelta(minutes=4),
        cost_usd=Decimal("0.5"),
    )


def _live(issue: Issue, actor: User, common: dict[str, object]) -> AgentRun:
    run = AgentRunFactory(
        **common,
        issue=issue,
        requested_by=actor,
        status=RunStatus.RUNNING,
        branch="paid/4-add-a-max-length-option-3",
        started_at=timezone.now() - timedelta(seconds=20),
        input_tokens=4_210,
        output_tokens=311,
        cost_usd=Decimal("0.017295000000"),
    )
    RunStepFactory(agent_run=run, name=StepName.AGENT, status=StepStatus.RUNNING)
    BudgetReservationFactory(agent_run=run, amount_usd=Decimal("0.5"), drawn_usd=Decimal("0.017295"))
    return run


def write_log(run: AgentRun, *, first_seq: int = 1) -> None:
    for seq, (kind, content, metadata) in enumerate(LOG, start=first_seq):
        AgentRunLogFactory(run=run, seq=seq, kind=kind, content=content, metadata=metadata)
