"""The HTTP API's addresses, below `/api/v1/`. Programs come with a bearer token; there is no session here."""

from django.urls import path, re_path

import dashboard.api.addresses  # noqa: F401 - registers what the addresses below hold
from dashboard.api import costs, document, prompts, run_actions, run_log, runs, usage
from dashboard.api.endpoints import endpoint, nowhere

urlpatterns = [
    path("openapi.json", endpoint(document.read_openapi), name="api_openapi"),
    path("prompts/resolve", endpoint(prompts.resolve_prompt), name="api_prompts_resolve"),
    path(
        "prompts/<identity:prompt_id>/labels/<label_name:name>",
        endpoint(prompts.put_label),
        name="api_prompt_label",
    ),
    path("runs", endpoint(runs.list_runs, run_actions.create_run), name="api_runs"),
    path("runs/<identity:run_id>", endpoint(runs.read_run), name="api_run"),
    path("runs/<identity:run_id>/log", endpoint(run_log.read_log), name="api_run_log"),
    path("runs/<identity:run_id>/stop", endpoint(run_actions.request_stop), name="api_run_stop"),
    path("runs/<identity:run_id>/feedback", endpoint(run_actions.give_feedback), name="api_run_feedback"),
    path("runs/<identity:run_id>/usage", endpoint(usage.report_call), name="api_run_usage"),
    path("costs", endpoint(costs.read_costs), name="api_costs"),
    re_path("", nowhere),
]
