"""Which adapter speaks to which agent."""

from agent_runs.agents.base import AgentAdapter
from agent_runs.agents.claude_code import ClaudeCode

_ADAPTERS: dict[str, type[AgentAdapter]] = {"claude_code": ClaudeCode}


class UnknownAgent(Exception):
    """Paid has no adapter for this agent."""


def agent_names() -> list[str]:
    return sorted(_ADAPTERS)


def adapter_for(name: str) -> AgentAdapter:
    """A fresh adapter for one run. Raises UnknownAgent."""
    try:
        return _ADAPTERS[name]()
    except KeyError:
        raise UnknownAgent(f"No adapter for agent {name!r}: use one of {', '.join(agent_names())}.") from None
