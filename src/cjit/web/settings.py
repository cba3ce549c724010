"""Settings. Everything an installation may change comes from the environment and is told in docs/deploy.md.

``CJIT_HOME``      where the database (SQLite), uploads and the secret key are kept
``DATABASE_URL``   postgresql://… for PostgreSQL; otherwise SQLite in CJIT_HOME
``CJIT_HOSTS``     the names the service answers to, separated by commas
``CJIT_TLS``       1 where it is reached by HTTPS only
``CJIT_URL``       what links in e-mails begin with; otherwise, with CJIT_TLS, https:// and the first of CJIT_HOSTS
``CJIT_PROXIES``   the addresses or networks of web servers before it, whose word on who asks is taken
``CJIT_KEY``       a key (32 bytes, base64) under which uploads are encrypted at rest
``CJIT_MAIL``      smtp://user:password@host:port for e-mail; otherwise it is printed
``CJIT_KEEP_DAYS`` how many days after acceptance an upload is kept
``CJIT_FORGET_HOURS`` for how many hours clients who withdrew consent can be brought back before they are erased
``CJIT_UPLOADS_AN_HOUR`` how many files of one agency are taken in an hour
``CJIT_DATES``     how extracts write dates: yyyymmdd or dd/mm/yyyy
"""

from __future__ import annotations

import os
import secrets
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import unquote, urlsplit

import dj_database_url
from csp.constants import NONCE, NONE, SELF
from platformdirs import user_data_path

from cjit.dates import Style, UnknownStyle, style_of

HERE = Path(__file__).parent
HOME = Path(os.environ.get("CJIT_HOME") or user_data_path("cjit", appauthor=False))


def _secret() -> str:
    """The key cookies are signed with: made once, readable by this user alone."""
    if key := os.environ.get("CJIT_SECRET_KEY"):
        return key
    path = HOME / "secret-key"
    HOME.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(64))
    except FileExistsError:
        pass
    return path.read_text()


SECRET_KEY = _secret()
DEBUG = False
TLS = os.environ.get("CJIT_TLS") == "1"
ALLOWED_HOSTS = [h.strip() for h in os.environ.get("CJIT_HOSTS", "localhost,127.0.0.1,[::1]").split(",") if h.strip()]
CSRF_TRUSTED_ORIGINS = [f"https://{'*' if host.startswith('.') else ''}{host}" for host in ALLOWED_HOSTS] if TLS else []
#: What links in e-mails begin with, so that whoever asks for one cannot choose it; "" on one computer, where they
#: begin as the page does from which they are asked for.
BASE_URL = os.environ.get("CJIT_URL", f"https://{ALLOWED_HOSTS[0]}" if TLS and ALLOWED_HOSTS else "").rstrip("/")
#: Only these may tell, by X-Forwarded-For, whom they ask for: anybody else could name whom they like.
PROXIES = [
    ip_network(each.strip())
    for each in os.environ.get("CJIT_PROXIES", "127.0.0.1,::1" if TLS else "").split(",")
    if each.strip()
]

# ---- what this service keeps and allows ------------------------------------------------------------

UPLOADS = HOME / "uploads"
UPLOAD_KEY = os.environ.get("CJIT_KEY", "")
#: The largest file taken, in bytes, and the most rows.
UPLOAD_BYTES = int(os.environ.get("CJIT_UPLOAD_MB", "250")) * 1_000_000
UPLOAD_ROWS = 1_000_000
#: The most files taken of one agency in an hour.
UPLOADS_AN_HOUR = max(1, int(os.environ.get("CJIT_UPLOADS_AN_HOUR", "60")))
KEEP_DAYS = int(os.environ.get("CJIT_KEEP_DAYS", "90"))
#: Hours in which undoing an acceptance brings back the clients it made the service forget; then they are erased.
FORGET_HOURS = max(1, int(os.environ.get("CJIT_FORGET_HOURS", "24")))
#: The day of the month by which an agency submits for the month before, where the calendar has no entry.
SUBMIT_BY = int(os.environ.get("CJIT_SUBMIT_BY", "10"))
#: How an extract writes dates. What people are shown is dd/mm/yyyy or words.
try:
    DATES = style_of(os.environ.get("CJIT_DATES") or Style.EIGHT)
