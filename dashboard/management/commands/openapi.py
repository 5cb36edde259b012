"""`manage.py openapi`: the HTTP API's OpenAPI document."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from dashboard.api.document import openapi


class Command(BaseCommand):
    help = "Print the OpenAPI document of the HTTP API. Example: manage.py openapi > docs/openapi.json"

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(openapi(), indent=2, ensure_ascii=False))
