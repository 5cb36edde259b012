"""The web process: `uvicorn paid.asgi:application`."""

import asyncio
import contextvars
import gc
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import IO, Any, TypeVar, cast

import django
from asgiref.sync import AsyncToSync, ThreadSensitiveContext, sync_to_async
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.core.signals import request_started
from django.http.response import HttpResponseBase
from django.urls import get_resolver, set_script_prefix

from paid.lib.bodies import Application, BoundedBodies, Message, Receive, Send
from paid.lib.pulse import Pulse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paid.settings")

# GitHub's deliveries are the largest that anybody sends here (25 MB at most).
MAX_BODY_BYTES = 26 * 1024 * 1024
MAX_API_BODY_BYTES = 1024 * 1024
API_PATH = "/api/"
# More than the pool has connections: who waits for one waits in a thread.
API_THREADS = 64

Outcome = TypeVar("Outcome")
_api_threads = ThreadPoolExecutor(API_THREADS, thread_name_prefix="api")


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
    """Django without middleware, for programs that come with a bearer token: one thread does a whole request.

    Sessions, CSRF, messages and tenancy are the browser's; ten middlewares would cost more than the answer. The API's
    endpoints look after transport and headers themselves (dashboard.api.endpoints). Left to itself Django also makes a
    thread for each request and changes to it three times: for the start's signal, the view, and the end's.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        handler: Any = self  # what Django's own load_middleware sets, and the stubs do not know
        handler._view_middleware = []
        handler._template_response_middleware = []
        handler._exception_middleware = []
        handler._middleware_chain = convert_exception_to_response(handler._get_response)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        response = await _in_thread(self._answer, scope, body)
        if response.streaming:
            await self._stream(response, receive, send)
        else:
            await self.send_response(response, send)

    def _answer(self, scope: Any, body: IO[bytes]) -> Any:
        """The whole of a request. An answer of one piece is closed before it is sent, so its connections are free."""
        with body:
            set_script_prefix(get_script_prefix(scope))
            request_started.send(sender=type(self), scope=scope)
            request, refusal = self.create_request(scope, body)
            response: Any = refusal if request is None else self.get_response(request)
            response._handler_class = type(self)  # its closing tells whose request has finished
            if not response.streaming:
                response.close()
        return response

    async def _stream(self, response: HttpResponseBase, receive: Any, send: Any) -> None:
        """Until it has ended or its reader has left. What its pieces ask of a thread is asked of one of their own."""
        async with ThreadSensitiveContext():
            sending = asyncio.create_task(self.send_response(response, send))
            leaving = asyncio.create_task(self.listen_for_disconnect(receive))
            try:
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sending.cancel()
                leaving.cancel()
                outcome, _ = await asyncio.gather(sending, leaving, return_exceptions=True)
                await _in_thread(response.close)
        if isinstance(outcome, Exception):
            raise outcome


async def _in_thread(work: Callable[..., Outcome], *arguments: Any) -> Outcome:
    """What a request sets in its context, such as its tenant, ends with it; the thread stays for the next one."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_api_threads, partial(context.run, work, *arguments))


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
