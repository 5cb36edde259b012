"""Every address below `/a/<slug>/`, filled in with the world's rows."""

from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.dashboard.world import World


def patterns(resolver: URLResolver | None = None) -> list[URLPattern]:
    found: list[URLPattern] = []
    for entry in (resolver or get_resolver("dashboard.urls")).url_patterns:
        if isinstance(entry, URLResolver):
            found += patterns(entry)
        else:
            found.append(entry)
    return found


def posted_only() -> set[str]:
    """Names of the addresses below `/a/<slug>/` that are no pages: they only take what a form sends."""
    methods = {str(pattern.name): getattr(pattern.callback, "methods", ("GET",)) for pattern in patterns()}
    return {name for name, allowed in methods.items() if "GET" not in allowed}


def tenant_addresses(world: World) -> dict[str, str]:
    """URL name → address. A pattern with an argument that is not known here raises KeyError: add it."""
    known: dict[str, object] = {
        "project_id": world.project.pk,
        "number": world.issue.number,
        "run_id": world.run.pk,
        "pull_request_id": world.pull_request.pk,
        "prompt_id": world.prompt.pk,
        "token_id": world.token.pk,
        "label_id": world.label.pk,
        "api_token_id": world.api_token.pk,
        "key_id": world.key.pk,
        "budget_id": world.budget.pk,
        "by": "project",
        "experiment_id": world.experiment.pk,
        "style_guide_id": world.style_guide.pk,
        "preference_id": world.preference.pk,
    }
    accounts = next(e for e in get_resolver("dashboard.urls").url_patterns if isinstance(e, URLResolver))
    addresses = {}
    for pattern in patterns(accounts):
        name = str(pattern.name)
        wanted = next(iter(get_resolver("paid.urls").reverse_dict.getlist(name)))[0][0][1]
        arguments = {key: world.account.slug if key == "slug" else known[key] for key in wanted}
        addresses[name] = reverse(name, kwargs=arguments)
    return addresses
