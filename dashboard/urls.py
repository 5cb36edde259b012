"""The pages' addresses."""

from django.urls import URLPattern, path

from dashboard.views.health import healthz

urlpatterns: list[URLPattern] = [
    path("healthz", healthz, name="healthz"),
]
