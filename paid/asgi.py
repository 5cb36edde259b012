"""The web process: `uvicorn paid.asgi:application`."""

import os
from typing import cast

from django.core.asgi import get_asgi_application

from paid.lib.bodies import Application, BoundedBodies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paid.settings")

# GitHub's deliveries are the largest that anybody sends here (25 MB at most).
MAX_BODY_BYTES = 26 * 1024 * 1024

application = BoundedBodies(cast(Application, get_asgi_application()), MAX_BODY_BYTES)
