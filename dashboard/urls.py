"""The pages' addresses. What belongs to an account lies below `/a/<slug>/`, where the tenancy middleware stands."""

from django.urls import URLPattern, URLResolver, include, path, re_path

from dashboard.views import (
    analytics,
    api_tokens,
    budgets,
    evolution,
    experiment_actions,
    experiments,
    health,
    judgement,
    language_models,
    log_search,
    operations,
    overview,
    projects,
    prompt_actions,
    prompt_labels,
    prompt_trials,
    prompts,
    pull_requests,
    quality_weights,
    run_actions,
    run_log,
    run_money,
    runs,
    settings,
    sign_in,
    style_guides,
    votes,
    webhooks,
)

Patterns = list[URLPattern | URLResolver]

run_patterns: Patterns = [
    path("", runs.run, name="run"),
    path("stop", run_actions.run_stop, name="run_stop"),
    path("retry", run_actions.run_retry, name="run_retry"),
    path("grant", run_money.run_grant, name="run_grant"),
    path("resume", run_money.run_resume, name="run_resume"),
    path("vote", votes.run_vote, name="run_vote"),
    path("log", run_log.run_log, name="run_log"),
    path("log.txt", run_log.run_log_file, name="run_log_file"),
    path("log/stream", run_log.run_log_stream, name="run_log_stream"),
]

project_patterns: Patterns = [
    path("", projects.project, name="project"),
    path("model-choice", projects.project_meta_agent, name="project_meta_agent"),
    path("issues/new", projects.issue_new, name="issue_new"),
    path("issues/<int:number>/", projects.issue, name="issue"),
    path("issues/<int:number>/run", run_actions.issue_run, name="issue_run"),
]

prompt_patterns: Patterns = [
    path("", prompts.prompt, name="prompt"),
    path("compare", prompts.prompt_compare, name="prompt_compare"),
    path("edit", prompt_actions.prompt_edit, name="prompt_edit"),
    path("withdraw", prompt_actions.prompt_withdraw, name="prompt_withdraw"),
    path("try", prompt_trials.prompt_try, name="prompt_try"),
    path("check", prompt_trials.prompt_check, name="prompt_check"),
    path("file", prompt_trials.prompt_file, name="prompt_file"),
    path("labels/<int:label_id>/remove", prompt_labels.prompt_label_remove, name="prompt_label_remove"),
    path("versions/<int:number>/label", prompt_labels.prompt_label, name="prompt_label"),
    path("evolution/", evolution.prompt_evolution, name="prompt_evolution"),
    path("evolution/policy", evolution.prompt_evolution_policy, name="prompt_evolution_policy"),
    path("evolution/try", evolution.prompt_evolution_try, name="prompt_evolution_try"),
    path("evolution/reject", evolution.prompt_evolution_reject, name="prompt_evolution_reject"),
    path("versions/<int:number>/promote", prompt_actions.prompt_promote, name="prompt_promote"),
]

style_guide_patterns: Patterns = [
    path("", style_guides.style_guides, name="style_guides"),
    path("new", style_guides.style_guide_new, name="style_guide_new"),
    path("<int:style_guide_id>/", style_guides.style_guide, name="style_guide"),
    path("<int:style_guide_id>/edit", style_guides.style_guide_edit, name="style_guide_edit"),
    path("<int:style_guide_id>/remove", style_guides.style_guide_remove, name="style_guide_remove"),
]

language_model_patterns: Patterns = [
    path("", language_models.language_models, name="language_models"),
    path("preferences/add", language_models.preference_add, name="preference_add"),
    path("preferences/<int:preference_id>/move", language_models.preference_move, name="preference_move"),
    path("preferences/<int:preference_id>/remove", language_models.preference_remove, name="preference_remove"),
]

experiment_patterns: Patterns = [
    path("", experiments.experiment, name="experiment"),
    path("look", experiment_actions.experiment_look, name="experiment_look"),
    path("start", experiment_actions.experiment_start, name="experiment_start"),
    path("pause", experiment_actions.experiment_pause, name="experiment_pause"),
    path("resume", experiment_actions.experiment_resume, name="experiment_resume"),
    path("conclude", experiment_actions.experiment_conclude, name="experiment_conclude"),
    path("delete", experiment_actions.experiment_delete, name="experiment_delete"),
]

