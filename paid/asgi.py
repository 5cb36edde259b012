"""The web process: `uvicorn paid.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paid.settings")

application = get_asgi_application()
