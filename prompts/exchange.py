"""An account's prompts to files and back, so that a team can keep them in git. A person's edit is never replaced.

Below the directory stands one file a prompt: `<slug>.md` for the account's, `projects/<forge>/<owner>/<repo>/<slug>.md`
for a project's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F

from projects.models import Project
from prompts.errors import TemplateRefused
from prompts.files import PromptFile, PromptFileError, as_in_a_file, file_of, format_prompt_file, parse_prompt_file
from prompts.models import Prompt, PromptCategory, PromptVersion
from prompts.models.prompts import SLUG_PATTERN
from prompts.operations import PromptText, create_prompt, promote, save_version

PROJECTS = "projects"
# The notes by which an imported version is known: files may replace what came from files.
NOTES = "Imported from files"
MAX_FILE_BYTES = 1_000_000


class Imported(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    # A person's version is in use: the file's text is there as a version, which a person may promote.
    CONFLICT = "conflict"


@dataclass(frozen=True)
class ImportOutcome:
    """`in_use` is the number of the version in use afterwards; None when the prompt is out of use."""

    path: str
    result: Imported
    version: int
    in_use: int | None


@dataclass(frozen=True)
class WrongFile:
    path: str
    message: str


class FilesRefused(Exception):
    """Some files cannot be imported; none was."""

    def __init__(self, wrong: tuple[WrongFile, ...]) -> None:
        super().__init__("\n".join(f"{file.path}: {file.message}" for file in wrong))
        self.wrong = wrong


def exported_files(account_id: int) -> Iterator[tuple[PurePosixPath, str]]:
    """Path below the directory, and content, of each of the account's own prompts that is in use."""
    prompts = Prompt.objects.filter(account_id=account_id, current_version__isnull=False)
    for prompt in prompts.select_related("current_version", "project").order_by(
        F("project_id").asc(nulls_first=True), "slug"
    ):
        version = prompt.current_version
        assert version is not None  # noqa: S101 - the filter says so
        yield path_of(prompt), format_prompt_file(file_of(prompt, version))


def path_of(prompt: Prompt) -> PurePosixPath:
    name = f"{prompt.slug}.md"
    if prompt.project is None:
        return PurePosixPath(name)
    project = prompt.project
    return PurePosixPath(PROJECTS, project.forge, project.owner, project.repo, name)


def write_file(directory: Path, path: PurePosixPath, content: str) -> bool:
    """Whether it had to be written. Refuses to leave the directory, whatever a project is called."""
    target = (directory / path).resolve()
    if not target.is_relative_to(directory.resolve()):
        raise PromptFileError(f"{path} would lie outside of the directory.")
    wanted = content.encode()
    if target.is_file() and target.read_bytes() == wanted:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(wanted)
    return True


@transaction.atomic
def import_files(*, account_id: int, directory: Path) -> list[ImportOutcome]:
    """All files or none. Raises `FilesRefused` with all that is wrong. Call it inside of the account's context."""
    outcomes: list[ImportOutcome] = []
    wrong: list[WrongFile] = []
    for path in sorted(directory.rglob("*.md")):
        name = path.relative_to(directory).as_posix()
        if path.name == "README.md" or any(part.startswith(".") for part in Path(name).parts):
            continue
        try:
            with transaction.atomic():
                outcomes.append(_import_one(account_id, name, path))
        except (PromptFileError, TemplateRefused, OSError, UnicodeDecodeError) as error:
            wrong.append(WrongFile(name, str(error)))
        except ValidationError as error:
            wrong.append(WrongFile(name, " ".join(error.messages)))
    if wrong:
        raise FilesRefused(tuple(wrong))
    return outcomes


def _import_one(account_id: int, name: str, path: Path) -> ImportOutcome:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise PromptFileError(f"It is larger than {MAX_FILE_BYTES:,} bytes.")
    file = parse_prompt_file(path.read_bytes().decode())
    project = _project(account_id, PurePosixPath(name))
    if PurePosixPath(name).stem != file.slug:
        raise PromptFileError(f"The file of the prompt {file.slug} is called {file.slug}.md.")
    prompt = (
        Prompt.objects.select_for_update(of=("self",))
        .select_related("current_version")
        .filter(account_id=account_id, project=project, slug=file.slug)
        .first()
    )
    if prompt is None:
        return ImportOutcome(name, Imported.CREATED, _create(account_id, project, file).version, 1)
    result, version = _bring_in(prompt, file)
    prompt.refresh_from_db(fields=["current_version"])
    in_use = prompt.current_version.version if prompt.current_version else None
    return ImportOutcome(name, result, version, in_use)


def _project(account_id: int, path: PurePosixPath) -> Project | None:
    match path.parts:
        case (_,):
            return None
        case (folder, forge, owner, repo, _) if folder == PROJECTS:
            project = Project.objects.filter(account_id=account_id, forge=forge, owner=owner, repo=repo).first()
            if project is not None:
                return project
            raise PromptFileError(f"The account has no project {owner}/{repo} on {forge}.")
    raise PromptFileError(f"Put it into the directory itself, or into {PROJECTS}/<forge>/<owner>/<repo>/.")


def _create(account_id: int, project: Project | None, file: PromptFile) -> PromptVersion:
    if file.category not in PromptCategory.values:
        raise PromptFileError(f"The category is one of {', '.join(PromptCategory.values)}, not {file.category}.")
    if not re.fullmatch(SLUG_PATTERN, file.slug):
        raise PromptFileError("A slug is made of a-z, 0-9 and _, in parts with dots between them.")
    shown = Prompt(slug=file.slug, name=file.name, category=file.category, description=file.description)
    shown.clean_fields(exclude=["account", "project", "scope", "current_version"])
    return create_prompt(
        account_id=account_id,
        project=project,
        slug=file.slug,
        name=file.name,
        category=file.category,
        description=file.description,
        text=file.text,
        actor=None,
        change_notes=NOTES,
    )


def _bring_in(prompt: Prompt, file: PromptFile) -> tuple[Imported, int]:
    """The file's text as the version in use, where that is the one the file was written from, or came from a file."""
    current = prompt.current_version
    versions = list(PromptVersion.objects.filter(account_id=prompt.account_id, prompt=prompt).order_by("-version"))
    same = [version for version in versions if as_in_a_file(_text(version)) == file.text]
    if current in same:
        return Imported.UNCHANGED, file.version or same[0].version
    may_replace = current is not None and (current.version == file.version or current.change_notes == NOTES)
    if same:
        if may_replace:
            promote(prompt=prompt, version=same[0], actor=None)
        return (Imported.UPDATED if may_replace else Imported.CONFLICT), same[0].version
    written_from = next((version for version in versions if version.version == file.version), None)
    saved = save_version(
        prompt=prompt,
        text=file.text,
        actor=None,
        expected_parent=current if may_replace else written_from,
        change_notes=NOTES,
        is_promoted=may_replace,
    )
    return (Imported.UPDATED if saved.is_current else Imported.CONFLICT), saved.version.version


def _text(version: PromptVersion) -> PromptText:
    return PromptText(version.template, version.system_prompt)
