"""Django as bare as it comes, to compare with: no middleware, one view, one row by its key from the same database.

`uvicorn tests.bench.bare_django:application`, with DATABASE_URL.
"""

import environ
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path

ONE_LOOK_UP = "SELECT id, version, template FROM prompt_versions WHERE id = %s"


def version(request: HttpRequest, pk: int) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute(ONE_LOOK_UP, [pk])
        row = cursor.fetchone()
    return JsonResponse({"row": row})


urlpatterns = [path("<int:pk>", version)]


def bare() -> object:
    """For `uvicorn --factory`, in a process of its own: these are its settings."""
    database = environ.Env.db_url_config(environ.Env().str("DATABASE_URL"))
    options = {"pool": {"min_size": 1, "max_size": 16, "timeout": 10}}
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["127.0.0.1"],
        MIDDLEWARE=[],
        DATABASES={"default": {**database, "ENGINE": "django.db.backends.postgresql", "OPTIONS": options}},
    )
    return get_asgi_application()
