"""Probes of the seal: what a hostile agent tries from inside, and what it leaves behind for the host to run.

Tests run them all, also with protections taken away; `manage.py doctor` runs them on the machine that it is on.
"""

from agent_runs.seal.attempts import ATTEMPTS
from agent_runs.seal.left_behind import TRAPS, spring_all
from agent_runs.seal.room import Verdict, probe_seal

__all__ = ["ATTEMPTS", "TRAPS", "Verdict", "probe_seal", "spring_all"]
