"""Which language model a run gets: what a person asked for, else what the preferences say, else the cheapest."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from accounts.models import Account
from projects.models import ForgeKind, Project
from prompts.errors import NoModelAvailable
from prompts.models import LanguageModel, ModelPreference, PromptCategory, Stance
from prompts.querysets import models_for, preferences_for, usable_providers

SCRIPTED_PROVIDER = "scripted"
# Scripted models that misbehave on purpose have this ability: only an override takes them.
TRIAL = "trial"


@dataclass(frozen=True)
class Candidate:
    """A model that was looked at. `reason` says why it may not be used, or where its rank comes from."""

    language_model_id: int
    provider: str
    model_id: str
    is_usable: bool
    reason: str


@dataclass(frozen=True)
class Offer(Candidate):
    """A candidate as the meta-agent was told of it, in words."""

    price: str = ""
    history: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """What the meta-agent answers with: no two models share it."""
        return f"{self.provider}/{self.model_id}"


@dataclass(frozen=True)
class Selection:
    """The chosen model, by what, and everything that was looked at, the best first."""

    language_model: LanguageModel
    selected_by: Literal["override", "rules", "meta_agent"]
    candidates: tuple[Candidate, ...]
    reason: str

    def candidates_as_json(self) -> list[dict[str, Any]]:
        """For `ModelSelection.candidates`."""
        return [asdict(candidate) for candidate in self.candidates]


def is_demo(project: Project) -> bool:
    """A sample project: the scripted model plays its agent."""
    return project.settings.get("is_demo") is True


def select_model(
    *,
    account: Account,
    project: Project,
    category: PromptCategory | str,
    override: LanguageModel | None = None,
    agent: str = "claude_code",
) -> Selection:
    """Choose inside of `tenant(account.pk)`. Raises `NoModelAvailable`, whose message says what to do.

    Exclusions hold from wherever they come, also against an override. The nearest scope that requires something
    decides what is required; among the rest preferred ones come first, then the cheapest by its price of output.
    """
    rules = _Rules(
        project=project,
        preferences=list(preferences_for(account_id=account.pk, project_id=project.pk, category=category)),
        providers=usable_providers() | {SCRIPTED_PROVIDER},
    )
    models = models_for(account_id=account.pk, agent=agent)
    if override is not None:
        return _override(override, models, rules, agent)
    refusals = {model.pk: rules.refusal(model) for model in models}
    usable = sorted((model for model in models if not refusals[model.pk]), key=rules.rank)
    real = [model for model in usable if not model.is_scripted]
    if real and not is_demo(project) and not rules.requires_scripted:
        usable = real
        refusals |= {model.pk: "Scripted: a real model can be used." for model in models if model.is_scripted}
    if not usable:
        raise NoModelAvailable(rules.what_to_do(models, refusals))
    candidates = [Candidate(m.pk, m.provider, m.model_id, True, rules.merit(m)) for m in usable]
    candidates += [Candidate(m.pk, m.provider, m.model_id, False, refusals[m.pk]) for m in models if refusals[m.pk]]
    return Selection(usable[0], "rules", tuple(candidates), rules.merit(usable[0], among=len(usable)))


def _override(override: LanguageModel, models: Sequence[LanguageModel], rules: "_Rules", agent: str) -> Selection:
    model = next((model for model in models if model.pk == override.pk), None)
    if model is None:
        raise NoModelAvailable(f"{override} is switched off, or the agent {agent} cannot use it. Choose another model.")
    refusal = rules.refusal_of_override(model)
    if refusal:
        raise NoModelAvailable(f"{model} cannot be used: {refusal} Choose another model.")
    label = " It is a scripted model." if model.is_scripted else ""
    reason = f"Asked for when the run was started.{label}"
    return Selection(model, "override", (Candidate(model.pk, model.provider, model.model_id, True, reason),), reason)


class _Rules:
    """What the preferences, the keys and the project say about a model."""

    def __init__(self, *, project: Project, preferences: list[ModelPreference], providers: frozenset[str]) -> None:
        self.project = project
        self.providers = providers
        self.excluded = [entry for entry in preferences if entry.stance == Stance.EXCLUDE]
        self.preferred = [entry for entry in preferences if entry.stance == Stance.PREFER]
        required = [entry for entry in preferences if entry.stance == Stance.REQUIRE]
        if is_demo(project):  # "Try it" works whatever the account requires of its real projects
            required = [entry for entry in required if entry.project_id is not None]
        # Nearest first: only the requirements of the nearest scope that has any count.
        self.required = [entry for entry in required if _scope(entry) == _scope(required[0])]
        self.requires_scripted = any(entry.provider == SCRIPTED_PROVIDER for entry in self.required)

    def refusal(self, model: LanguageModel) -> str:
        """Why the rules do not choose this model; empty if they may."""
        if self.required and not any(_is_about(entry, model) for entry in self.required):
            return f"The {_scope(self.required[0])} requires another one."
        if is_demo(self.project) and not model.is_scripted:
            return "This is a sample project: a scripted model plays the agent."
        if TRIAL in model.abilities:
            return "It misbehaves on purpose and has to be asked for."
        if (
            model.is_scripted
            and not (is_demo(self.project) or self.requires_scripted)
            and self.project.forge != ForgeKind.LOCAL
        ):
            return "Scripted: it would open a pull request that means nothing."
        return self.refusal_of_override(model)

    def refusal_of_override(self, model: LanguageModel) -> str:
        """Why not even a person's wish can choose this model; empty if it can."""
        excluded = next((entry for entry in self.excluded if _is_about(entry, model)), None)
        if excluded:
            return f"The {_scope(excluded)} excludes it."
        if model.provider not in self.providers:
            return f"There is no key for {model.provider}: add one under Settings, Provider keys."
        return ""

    def rank(self, model: LanguageModel) -> tuple[object, ...]:
        price = model.usd_per_million_output  # type: ignore[attr-defined]  # annotated
        preferred = next((i for i, entry in enumerate(self.preferred) if _is_about(entry, model)), len(self.preferred))
        return preferred, price is None, price or 0, model.provider, model.model_id

    def merit(self, model: LanguageModel, among: int = 0) -> str:
        if model.is_scripted:
            return f"Scripted model: {self._why_scripted()}"
        preferred = next((entry for entry in self.preferred if _is_about(entry, model)), None)
        if preferred:
            about = f" for {preferred.category}" if preferred.category else ""
            return f"Preferred{about} by the {_scope(preferred)}."
        if model.usd_per_million_output is None:  # type: ignore[attr-defined]  # annotated
            return "It has no price yet, so it comes last."
        return f"The cheapest of {among} that can be used." if among else "By its price."

    def _why_scripted(self) -> str:
        if is_demo(self.project):
            return "this is a sample project."
        if self.requires_scripted:
            return f"the {_scope(self.required[0])} requires it."
        return "there is no key of a provider, so no real model can be used. Add one under Settings, Provider keys."

    def what_to_do(self, models: Sequence[LanguageModel], refusals: dict[int, str]) -> str:
        if not models:
            return "No language model is registered for this agent. Run `manage.py sync_models`."
        if all(model.is_scripted or model.provider not in self.providers for model in models):
            return "There is no key of a language model's provider. Add one under Settings, Provider keys."
        why = "; ".join(f"{model}: {refusals[model.pk]}" for model in models if not model.is_scripted)
        return f"No language model may be used for this run. Change the project's model preferences. {why}"


def _scope(preference: ModelPreference) -> str:
    if preference.project_id is not None:
        return "project"
    return "account" if preference.account_id else "host"


def _is_about(preference: ModelPreference, model: LanguageModel) -> bool:
    if preference.provider:
        return preference.provider == model.provider
    return preference.language_model_id == model.pk
