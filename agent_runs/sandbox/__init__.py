"""The sealed room in which agents run: bubblewrap with a root built from nothing. Standard library only."""

from agent_runs.sandbox.arguments import SandboxSpec, bubblewrap_arguments
from agent_runs.sandbox.errors import ProgramMissing, SandboxUnavailable
from agent_runs.sandbox.probe import SandboxProbe, probe
from agent_runs.sandbox.process import SealedResult, run_sealed, start_sealed

__all__ = [
    "ProgramMissing",
    "SandboxProbe",
    "SandboxSpec",
    "SandboxUnavailable",
    "SealedResult",
    "bubblewrap_arguments",
    "probe",
    "run_sealed",
    "start_sealed",
]
