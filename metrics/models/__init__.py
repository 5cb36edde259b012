from metrics.models.alerts import AlertWebhook, BudgetAlert
from metrics.models.budgets import BudgetPeriod, BudgetReservation, CostBudget
from metrics.models.calls import GatewayCall
from metrics.models.evolution import OPEN_EVOLUTIONS, Candidate, Evolution, EvolutionPolicy, EvolutionStatus
from metrics.models.experiments import ExperimentReading, Proposal
from metrics.models.ledger import TokenUsage, UsageDaily, UsageKind
from metrics.models.quality import QualityMetric, RunVote
from metrics.models.rollups import Dimension, Measure, QualityDaily, RunHistogram, RunsDaily, SpendDaily

__all__ = [
    "OPEN_EVOLUTIONS",
    "AlertWebhook",
    "BudgetAlert",
    "BudgetPeriod",
    "BudgetReservation",
    "Candidate",
    "CostBudget",
    "Dimension",
    "Evolution",
    "EvolutionPolicy",
    "EvolutionStatus",
    "ExperimentReading",
    "GatewayCall",
    "Measure",
    "Proposal",
    "QualityDaily",
    "QualityMetric",
    "RunHistogram",
    "RunVote",
    "RunsDaily",
    "SpendDaily",
    "TokenUsage",
    "UsageDaily",
    "UsageKind",
]
