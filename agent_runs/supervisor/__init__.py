"""One small process beside each agent, outside the worker's process tree. Standard library only.

A worker that is killed leaves the agent running and attaches again; the agent is paid for once.
"""

from agent_runs.supervisor.control import is_alive, list_live, live_in, read_exit, request_stop, stop_all
from agent_runs.supervisor.launch import SupervisorFailed, launch, start

__all__ = [
    "SupervisorFailed",
    "is_alive",
    "launch",
    "list_live",
    "live_in",
    "read_exit",
    "request_stop",
    "start",
    "stop_all",
]
