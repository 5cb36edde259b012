"""Every address of Paid."""

from django.contrib import admin
from django.urls import include, path

from dashboard.views.webhooks import github_webhook

urlpatterns = [
    path("webhooks/github/<int:project_id>", github_webhook, name="github_webhook"),
    path("api/v1/", include("dashboard.api.urls")),
    path("admin/", admin.site.urls),
    path("", include("dashboard.urls")),
]
