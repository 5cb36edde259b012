"""The sessions of one run: each is an agent of its own over the same files, with a spool of its own."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from agent_runs import supervisor
from agent_runs.spool import SPOOL_NAME
from agent_runs.supervisor import files

_RECORD = "session.json"
_FORMER = "sessions"
# The record of the exit goes last: while it stands, nothing starts in the directory and this is done again.
_LEFT = (SPOOL_NAME, files.STATE, files.LOG, files.STOP, files.EXIT)


@dataclass(frozen=True)
class Session:
    """What went before it: `lines` of the run's log, and the `turns` that the agents took."""

    number: int = 1
    lines: int = 0
    turns: int = 0


def current_session(run_dir: str) -> Session:
    known = files.read_json(run_dir, _RECORD)
    return Session(**known) if known else Session()


def begin_session(run_dir: str, *, lines: int, turns: int) -> Session:
    """Put aside what the last agent left, so that the next launch starts a new one; once, however often it is asked.

    Nothing happens while no agent has ended here. A crash in the middle may cost a number, never a line of the log.
    """
    session = current_session(run_dir)
    if supervisor.read_exit(run_dir) is None:
        return session
    former = Path(run_dir) / _FORMER / str(session.number)
    former.mkdir(mode=0o700, parents=True, exist_ok=True)
    begun = Session(session.number + 1, lines, turns)
    files.write_atomically(Path(run_dir) / _RECORD, json.dumps(asdict(begun)))
    for name in _LEFT:
        if (Path(run_dir) / name).exists():
            (Path(run_dir) / name).rename(former / name)
    return begun
