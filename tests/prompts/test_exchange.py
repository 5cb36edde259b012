"""Prompts to files and back: nothing is lost on the way, and no person's edit is replaced."""

import json
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import example, given
from hypothesis import strategies as st

from accounts.models import Account
from paid.lib.tenancy import platform, tenant
from prompts.files import MARKER, PromptFile, PromptFileError, as_in_a_file, format_prompt_file, parse_prompt_file
from prompts.models import Prompt, PromptVersion
from prompts.operations import PromptText, create_prompt, save_version, withdraw
from tests.factories.accounts import AccountFactory, UserFactory
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import global_prompt, prompt_with_version

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=200)
lines = st.lists(
    st.one_of(texts, st.sampled_from([MARKER, "<!-- \\system prompt -->", "---", "slug: x"])), max_size=5
).map("\n".join)


@given(template=lines, system_prompt=lines, name=texts, version=st.one_of(st.none(), st.integers(1, 10**9 - 1)))
@example(template=f"a\n{MARKER}", system_prompt="", name="a: b", version=None)
@example(template=MARKER, system_prompt=MARKER, name="", version=1)
@example(template="a\r\nb\rc", system_prompt="---", name="---", version=2)
def test_what_is_written_is_read_again(template: str, system_prompt: str, name: str, version: int | None):
    file = PromptFile("coding.x", name, "coding", "", PromptText(template, system_prompt), version)
    once = parse_prompt_file(format_prompt_file(file))

    assert parse_prompt_file(format_prompt_file(once)) == once
    assert (once.slug, once.name, once.version) == ("coding.x", " ".join(name.split()), version)
    assert once.text.template.strip() == template.replace("\r\n", "\n").strip()
    assert once.text.system_prompt == system_prompt.replace("\r\n", "\n").strip()
    assert as_in_a_file(file.text) == once.text


@pytest.mark.parametrize("version", ["0", "-1", "one", ""])
def test_a_version_that_is_no_number_is_refused(version: str):
    source = f"---\nslug: a\nname: A\ncategory: coding\ndescription:\nversion: {version}\n---\nText\n"
    with pytest.raises(PromptFileError, match="a number from 1 on"):
        parse_prompt_file(source)


@pytest.fixture
def account(db: None) -> Account:
    made: Account = AccountFactory(slug="acme")
    return made


def export(directory: Path, *options: str) -> Any:
    out = StringIO()
    call_command("export_prompts", str(directory), "--account", "acme", "--json", *options, stdout=out)
    return json.loads(out.getvalue())


def bring_in(directory: Path, *options: str) -> list[tuple[str, str, int, int | None]]:
    """(path, result, version, in use) of each file."""
    out = StringIO()
    with suppress(SystemExit):
        call_command("import_prompts", str(directory), "--account", "acme", "--json", *options, stdout=out)
    found = json.loads(out.getvalue())["prompts"]
    return [(entry["path"], entry["result"], entry["version"], entry["in_use"]) for entry in found]


def in_use(account: Account, slug: str = "coding.x") -> tuple[int, str] | None:
    with platform():
        version = Prompt.objects.get(account=account, slug=slug).current_version
    return (version.version, version.template) if version else None


def edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def save_as_a_person(account: Account, template: str) -> None:
    person = UserFactory()
    with tenant(account.pk):
        prompt = Prompt.objects.select_related("current_version").get(slug="coding.x")
        text = PromptText(template)
        save_version(prompt=prompt, text=text, actor=person, expected_parent=prompt.current_version)


def test_an_export_is_imported_into_another_account_as_it_was(account: Account, tmp_path: Path):
    project = ProjectFactory(account=account, forge="local", owner="acme", repo="shop")
    with tenant(account.pk):
        text = PromptText("Solve {{ issue.title }}\n", "Be careful.")
        common: dict[str, Any] = {"account_id": account.pk, "slug": "coding.x", "category": "coding", "actor": None}
        create_prompt(name="All", text=text, description="What for", **common)
        create_prompt(name="Shop", text=PromptText("Sell."), project=project, **common)
    global_prompt(slug="coding.y")
    paths = ["coding.x.md", "projects/local/acme/shop/coding.x.md"]

    assert export(tmp_path)["written"] == paths
    assert export(tmp_path) == {"dry_run": False, "prompts": 2, "written": []}
    (tmp_path / "README.md").write_text("Ours.")
    assert bring_in(tmp_path) == [(path, "unchanged", 1, 1) for path in paths]

    with platform():
        Account.objects.filter(pk=account.pk).update(slug="formerly")
    other = AccountFactory(slug="acme")
    ProjectFactory(account=other, forge="local", owner="acme", repo="shop")
    assert bring_in(tmp_path) == [(path, "created", 1, 1) for path in paths]
    with platform():
        first, second = Prompt.objects.filter(account=other).order_by("name").select_related("current_version")
        assert (first.name, first.scope, first.description) == ("All", "account", "What for")
        version = first.current_version
        assert version is not None
        assert (version.template, version.system_prompt) == ("Solve {{ issue.title }}\n", "Be careful.")
        assert (second.name, second.scope) == ("Shop", "project")


