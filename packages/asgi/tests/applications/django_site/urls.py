"""One page."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


def page(request: HttpRequest) -> HttpResponse:
    """Says who asks, and what was posted."""
    return HttpResponse(f"{request.method} {request.get_host()} {request.body.decode()}")


urlpatterns = [path("app/page/", page)]
