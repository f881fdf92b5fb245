"""What the command was told."""

from dataclasses import dataclass

from busgate_asgi.lifespan import Mode


@dataclass(frozen=True)
class Settings:
    """One worker's settings."""

    application: str
    layer: str
    queue: str
    prefix: str
    app_dir: str
    factory: bool
    lifespan: Mode
    log_level: str