def test_edits_of_the_file_follow_each_other_into_use(account: Account, tmp_path: Path):
    prompt_with_version(account=account, slug="coding.x", template="One")
    export(tmp_path)
    path = tmp_path / "coding.x.md"

    edit(path, "One", "Two")
    assert bring_in(tmp_path, "--dry-run") == [("coding.x.md", "updated", 2, 2)]
    assert in_use(account) == (1, "One")
    assert bring_in(tmp_path) == [("coding.x.md", "updated", 2, 2)]
    assert bring_in(tmp_path)[0][1] == "unchanged"
    edit(path, "Two", "Three")
    assert bring_in(tmp_path) == [("coding.x.md", "updated", 3, 3)]
    edit(path, "Three", "One")
    assert bring_in(tmp_path) == [("coding.x.md", "updated", 1, 1)]
    assert in_use(account) == (1, "One")


def test_a_persons_edit_stays_in_use_and_the_conflict_is_told(account: Account, tmp_path: Path):
    prompt_with_version(account=account, slug="coding.x", template="One")
    export(tmp_path)
    save_as_a_person(account, "Mine")

    assert bring_in(tmp_path) == [("coding.x.md", "conflict", 1, 2)]
    edit(tmp_path / "coding.x.md", "One", "Two")
    assert bring_in(tmp_path) == [("coding.x.md", "conflict", 3, 2)]
    assert bring_in(tmp_path) == [("coding.x.md", "conflict", 3, 2)]
    assert in_use(account) == (2, "Mine")
    with pytest.raises(SystemExit) as end:
        call_command("import_prompts", str(tmp_path), "--account", "acme", stdout=StringIO())
    assert end.value.code == 3
    with platform():
        saved = PromptVersion.objects.select_related("parent_version").get(version=3)
        assert saved.parent_version is not None
        assert (saved.template, saved.parent_version.version) == ("Two\n", 1)


def test_a_prompt_that_was_taken_out_of_use_stays_so(account: Account, tmp_path: Path):
    prompt = prompt_with_version(account=account, slug="coding.x", template="One")
    export(tmp_path)
    with tenant(account.pk):
        withdraw(prompt=prompt, actor=None)

    assert bring_in(tmp_path) == [("coding.x.md", "conflict", 1, None)]
    assert in_use(account) is None


def test_one_wrong_file_stops_all_and_each_is_told(account: Account, tmp_path: Path):
    head = "---\nslug: {}\nname: A\ncategory: {}\ndescription:\n---\n{}\n"
    for name, source in {
        "coding.a.md": head.format("coding.a", "coding", "Fine"),
        "coding.b.md": head.format("coding.b", "coding", "{{ nothing }}"),
        "coding.c.md": head.format("coding.c", "cooking", "Fine"),
        "coding.d.md": head.format("coding.other", "coding", "Fine"),
        "coding.e.md": "Hello",
        "deep/coding.f.md": head.format("coding.f", "coding", "Fine"),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)

    with pytest.raises(CommandError) as refusal:
        bring_in(tmp_path)
    told = str(refusal.value).splitlines()
    assert told[0] == "Nothing was imported."
    assert [line.partition(":")[0] for line in told[1:]] == [
        "coding.b.md", "coding.c.md", "coding.d.md", "coding.e.md", "deep/coding.f.md",
    ]  # fmt: skip
    with platform():
        assert Prompt.objects.count() == 0


def test_another_accounts_prompts_are_neither_written_nor_changed(account: Account, tmp_path: Path):
    theirs = prompt_with_version(slug="coding.x", template="Theirs")
    assert export(tmp_path)["prompts"] == 0
    prompt_with_version(account=account, slug="coding.x", template="One")
    export(tmp_path)
    edit(tmp_path / "coding.x.md", "One", "Two")
    bring_in(tmp_path)

    assert in_use(theirs.account) == (1, "Theirs")


def test_an_unknown_account_or_directory_is_told(db: None, tmp_path: Path):
    with pytest.raises(CommandError, match="There is no account acme"):
        export(tmp_path)
    with pytest.raises(CommandError, match="is not a directory"):
        bring_in(tmp_path / "missing")
