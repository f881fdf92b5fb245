"""Settings: a database in a file, sessions in it, groups in Redis."""

import os

SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["example.org"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "channels"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SITE_DATABASE"]}}
ROOT_URLCONF = "tests.applications.django_site.urls"
ASGI_APPLICATION = "tests.applications.django_site.asgi.application"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": os.environ.get("SITE_LAYER", "channels_redis.core.RedisChannelLayer"),
        "CONFIG": {"hosts": [os.environ["SITE_REDIS"]], "prefix": os.environ.get("SITE_PREFIX", "asgi")},
    }
}
USE_TZ = True
