"""Finds the application that `module:attribute` names."""

import importlib
import sys
import traceback
from pathlib import Path
from typing import cast

from busgate_asgi.types import Application

#: Of the traceback of an import that failed so many calls are shown: the last ones say what is wrong.
_CALLS = 6


class ApplicationError(Exception):
    """There is no such application. Its text is for people, and has the end of a traceback where there was one."""


def load(reference: str, app_dir: str, *, factory: bool) -> Application:
    """Imports the application; with `factory` the attribute is called for it. Raises ApplicationError."""
    module_name, _, attributes = reference.partition(":")
    if not module_name or not attributes:
        raise ApplicationError(f'Import string "{reference}" must be in format "<module>:<attribute>".')
    sys.path.insert(0, str(Path(app_dir).resolve()))
    found = _import(module_name)
    try:
        for name in attributes.split("."):
            found = getattr(found, name)
    except AttributeError as error:
        raise ApplicationError(f'Attribute "{attributes}" not found in module "{module_name}".') from error
    if factory:
        try:
            found = found()  # type: ignore[operator]
        except Exception as error:
            raise ApplicationError(f'Error loading ASGI app factory "{reference}".\n{_end_of(error)}') from error
    if not callable(found):
        raise ApplicationError(f'"{reference}" is no ASGI application: it cannot be called.')
    return cast("Application", found)


def _import(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ApplicationError(f'Error loading ASGI app. Could not import module "{name}".') from error
        raise ApplicationError(f'Error loading ASGI app "{name}".\n{_end_of(error)}') from error
    except (Exception, SystemExit) as error:
        raise ApplicationError(f'Error loading ASGI app "{name}".\n{_end_of(error)}') from error


def _end_of(error: BaseException) -> str:
    """The traceback without what led into the module, which is ours."""
    trace = error.__traceback__
    while trace is not None and ("importlib" in trace.tb_frame.f_code.co_filename or trace.tb_frame.f_code.co_filename == __file__):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace, limit=-_CALLS)).rstrip()
