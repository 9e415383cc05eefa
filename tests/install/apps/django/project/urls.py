"""Views that use typical parts of Django: its database, and URLs that it generates."""

import os
from pathlib import Path

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse


def hello(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS asked (path TEXT)")
        cursor.execute("INSERT INTO asked VALUES (%s)", [request.path])
    return HttpResponse(f"django {reverse('slow')}")


def health(_: HttpRequest) -> HttpResponse:
    return HttpResponse("well")


def slow(_: HttpRequest) -> HttpResponse:
    return HttpResponse(Path(os.environ["STATE_DIRECTORY"], "go").read_text())


urlpatterns = [path("", hello), path("health", health), path("slow", slow, name="slow")]
