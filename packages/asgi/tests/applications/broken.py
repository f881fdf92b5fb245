"""Cannot be imported."""


def application() -> None:
    """Never reached."""


raise RuntimeError("no settings were found")
