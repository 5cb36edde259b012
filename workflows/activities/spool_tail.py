"""From the spool to the run's log: every line once and in order, however often it is read."""

from agent_runs import spool
from agent_runs.agents.registry import adapter_for
from agent_runs.contracts import AgentEvent, SpoolRecord
from agent_runs.live import wake
from agent_runs.logs import LogLine, last_seq, write_lines
from agent_runs.models import AgentRun
from agent_runs.operations import record_outcome
from agent_runs.sessions import current_session
from paid.lib.tenancy import tenant


class SpoolTail:
    """Reads from the first record on, also after another worker died: the adapter must hear everything again.

    Reading is cheap (a local file); what is already in the log is not written twice, because the numbers of lines
    follow from the spool alone.
    """

    def __init__(self, run: AgentRun, run_dir: str) -> None:
        self.run = run
        self.adapter = adapter_for(run.agent)
        self.offset = 0
        self._run_dir = run_dir
        self._session = current_session(run_dir)
        self._seq = self._session.lines
        self._written = last_seq(run)
        self._messages: set[str] = set()

    def read(self) -> bool:
        """Take what is there (about 4 MiB at most); False when there was nothing new."""
        records, offset = spool.read_from(self._run_dir, self.offset)
        if offset == self.offset:
            return False
        turns = len(self._messages)
        lines = [line for record in records for line in self._lines(record)]
        new = [line for line in lines if line.seq > self._written]
        if new:
            write_lines(self.run, new)
            self._written = new[-1].seq
        if len(self._messages) > turns:
            with tenant(self.run.account_id):
                record_outcome(run=self.run, iterations=self._session.turns + len(self._messages))
        if new:
            wake(self.run.pk)
        self.offset = offset
        return True

    def read_to_end(self) -> None:
        while self.read():
            pass

    def _lines(self, record: SpoolRecord) -> list[LogLine]:
        return [self._line(event, record) for event in self.adapter.feed(record)]

    def _line(self, event: AgentEvent, record: SpoolRecord) -> LogLine:
        self._seq += 1
        if event.kind in ("message", "tool_use") and isinstance(message_id := event.data.get("message_id"), str):
            self._messages.add(message_id)
        return LogLine.of_event(self._seq, event)
