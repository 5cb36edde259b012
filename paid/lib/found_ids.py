"""Searches by operators that row-level security keeps from their indexes, as conditions of a queryset.

`@>` and `@@` are not leakproof: under a policy PostgreSQL reads every row before it asks them. So the owner searches,
in a function that filters by `current_account()` itself, and hands out ids; the queryset then reads these rows under
its own policy.
"""

from django.db import models
from django.db.models import Func


class FoundIds(Func):
    """The ids that one of our set-returning SQL functions finds, for `pk__in`."""

    template = "(SELECT found.id FROM %(function)s(%(expressions)s) AS found (id))"
    output_field = models.BigIntegerField()
