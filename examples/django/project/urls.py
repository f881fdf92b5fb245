"""The pages: one for each room."""

from django.shortcuts import render
from django.urls import path


def room(request, name):
    """The chat of one room."""
    return render(request, "chat/room.html", {"room": name})


urlpatterns = [path("<slug:name>/", room)]
