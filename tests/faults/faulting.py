"""One case: start a run, wait until it is at the point, break what is to break, mend it, look at what came of it."""

import contextlib
import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connections

from accounts.models import Account, User
from paid.lib.tenancy import platform, tenant
from prompts.models import LanguageModel
from tests.faults.cases import SHORT_STARVATION_SECONDS, STARVE_SECONDS, Case, Deed, Point, Victim
from tests.faults.evidence import Evidence, Findings
from tests.faults.house import House, HouseError
from tests.faults.processes import AgentWatch
from workflows.operations import start_demo_run

POINT_SECONDS = 60.0
SPOOL_BYTES_LEFT = 1_500
# Where somebody waits for the blow: a git command, or the model in the middle of an answer.
HELD = {Point.CLONE: "fetch", Point.MID_STREAM: "answer", Point.PUBLISH: "push"}


@dataclass(frozen=True)
class Result:
    case: Case
    run_id: int
    seconds: float
    findings: Findings

    @property
    def is_good(self) -> bool:
        return not self.findings.problems


class Faulting:
    def __init__(self, house: House, evidence: Evidence, watch: AgentWatch) -> None:
        self._house = house
        self._evidence = evidence
        self._watch = watch

    def perform(self, case: Case) -> Result:
        began = time.monotonic()
        self._set_stall_limit(case.stall_seconds)
        before = self._evidence.counters()
        if held := HELD.get(case.point):
            (self._house.holds / f"hold-{held}").touch()
        run_id = self._start(case)
        self._watch.begin(run_id)
        try:
            self._wait_for(case.point, run_id)
            self._break(case, run_id)
        finally:
            for file in self._house.holds.iterdir():
                file.unlink(missing_ok=True)
        self._house.repair(case.victim)
        is_over = self._evidence.wait_for_end(run_id)
        self._house.empty_disk()
        findings = self._evidence.examine(case, run_id, before)
        self._house.set_clock(0)
        if not is_over:
            findings.problems.insert(0, "the run did not end")
        self._watch.begin(0)
        return Result(case, run_id, time.monotonic() - began, findings)

    def _start(self, case: Case) -> int:
        """As a person would by the page. Connections of ours that a former case broke are let go first."""
        default = connections["default"]
        default.close()
        default.close_pool()  # type: ignore[attr-defined]
        with platform():
            account = Account.objects.get(slug="team")
            owner = User.objects.get(memberships__account=account)
            model = LanguageModel.objects.get(model_id=case.model) if case.model else None
        with tenant(account.pk):
            return int(start_demo_run(account=account, actor=owner, model=model).pk)

    def _set_stall_limit(self, seconds: int) -> None:
        limits = json.dumps({"limits": {"stall_seconds": seconds}})
        self._evidence.ask("UPDATE projects SET settings = settings || %s::jsonb RETURNING id", limits)

    # --- Points -------------------------------------------------------------------------------------
    def _wait_for(self, point: Point, run_id: int) -> None:
        seen: dict[Point, Callable[[], bool]] = {
            Point.CLONE: (self._house.holds / "reached-fetch").exists,
            Point.AGENT_START: (self._house.runs / str(run_id) / "supervisor.json").exists,
            Point.MID_STREAM: lambda: (self._house.holds / "reached-answer").exists() and self._is_answered(run_id),
            Point.TOOL_CALL: lambda: self._is_calling_a_tool(run_id),
            Point.PUBLISH: (self._house.holds / "reached-push").exists,
        }
        self._wait_until(seen[point], f"run {run_id} did not come to {point}")

    def _wait_until(self, holds: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + POINT_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                raise HouseError(f"{complaint}:\n{self._house.last_words()}")
            time.sleep(0.01)

    def _is_answered(self, run_id: int) -> bool:
        """The gateway has noted the beginning of an answer and waits for the rest."""
        statement = "SELECT 1 FROM gateway_calls WHERE agent_run_id = %s AND output_tokens > 0"
        return bool(self._evidence.ask(statement, run_id))

    def _is_calling_a_tool(self, run_id: int) -> bool:
        spool = self._house.runs / str(run_id) / "spool.ndjson"
        with contextlib.suppress(OSError):
            text = spool.read_text(errors="replace")
            return text.count('\\"type\\":\\"tool_use\\"') > text.count('\\"type\\":\\"tool_result\\"')
        return False

    # --- Deeds --------------------------------------------------------------------------------------
    def _break(self, case: Case, run_id: int) -> None:
        match case.deed:
            case Deed.KILL:
                self._house.kill(case.victim, run_id)
            case Deed.STARVE:
                self._house.starve(
                    case.victim, run_id, STARVE_SECONDS.get(Victim(case.victim), SHORT_STARVATION_SECONDS)
                )
            case Deed.SPOOL_LIMIT:
                self._fill_spool(run_id)
            case Deed.DISK_FULL:
                self._house.fill_disk()
            case Deed.CLOCK:
                self._house.set_clock(case.step_seconds)

    def _fill_spool(self, run_id: int) -> None:
        """The next write past the bound fails, as on a full disk, in the supervisor alone."""
        run_dir = self._house.runs / str(run_id)
        pid = int(json.loads((run_dir / "supervisor.json").read_text())["pid"])
        spool = run_dir / "spool.ndjson"
        # The bound holds for all that the supervisor writes: its start, files in memory among it, must be over.
        self._wait_until(lambda: spool.exists() and spool.stat().st_size > 0, f"run {run_id} did not spool")
        bound = spool.stat().st_size + SPOOL_BYTES_LEFT
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (bound, bound))
