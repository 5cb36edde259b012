"""The web process: `uvicorn paid.asgi:application`."""

import gc
import os
from typing import Any, cast

import django
from asgiref.sync import AsyncToSync, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.urls import get_resolver

from paid.lib.bodies import Application, BoundedBodies, Message, Receive, Send
from paid.lib.pulse import Pulse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paid.settings")

# GitHub's deliveries are the largest that anybody sends here (25 MB at most).
MAX_BODY_BYTES = 26 * 1024 * 1024
MAX_API_BODY_BYTES = 1024 * 1024
API_PATH = "/api/"


class PagesHandler(ASGIHandler):
    """Django with one change of threads a page.

    Our views are synchronous and so is tenancy, the innermost middleware. Left to itself Django goes back to the event
    loop from there, only to be sent to the thread again for the view: two more waits for a busy loop.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        handler: Any = self
        super().load_middleware(is_async=False)
        chain = handler._middleware_chain
        # The outermost, which serves files, is asynchronous by itself: Django has only wrapped it.
        handler._middleware_chain = chain.awaitable if isinstance(chain, AsyncToSync) else sync_to_async(chain)


class ApiHandler(ASGIHandler):
    """Django without middleware, for programs that come with a bearer token.

    Sessions, CSRF, messages and tenancy are the browser's; ten middlewares would cost more than the answer. The API's
    endpoints look after transport and headers themselves (dashboard.api.endpoints).
    """

    def load_middleware(self, is_async: bool = False) -> None:
        handler: Any = self  # what Django's own load_middleware sets, and the stubs do not know
        handler._view_middleware = []
        handler._template_response_middleware = []
        handler._exception_middleware = []
        handler._middleware_chain = convert_exception_to_response(
            handler._get_response_async if is_async else handler._get_response
        )


class ApiApart:
    """Sends what lies below `/api/` to a handler of its own."""

    def __init__(self, pages: Application, api: Application) -> None:
        self._pages = pages
        self._api = api

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        is_api = scope["type"] == "http" and scope["path"].startswith(API_PATH)
        await (self._api if is_api else self._pages)(scope, receive, send)


def load_and_keep() -> None:
    """Import what pages need now and not in the first request, and take it out of the garbage collector's rounds.

    A full round over these 180,000 objects, which nothing ever frees, held up every thirtieth large page for a tenth of
    a second.
    """
    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()


class WithPulse:
    """Beats as `web` while its server runs: Django itself knows nothing of a server's start and end."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._application(scope, receive, send)
            return
        await receive()
        load_and_keep()
        pulse = Pulse("web").start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        pulse.stop()
        await send({"type": "lifespan.shutdown.complete"})


django.setup(set_prefix=False)
pages = BoundedBodies(cast(Application, PagesHandler()), MAX_BODY_BYTES)
api = BoundedBodies(cast(Application, ApiHandler()), MAX_API_BODY_BYTES)
application = WithPulse(ApiApart(pages, api))
