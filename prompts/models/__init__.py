from prompts.models.experiments import AbTest, AbTestStatus, AbVariant, ExperimentMetric, ExperimentOutcome
from prompts.models.language_models import (
    LanguageModel,
    ModelPreference,
    ModelPrice,
    Stance,
    TokenClass,
)
from prompts.models.prompts import Prompt, PromptCategory, PromptLabel, PromptVersion, Scope
from prompts.models.style_guides import StyleGuide

__all__ = [
    "AbTest",
    "AbTestStatus",
    "AbVariant",
    "ExperimentMetric",
    "ExperimentOutcome",
    "LanguageModel",
    "ModelPreference",
    "ModelPrice",
    "Prompt",
    "PromptCategory",
    "PromptLabel",
    "PromptVersion",
    "Scope",
    "Stance",
    "StyleGuide",
    "TokenClass",
]
