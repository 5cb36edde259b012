"""The web process: `uvicorn paid.asgi:application`."""

import os
from typing import cast

from django.core.asgi import get_asgi_application

from paid.lib.bodies import Application, BoundedBodies, Message, Receive, Send
from paid.lib.pulse import Pulse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paid.settings")

# GitHub's deliveries are the largest that anybody sends here (25 MB at most).
MAX_BODY_BYTES = 26 * 1024 * 1024


class WithPulse:
    """Beats as `web` while its server runs: Django itself knows nothing of a server's start and end."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._application(scope, receive, send)
            return
        await receive()
        pulse = Pulse("web").start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        pulse.stop()
        await send({"type": "lifespan.shutdown.complete"})


application = WithPulse(BoundedBodies(cast(Application, get_asgi_application()), MAX_BODY_BYTES))
