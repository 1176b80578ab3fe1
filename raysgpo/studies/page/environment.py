"""Pages of HTML that need nothing beside themselves: their templates, and pictures as data."""

from __future__ import annotations

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined

from raysgpo.studies.page.pictures import Picture


def page_environment() -> Environment:
    """Templates by their path under ``raysgpo/studies``. What is filled in is text and no markup."""
    environment = Environment(
        loader=PackageLoader("raysgpo.studies", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["source"] = source
    return environment


def source(picture: Picture) -> str:
    """The picture as the address of an image."""
    return f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
