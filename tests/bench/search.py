"""Searches by JSONB, by array and in prompts, as the tenant, beside the same predicate for a role without policies."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import cycle
from typing import Any

from django.db.models import QuerySet

from accounts.models import Account, GithubToken
from projects.models import Issue, Project
from prompts.models import PromptVersion
from prompts.search import search_prompts
from tests.bench.context import Bench
from tests.bench.figures import Figure, below, measure, time_calls

PAGE = 50
# Of ours; a baseline that no index serves takes ten times as long, and fewer of it say as much.
SAMPLES, PLAIN_SAMPLES = 200, 40
LABELLED_ISSUES = (
    "SELECT * FROM issues WHERE account_id = %s AND labels @> %s::jsonb ORDER BY account_id DESC, id DESC LIMIT 50"
)
LABELLED_PROJECTS = (
    "SELECT * FROM projects WHERE account_id = %s AND labels @> %s::jsonb ORDER BY account_id DESC, id DESC LIMIT 50"
)
SCOPED_TOKENS = (
    "SELECT * FROM github_tokens WHERE account_id = %s AND scopes @> %s::varchar[]"
    " ORDER BY account_id DESC, id DESC LIMIT 50"
)
SET_PROJECTS = (
    "SELECT * FROM projects WHERE account_id = %s AND settings @> %s::jsonb ORDER BY account_id DESC, id DESC LIMIT 50"
)
SET_ACCOUNTS = "SELECT * FROM accounts WHERE id > %s AND settings @> %s::jsonb ORDER BY id LIMIT 50"
VERSIONS_USING = (
    "SELECT id FROM prompt_versions WHERE account_id = %s AND variables @> %s::jsonb"
    " ORDER BY account_id DESC, id DESC LIMIT 50"
)
MATCHING_PROMPTS = (
    "SELECT prompt_version_id FROM prompt_documents WHERE account_id = %s AND is_current"
    " AND document @@ websearch_to_tsquery('english', %s) LIMIT 20"
)


@measure()
def issues_by_label(bench: Bench) -> Iterator[Figure]:
    cases: dict[str, list[str]] = {
        "one in 200": ["area-7"],
        "one in 100": ["paid-plan"],
        "every one": ["paid"],
        "two": ["paid", "area-9"],
        "none": ["no-such"],
    }
    for name, labels in cases.items():
        rows = Issue.objects.labelled(*labels, newest=PAGE).listed()
        wanted = str(labels).replace("'", '"')
        account_id = bench.world.account_id
        yield _beside(bench, f"issues by label, {name}, newest 50", rows, LABELLED_ISSUES, account_id, wanted)


@measure()
def projects_and_tokens(bench: Bench) -> Iterator[Figure]:
    account_id = bench.world.tags_account_id
    for name, plan in (("one in 1,000", "paid-plan"), ("one in 40", "plan-7")):
        found = Project.objects.labelled(PAGE, plan=plan).listed()
        wanted = f'{{"plan": "{plan}"}}'
        yield _beside(bench, f"projects by label, {name}, newest 50", found, LABELLED_PROJECTS, account_id, wanted)
    for name, scope in (("one in 1,000", "admin:org"), ("one in 40", "scope-7")):
        tokens = GithubToken.objects.with_scope(scope, newest=PAGE).listed()
        yield _beside(bench, f"tokens by scope, {name}, newest 50", tokens, SCOPED_TOKENS, account_id, [scope])


@measure()
def projects_by_setting(bench: Bench) -> Iterator[Figure]:
    account_id = bench.world.tags_account_id
    for name, language in (("one in 1,000", "cobol"), ("one in 40", "language-7")):
        found = Project.objects.with_setting(PAGE, language=language).listed()
        wanted = f'{{"language": "{language}"}}'
        yield _beside(bench, f"projects by setting, {name}, newest 50", found, SET_PROJECTS, account_id, wanted)


@measure()
def accounts_by_setting(bench: Bench) -> Iterator[Figure]:
    """The platform's question: a tenant sees its own account and those of its memberships."""
    for name, settings in (("one in 10", {"theme": "dark"}), ("one", {"seats": 7})):
        found = Account.objects.with_setting(**settings).order_by("pk")[:PAGE]
        wanted = json.dumps(settings)
        yield _beside(
            bench, f"accounts by setting, {name}, first 50", found, SET_ACCOUNTS, 0, wanted, bench.as_platform
        )


@measure()
def versions_by_variable(bench: Bench) -> Iterator[Figure]:
    account_id = bench.world.account_id
    for name, variable in (("none", "no_such"), ("one in 200", "area_7"), ("every one", "issue")):
        rows = PromptVersion.objects.using_variable(variable, newest=PAGE).only("id")
        wanted = json.dumps([variable])
        yield _beside(
            bench, f"prompt versions by variable, {name}, newest 50", rows, VERSIONS_USING, account_id, wanted
        )


def _beside(
    bench: Bench,
    name: str,
    rows: QuerySet[Any],
    sql: str,
    account_id: int,
    wanted: object,
    identity: Callable[[], AbstractContextManager[None]] | None = None,
) -> Figure:
    """As the tenant of the account, where no other identity is given."""
    found = 0

    def ask() -> None:
        nonlocal found
        found = len(rows.all())

    with identity() if identity else bench.as_tenant(account_id):
        ours = time_calls(ask, samples=SAMPLES, warm=10)
    with bench.connect("owner") as plain:
        base = time_calls(lambda: plain.execute(sql, [account_id, wanted]).fetchall(), samples=PLAIN_SAMPLES)
    note = f"{found} rows as objects"
    return Figure(f"{name}, p95", ours.p95_ms, "ms", below(3), base.p95_ms, "SQL without a policy", note, ours.details)


@measure()
def prompts(bench: Bench) -> Iterator[Figure]:
    """What people type: rare and common words, two of them, beginnings, errors, and what nobody says."""
    rare, common = bench.world.rare_word, bench.world.common_word
    cases: dict[str, list[str]] = {
        "a rare word": [rare],
        "a word in very many": [common],
        "a word in every one": ["solve"],
        "two words": [f"{common} {rare}", f"steps {common}"],
        "while typing": ["s", "so", "sol", "solv", "solve", f"solve {rare[:3]}", rare[:3], rare[:4]],
        "typing errors": ["slove", "anwser", f"{rare[:-2]}{rare[-1]}{rare[-2]}"],
        "what nobody says": ["kubernetes"],
    }
    for every_version in (False, True):
        for name, texts in cases.items():
            yield _prompts(bench, name, texts, every_version)


def _prompts(bench: Bench, name: str, texts: list[str], every_version: bool) -> Figure:
    asked: Callable[[], str] = cycle(texts).__next__
    found: dict[str, int] = {}

    def ask() -> None:
        text = asked()
        found[text] = len(search_prompts(text=text, every_version=every_version).hits)

    sql = MATCHING_PROMPTS.replace(" AND is_current", "") if every_version else MATCHING_PROMPTS
    with bench.as_tenant():
        ours = time_calls(ask, samples=SAMPLES, warm=len(texts))
    with bench.connect("owner") as plain:
        base = time_calls(
            lambda: plain.execute(sql, [bench.world.account_id, texts[0]]).fetchall(), samples=PLAIN_SAMPLES
        )
    where = "every version" if every_version else "versions in use"
    note = f"hits: {', '.join(map(str, found.values()))}"
    return Figure(
        f"prompt search, {where}, {name}, p95",
        ours.p95_ms,
        "ms",
        below(10),
        base.p95_ms,
        "20 that match, unranked, SQL without a policy",
        note,
        ours.details,
    )
