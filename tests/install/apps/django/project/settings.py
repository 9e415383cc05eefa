"""A Django project as a worker: its database is below the state folder, the only folder that it may
write in."""

import os
import secrets
from pathlib import Path

SECRET_KEY = secrets.token_hex()
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "project.urls"
FORCE_SCRIPT_NAME = os.environ["WORKER_ROUTE"]
USE_TZ = True
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(os.environ["STATE_DIRECTORY"], "db.sqlite3")}
}
