"""Every model has a factory, and what it makes is seen by its tenant alone."""

import importlib
import inspect

import pytest
from django.apps import apps
from django.db import models

from paid.lib.tenancy import platform, tenant
from tests.factories.accounts import AccountFactory
from tests.factories.base import PlatformFactory

APPS = ("accounts", "projects", "prompts", "agent_runs", "metrics", "workflows")


def _factories() -> dict[type[models.Model], type[PlatformFactory]]:
    return {
        found._meta.model: found
        for app in APPS
        for _, found in inspect.getmembers(importlib.import_module(f"tests.factories.{app}"), inspect.isclass)
        if issubclass(found, PlatformFactory) and not found._meta.abstract
    }


FACTORIES = _factories()


def test_every_model_has_a_factory():
    assert set(FACTORIES) == {model for app in APPS for model in apps.get_app_config(app).get_models()}


@pytest.mark.django_db
@pytest.mark.parametrize("factory", FACTORIES.values(), ids=lambda factory: factory.__name__)
def test_a_factory_makes_a_row_that_only_its_tenant_sees(factory):
    row, stranger = factory(), AccountFactory()
    account_id = row.pk if row._meta.db_table in ("accounts", "users") else row.account_id
    model = type(row)
    with platform():
        assert model.objects.filter(pk=row.pk).count() == 1
    with tenant(account_id, user_id=row.pk if row._meta.db_table == "users" else None):
        assert model.objects.filter(pk=row.pk).count() == 1
    with tenant(stranger.pk):
        assert model.objects.filter(pk=row.pk).count() == 0
    assert model.objects.count() == 0
