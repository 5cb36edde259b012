"""Every setting of Paid, read from the environment with django-environ; `.env.example` documents each.

Order of precedence: the process environment, then `.env` (the operator's), then `.paid/stack.env`
(written by `make up` for the servers that it started itself).
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.smart_cast = False
STATE_DIR = Path(env.str("PAID_STATE_DIR", default=str(BASE_DIR / ".paid")))
for env_file in (BASE_DIR / ".env", STATE_DIR / "stack.env"):
    if env_file.is_file():
        env.read_env(str(env_file), overwrite=False)

# --- Core -----------------------------------------------------------------------------------------
PRODUCTION = env.bool("PAID_PRODUCTION", default=False)
DEBUG = env.bool("DEBUG", default=False)
# Outside production an unset key is a fixed development key: system check paid.E001 refuses it in production.
SECRET_KEY = env.str("SECRET_KEY", default="" if PRODUCTION else "development-only-secret-key-of-paid-0123456789abcdef")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
PORT = env.int("PORT", default=8000)
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://127.0.0.1:{PORT}")
# Addresses of proxies that end TLS before us: their X-Forwarded-Proto and X-Forwarded-For are believed, nobody else's.
FORWARDED_ALLOW_IPS = env.str("FORWARDED_ALLOW_IPS", default="127.0.0.1")
# Opens /metrics as a bearer token; without one there is no such page.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

INSTALLED_APPS = [
    "paid.apps.PaidConfig",
    "dashboard",
    "workflows",
    "metrics",
    "agent_runs",
    "prompts",
    "projects",
    "accounts",
    "paid.apps.PaidAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "paid.middleware.TenancyMiddleware",
]

ROOT_URLCONF = "paid.urls"
ASGI_APPLICATION = "paid.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- HTTP API -------------------------------------------------------------------------------------
# What one token may ask, and how many refused tokens may come from one address before it is left waiting; 0: no limit.
API_REQUESTS_PER_MINUTE = env.int("API_REQUESTS_PER_MINUTE", default=1200)
API_REFUSALS_PER_MINUTE = env.int("API_REFUSALS_PER_MINUTE", default=20)

# --- Database -------------------------------------------------------------------------------------
# `default` is the application's role: paid_app logs in and is paid_tenant until a context says otherwise.
# `owner` owns every table: migrations, the test database, backup. Nothing else may use it.
DATABASE_URL = env.str("DATABASE_URL", default="postgresql://paid_app@127.0.0.1:5432/paid_development")
DATABASE_OWNER_URL = env.str("DATABASE_OWNER_URL", default="postgresql://paid_owner@127.0.0.1:5432/paid_development")
# Copies the whole server and reads every row, and may change nothing: `manage.py backup` only.
DATABASE_BACKUP_URL = env.str("DATABASE_BACKUP_URL", default="postgresql://paid_backup@127.0.0.1:5432/paid_development")
DATABASE_POOL_MIN_SIZE = env.int("DATABASE_POOL_MIN_SIZE", default=1)
DATABASE_POOL_MAX_SIZE = env.int("DATABASE_POOL_MAX_SIZE", default=16)
# Streaming replicas of the same database, by the application's role: pages that are only read go there.
DATABASE_REPLICA_URLS = env.list("DATABASE_REPLICA_URLS", default=[])
# A replica that is further behind than this is not read from, whoever asks.
REPLICA_MAX_LAG_SECONDS = env.float("REPLICA_MAX_LAG_SECONDS", default=30.0)
# A pooler in transaction mode (PgBouncer) stands before DATABASE_URL: no state of a session may outlive a transaction.
DATABASE_TRANSACTION_POOLER = env.bool("DATABASE_TRANSACTION_POOLER", default=False)
# Where PostgreSQL has its Unix socket, when it runs on this host: the gateway asks there, past the network.
DATABASE_SOCKET_DIRECTORY = env.str("DATABASE_SOCKET_DIRECTORY", default="")
# Hosts of databases that may be reached without verified TLS in production, because nobody else is on the way.
DATABASE_PLAINTEXT_HOSTS = env.list("DATABASE_PLAINTEXT_HOSTS", default=[])
# A migration that waits for a lock makes everybody wait behind it: it gives up and can be run again.
OWNER_LOCK_TIMEOUT_SECONDS = env.int("OWNER_LOCK_TIMEOUT_SECONDS", default=10)
OWNER_STATEMENT_TIMEOUT_SECONDS = env.int("OWNER_STATEMENT_TIMEOUT_SECONDS", default=3600)


def _database(url: str) -> dict[str, Any]:
    config: dict[str, Any] = dict(environ.Env.db_url_config(url))
    config["ENGINE"] = "django.db.backends.postgresql"
    config["CONN_MAX_AGE"] = 0
    config.setdefault("OPTIONS", {})
    return config


DATABASES: dict[str, dict[str, Any]] = {
    "default": _database(DATABASE_URL),
    "owner": _database(DATABASE_OWNER_URL),
}
_POOL = {"min_size": DATABASE_POOL_MIN_SIZE, "max_size": DATABASE_POOL_MAX_SIZE, "timeout": 10}
DATABASES["default"]["OPTIONS"]["pool"] = _POOL
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = DATABASE_TRANSACTION_POOLER
DATABASES["owner"]["OPTIONS"]["options"] = (
    f"-c lock_timeout={OWNER_LOCK_TIMEOUT_SECONDS}s -c statement_timeout={OWNER_STATEMENT_TIMEOUT_SECONDS}s"
)


def _replica(url: str) -> dict[str, Any]:
    """Its silence must not hold up a page: short waits, and the primary answers instead."""
    config = _database(url)
    config["OPTIONS"] |= {"connect_timeout": 2, "pool": _POOL | {"timeout": 1}}
    config["TEST"] = {"MIRROR": "owner"}
    return config


DATABASES |= {f"replica_{number}": _replica(url) for number, url in enumerate(DATABASE_REPLICA_URLS, start=1)}
# Both aliases are one database: tests create it once, as its owner.
DATABASES["default"]["TEST"] = {"MIRROR": "owner"}
DATABASES["owner"]["TEST"] = {"NAME": env.str("TEST_DATABASE_NAME", default="paid_test"), "DEPENDENCIES": []}
DATABASE_ROUTERS = ["paid.router.OwnerMigrates"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis, Celery --------------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_TIME_LIMIT = 900
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

# --- Mail -----------------------------------------------------------------------------------------
# smtp+tls://user:password@host:587, smtp+ssl://…:465; by default mail is only printed by the Celery worker.
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Paid <paid@localhost>")

# --- Temporal -------------------------------------------------------------------------------------
TEMPORAL_ADDRESS = env.str("TEMPORAL_ADDRESS", default="127.0.0.1:7233")
TEMPORAL_NAMESPACE = env.str("TEMPORAL_NAMESPACE", default="default")

# --- Backups --------------------------------------------------------------------------------------
BACKUPS_DIR = Path(env.str("PAID_BACKUPS_DIR", default=str(STATE_DIR / "backups")))
# Where the server that `make up` starts archives its WAL; empty: it archives none.
WAL_ARCHIVE = env.str("PAID_WAL_ARCHIVE", default="")

# --- Agents, sandbox, gateway ---------------------------------------------------------------------
RUNS_DIR = Path(env.str("PAID_RUNS_DIR", default=str(STATE_DIR / "runs")))
REPOSITORIES_DIR = Path(env.str("PAID_REPOSITORIES_DIR", default=str(STATE_DIR / "repositories")))
# In a directory of its own: sandboxes see that directory, so that they find a restarted gateway again.
GATEWAY_SOCKET = Path(env.str("GATEWAY_SOCKET", default=str(STATE_DIR / "gateway" / "gateway.sock")))
# The scripted model of the demo: a real HTTP server on loopback that speaks the Anthropic protocol.
SCRIPTED_MODEL_URL = env.str("SCRIPTED_MODEL_URL", default="http://127.0.0.1:8100")
# Seconds between two pieces of its answers: slow enough to be watched, fast enough for a demo.
SCRIPTED_MODEL_DELAY_SECONDS = env.float("SCRIPTED_MODEL_DELAY_SECONDS", default=0.03)
# Where a fault is timed: see metrics.scripted_model.app.ScriptedModel.gate.
SCRIPTED_MODEL_GATE = Path(gate) if (gate := env.str("SCRIPTED_MODEL_GATE", default="")) else None
# TCP address (host:port) on which the gateway listens beside its Unix socket, for agents in containers.
GATEWAY_BIND = env.str("GATEWAY_BIND", default="")
# Where the gateway reaches Anthropic, unless a provider key names an address of its own.
ANTHROPIC_API_URL = env.str("ANTHROPIC_API_URL", default="https://api.anthropic.com")
# Hosts that accounts may give as the address of a provider, or of the webhook of their alerts, although they are not
# public, or not reached by https. Without :port it is the usual one of http or https. See paid/lib/addresses.py.
PROVIDER_HOSTS = env.list("PROVIDER_HOSTS", default=[])
ALERT_WEBHOOK_HOSTS = env.list("ALERT_WEBHOOK_HOSTS", default=[])
# What one run may cost at most, in USD, where no budget says less.
RUN_COST_LIMIT_USD = Decimal(env.str("RUN_COST_LIMIT_USD", default="5"))

# --- GitHub ---------------------------------------------------------------------------------------
# GitHub Enterprise Server: https://<host>/api/v3, and https://<host> for git.
GITHUB_API_URL = env.str("GITHUB_API_URL", default="https://api.github.com").rstrip("/")
GITHUB_URL = env.str("GITHUB_URL", default="https://github.com").rstrip("/")
# Larger repositories are refused, by what the forge says and by what it sends: a clone per run would fill the disk.
REPOSITORY_MAX_MEGABYTES = env.int("REPOSITORY_MAX_MEGABYTES", default=2048)

# --- Secrets --------------------------------------------------------------------------------------
# Key ring of EncryptedField: `id:base64(32 bytes)`, comma separated; the first one encrypts, all decrypt.
ENCRYPTION_KEYS = env.list(
    "ENCRYPTION_KEYS", default=[] if PRODUCTION else ["dev:ZGV2ZWxvcG1lbnQtb25seS1rZXktb2YtcGFpZC0zMmI="]
)

# --- Sign-in --------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
# E-mail addresses are unique without case, by an index on lower(email): Django looks for unique=True only.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
AUTHENTICATION_BACKENDS = ["accounts.backends.EmailBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_ENGINE = "accounts.sessions"
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign_in"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_SECURE = PRODUCTION
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=PRODUCTION)
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- Files, language, time ------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "servestatic.storage.CompressedManifestStaticFilesStorage"
            if PRODUCTION
            else "django.contrib.staticfiles.storage.StaticFilesStorage"
        )
    },
}
SERVESTATIC_USE_FINDERS = not PRODUCTION
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
