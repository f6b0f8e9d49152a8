"""A helpdesk: django-helpdesk on loopback, with a database of its own.

Makes two agents with a ticket each, a reader for the broker, and a clerk who works at the desk; says where it is in
one line of JSON, and serves until its standard input ends.
"""

import json
import os
import sys
import tempfile
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings

PLACE = tempfile.mkdtemp(prefix="helpdesk-", dir=sys.argv[1])

settings.configure(
    SECRET_KEY="a test",
    DEBUG=False,
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SITE_ID=1,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    STATIC_URL="/static/",
    MEDIA_ROOT=PLACE,
    EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
    # A weak hash: the passwords are a test's, and every call shows one.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(PLACE, "db.sqlite3"),
            "OPTIONS": {"timeout": 10},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.sites",
        "django.contrib.staticfiles",
        "django.contrib.humanize",
        "rest_framework",
        "helpdesk",
    ],
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    # Teams are an application of its own, and not needed here.
    HELPDESK_TEAMS_MODE_ENABLED=False,
    HELPDESK_TEAMS_MODEL="auth.User",
    HELPDESK_TEAMS_MIGRATION_DEPENDENCIES=[],
    HELPDESK_TEAMS_MODEL_MIGRATION_DEPENDENCIES=[],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("", include("helpdesk.urls", namespace="helpdesk"))]

PASSWORD = "a-password-canary-6e1d"


def furnish():
    """The people of the desk and their tickets."""
    from helpdesk.models import Queue, Ticket

    call_command("migrate", verbosity=0, interactive=False)
    # TicketViewSet is for staff: who reads for the broker is, and so is who works at the desk.
    people = {
        name: User.objects.create_user(name, f"{name}@example.org", PASSWORD, is_staff=True)
        for name in ("reader", "clerk", "first-agent", "second-agent")
    }
    queue = Queue.objects.create(title="Billing", slug="billing", allow_public_submission=False)
    tickets = {
        name: Ticket.objects.create(
            queue=queue,
            title="The invoice is wrong",
            submitter_email="ac-9@customer.example",
            assigned_to=User.objects.get(username=f"{name}-agent"),
        )
        for name in ("first", "second")
    }
    return {
        "tickets": {name: ticket.id for name, ticket in tickets.items()},
        "people": {name: user.id for name, user in people.items()},
        "password": PASSWORD,
    }


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def main():
    told = furnish()
    application = get_wsgi_application()
    with make_server("127.0.0.1", 0, application, Server, Quiet) as server:
        told["url"] = f"http://127.0.0.1:{server.server_port}/api"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(json.dumps(told), flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
