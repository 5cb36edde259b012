"""Prompts, models, prices and experiments. `account=global_account()` makes global rows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import factory

from paid.lib.tenancy import platform
from prompts.models import (
    AbTest,
    AbVariant,
    LanguageModel,
    ModelPreference,
    ModelPrice,
    Prompt,
    PromptCategory,
    PromptLabel,
    PromptVersion,
    Scope,
    Stance,
    StyleGuide,
    TokenClass,
)
from tests.factories.accounts import AccountFactory, global_account
from tests.factories.base import PlatformFactory


class PromptFactory(PlatformFactory):
    """A prompt without a version; `prompt_with_version()` gives one that can be run."""

    class Meta:
        model = Prompt

    account = factory.SubFactory(AccountFactory)
    scope = Scope.ACCOUNT
    slug = factory.Sequence(lambda n: f"coding.prompt_{n}")
    name = factory.Sequence(lambda n: f"Prompt {n}")
    category = PromptCategory.CODING


class PromptVersionFactory(PlatformFactory):
    class Meta:
        model = PromptVersion

    prompt = factory.SubFactory(PromptFactory)
    account_id = factory.SelfAttribute("prompt.account_id")
    version = factory.Sequence(lambda n: n + 1)
    template = "Solve the issue."


class PromptLabelFactory(PlatformFactory):
    class Meta:
        model = PromptLabel

    prompt_version = factory.SubFactory(PromptVersionFactory)
    prompt = factory.SelfAttribute("prompt_version.prompt")
    account_id = factory.SelfAttribute("prompt_version.account_id")
    name = "production"


class StyleGuideFactory(PlatformFactory):
    class Meta:
        model = StyleGuide

    account = factory.SubFactory(AccountFactory)
    name = factory.Sequence(lambda n: f"Style {n}")
    raw_text = "Write short sentences."


class LanguageModelFactory(PlatformFactory):
    class Meta:
        model = LanguageModel

    account = factory.SubFactory(AccountFactory)
    provider = "scripted"
    model_id = factory.Sequence(lambda n: f"scripted-{n}")
    name = factory.LazyAttribute(lambda model: model.model_id)
    context_window = 200_000
    max_output_tokens = 8_000
    is_scripted = True


class ModelPriceFactory(PlatformFactory):
    class Meta:
        model = ModelPrice

    language_model = factory.SubFactory(LanguageModelFactory)
    account_id = factory.SelfAttribute("language_model.account_id")
    token_class = TokenClass.INPUT
    usd_per_million = Decimal("3.000000")
    starts_at = datetime(2026, 1, 1, tzinfo=UTC)


class ModelPreferenceFactory(PlatformFactory):
    class Meta:
        model = ModelPreference

    account = factory.SubFactory(AccountFactory)
    stance = Stance.PREFER
    provider = "anthropic"


class AbTestFactory(PlatformFactory):
    class Meta:
        model = AbTest

    prompt = factory.SubFactory(PromptFactory)
    account_id = factory.SelfAttribute("prompt.account_id")
    prompt_account_id = factory.SelfAttribute("prompt.account_id")
    name = factory.Sequence(lambda n: f"Experiment {n}")
    salt = "pepper"


class AbVariantFactory(PlatformFactory):
    class Meta:
        model = AbVariant

    ab_test = factory.SubFactory(AbTestFactory)
    account_id = factory.SelfAttribute("ab_test.account_id")
    prompt_version = factory.SubFactory(PromptVersionFactory, prompt=factory.SelfAttribute("..ab_test.prompt"))
    version_account_id = factory.SelfAttribute("prompt_version.account_id")
    name = factory.Sequence(lambda n: f"Variant {n}")


def prompt_with_version(*, template: str = "Solve the issue.", variables: Sequence[str] = (), **prompt: Any) -> Prompt:
    """A prompt whose current version is its first."""
    made: Prompt = PromptFactory(**prompt)
    version = PromptVersionFactory(prompt=made, version=1, template=template, variables=list(variables))
    with platform():
        made.current_version = version
        made.save(update_fields=["current_version"])
    return made


def global_prompt(*, template: str = "Solve the issue.", **prompt: Any) -> Prompt:
    """A prompt of account 0, which every tenant may read."""
    return prompt_with_version(template=template, account=global_account(), scope=Scope.GLOBAL, **prompt)
