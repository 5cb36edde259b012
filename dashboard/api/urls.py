"""The HTTP API's addresses, below `/api/v1/`. Programs come with a bearer token; there is no session here."""

from django.urls import path, re_path

from dashboard.api import prompts
from dashboard.api.endpoints import nowhere
from prompts.models.prompts import LABEL_PATTERN

urlpatterns = [
    path("prompts/resolve", prompts.resolve, name="api_prompts_resolve"),
    re_path(
        rf"^prompts/(?P<prompt_id>[0-9]{{1,18}})/labels/(?P<name>{LABEL_PATTERN.strip('^$')})$",
        prompts.label,
        name="api_prompt_label",
    ),
    re_path("", nowhere),
]