pull_request_patterns: Patterns = [
    path("", pull_requests.pull_request, name="pull_request"),
    path("merge", judgement.pull_request_merge, name="pull_request_merge"),
    path("close", judgement.pull_request_close, name="pull_request_close"),
    path("comment", judgement.pull_request_comment, name="pull_request_comment"),
]

settings_patterns: Patterns = [
    path("", settings.settings_index, name="settings"),
    path("profile/", settings.settings_profile, name="settings_profile"),
    path("password", settings.settings_password, name="settings_password"),
    path("members/", settings.settings_members, name="settings_members"),
    path("github/", settings.settings_github, name="settings_github"),
    path("github/connect", settings.settings_github_connect, name="settings_github_connect"),
    path("github/<int:project_id>/webhook", webhooks.settings_github_webhook, name="settings_github_webhook"),
    path("github/<int:token_id>/revoke", settings.settings_github_revoke, name="settings_github_revoke"),
    path("keys/", settings.settings_keys, name="settings_keys"),
    path("keys/add", settings.settings_keys_add, name="settings_keys_add"),
    path("keys/<int:key_id>/revoke", settings.settings_keys_revoke, name="settings_keys_revoke"),
    path("api/", api_tokens.settings_api, name="settings_api"),
    path("api/reference/", api_tokens.settings_api_reference, name="settings_api_reference"),
    path("api/create", api_tokens.settings_api_create, name="settings_api_create"),
    path("api/<int:api_token_id>/revoke", api_tokens.settings_api_revoke, name="settings_api_revoke"),
    path("quality/", quality_weights.settings_quality, name="settings_quality"),
    path("quality/set", quality_weights.settings_quality_set, name="settings_quality_set"),
    path("budgets/", budgets.settings_budgets, name="settings_budgets"),
    path("budgets/webhook", budgets.settings_budgets_webhook, name="settings_budgets_webhook"),
    path("budgets/webhook/remove", budgets.settings_budgets_webhook_remove, name="settings_budgets_webhook_remove"),
    path("budgets/set", budgets.settings_budgets_set, name="settings_budgets_set"),
    path("budgets/<int:budget_id>/remove", budgets.settings_budgets_remove, name="settings_budgets_remove"),
]

account_patterns: Patterns = [
    path("", overview.overview, name="overview"),
    path("try", run_actions.demo_start, name="demo_start"),
    path("runs/", runs.runs, name="runs"),
    path("runs/logs/", log_search.runs_log_search, name="runs_log_search"),
    path("runs/<int:run_id>/", include(run_patterns)),
    path("projects/", projects.projects, name="projects"),
    path("projects/<int:project_id>/", include(project_patterns)),
    path("pull-requests/<int:pull_request_id>/", include(pull_request_patterns)),
    path("prompts/", prompts.prompts, name="prompts"),
    path("prompts/<int:prompt_id>/", include(prompt_patterns)),
    path("prompts/style-guides/", include(style_guide_patterns)),
    path("prompts/models/", include(language_model_patterns)),
    path("experiments/", experiments.experiments, name="experiments"),
    path("experiments/new", experiment_actions.experiment_new, name="experiment_new"),
    path("experiments/<int:experiment_id>/", include(experiment_patterns)),
    path("costs/", analytics.costs, name="costs"),
    path("quality/", analytics.quality, name="quality"),
    re_path("^costs/(?P<by>project|model|prompt|person|day).csv$", analytics.costs_file, name="costs_file"),
    path("settings/", include(settings_patterns)),
]

urlpatterns: Patterns = [
    path("healthz", health.healthz, name="healthz"),
    path("metrics", operations.metrics, name="metrics"),
    path("operations/", operations.operations, name="operations"),
    path("", sign_in.home, name="home"),
    path("sign-in/", sign_in.SignIn.as_view(), name="sign_in"),
    path("sign-out/", sign_in.SignOut.as_view(), name="sign_out"),
    path("a/<slug:slug>/", include(account_patterns)),
]
