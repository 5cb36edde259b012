"""The HTTP API's addresses, below `/api/v1/`. Programs come with a bearer token; there is no session here."""

from django.urls import path, re_path

import dashboard.api.addresses  # noqa: F401 - registers what the addresses below hold
from dashboard.api import document, prompts
from dashboard.api.endpoints import endpoint, nowhere

urlpatterns = [
    path("openapi.json", endpoint(document.read_openapi), name="api_openapi"),
    path("prompts/resolve", endpoint(prompts.resolve_prompt), name="api_prompts_resolve"),
    path(
        "prompts/<identity:prompt_id>/labels/<label_name:name>",
        endpoint(prompts.put_label),
        name="api_prompt_label",
    ),
    re_path("", nowhere),
]
