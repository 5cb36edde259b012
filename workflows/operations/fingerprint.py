"""What a run was started with, in one hash."""

import hashlib
import json

from agent_runs.models import AgentRun


def fingerprint(run: AgentRun) -> str:
    """SHA-256 over canonical JSON of everything that is frozen on the run: the row can always be checked against it."""
    frozen = {
        "account_id": run.account_id,
        "project_id": run.project_id,
        "issue_id": run.issue_id,
        "prompt_version_id": run.prompt_version_id,
        "ab_variant_id": run.ab_variant_id,
        "prompt_text": run.prompt_text,
        "system_prompt_text": run.system_prompt_text,
        "language_model_id": run.language_model_id,
        "agent": run.agent,
        "limits": run.limits,
    }
    canonical = json.dumps(frozen, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
