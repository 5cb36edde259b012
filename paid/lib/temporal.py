"""The client of Temporal, made from the settings."""

from django.conf import settings
from temporalio.client import Client


async def connect(*, lazy: bool = False) -> Client:
    """A client of the configured server and namespace. `lazy` connects with the first call instead of now."""
    return await Client.connect(settings.TEMPORAL_ADDRESS, namespace=settings.TEMPORAL_NAMESPACE, lazy=lazy)