except UnknownStyle:
    raise UnknownStyle(f"CJIT_DATES must be {' or '.join(Style)}") from None
#: Seconds without a sign of life after which a check is taken from its worker, and how often it is tried.
HEARTBEAT, ATTEMPTS = 15, 3

# ---- Django ----------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "axes",
    "csp",
    "cjit.web.agencies",
    "cjit.web.caseload",
    "cjit.web.portal",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "cjit.web.pages.Address",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "cjit.web.agencies.access.SecondStep",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "cjit.web.urls"
WSGI_APPLICATION = "cjit.web.wsgi.application"
AUTH_USER_MODEL = "agencies.Person"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"
PASSWORD_RESET_TIMEOUT = 3600
AXES_FAILURE_LIMIT = 8
#: Wrong passwords for one account from anywhere, or from one place for any account, until neither is let try.
SIGN_IN_FAILURES = 100
AXES_COOLOFF_TIME = 0.25  # hours
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_FORM_FIELD = "username"
AXES_LOCKOUT_CALLABLE = "cjit.web.agencies.views.locked_out"
AXES_VERBOSE = False
AXES_DISABLE_ACCESS_LOG = True
OTP_TOTP_ISSUER = "CJIT records"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "DIRS": [HERE / "templates"],
        "OPTIONS": {
            "environment": "cjit.web.pages.environment",
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
                "cjit.web.pages.everywhere",
            ],
        },
    },
    # For the few pages Django itself writes.
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
]

_SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": HOME / "cjit.sqlite3",
    # A file, as the real one is: threads and workers must wait for one another in tests too.
    "TEST": {"NAME": HOME / "test.sqlite3"},
    "OPTIONS": {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    },
}
_URL = os.environ.get("DATABASE_URL")
DATABASES = {"default": dj_database_url.parse(_URL, conn_max_age=60, conn_health_checks=True) if _URL else _SQLITE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "static/"
STATIC_ROOT = HOME / "static"
STATICFILES_DIRS = [HERE / "static"]
# Files are served from where they are as long as they are not collected.
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "cjit.web.pages.Static"},
}
MEDIA_ROOT = HOME / "nothing"
FILE_UPLOAD_HANDLERS = ["cjit.web.kept.Arriving"]
# Beside what is kept, and as private: where what is there for a moment is, mostly without a name.
FILE_UPLOAD_TEMP_DIR = UPLOADS / "open"
for folder in (UPLOADS, FILE_UPLOAD_TEMP_DIR):
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "Europe/London"
USE_TZ = True

SESSION_COOKIE_AGE = 8 * 3600
#: Seconds after which somebody signs in again, however busy they were.
SESSION_LASTS = 12 * 3600
SESSION_SAVE_EVERY_REQUEST = True
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
if TLS:
    # By these names a browser takes neither from another host of the same domain, nor from a page without HTTPS.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "cjit.web.errors.forbidden"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = TLS
SECURE_REDIRECT_EXEMPT = [r"^alive/$"]
SECURE_HSTS_SECONDS = 31_536_000 if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TLS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

_MAIL = urlsplit(os.environ.get("CJIT_MAIL", ""))
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if _MAIL.hostname else 'console'}.EmailBackend"
EMAIL_HOST, EMAIL_PORT = _MAIL.hostname or "", _MAIL.port or 587
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_MAIL.username or ""), unquote(_MAIL.password or "")
EMAIL_TIMEOUT = 10
EMAIL_USE_TLS = bool(_MAIL.hostname)
DEFAULT_FROM_EMAIL = os.environ.get("CJIT_MAIL_FROM", "cjit@localhost")

# No values in logs: what is logged of a request is its method, its path and what came of it.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"()": "cjit.web.errors.Formatter", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {"cjit": {"level": "INFO"}, "axes": {"level": "ERROR"}},
}
DEFAULT_EXCEPTION_REPORTER = "cjit.web.errors.Reporter"
