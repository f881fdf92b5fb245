"""Settings of a site with a chat: groups in Redis, and no database."""

import os

SECRET_KEY = "of the example"
ALLOWED_HOSTS = ["localhost"]
ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
INSTALLED_APPS = ["channels", "chat"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [os.environ["REDIS"]]}}}
