"""A report as files: one page of HTML that needs nothing beside itself, and Markdown with its pictures."""

from __future__ import annotations

import re
from pathlib import Path

from raysgpo.output.whole_file import write_parts, write_whole, writing
from raysgpo.studies.page.environment import page_environment
from raysgpo.studies.page.pictures import Picture
from raysgpo.studies.reports.document import Document, Listing, Table
from raysgpo.studies.reports.markdown import markdown
from raysgpo.studies.reports.sampled import SampledGroup


def write_document(document: Document, file: Path) -> None:
    """``NAME.html``, ``NAME.md`` and ``NAME_pictures/``; ``file`` is the first.

    Raises:
        WriteFailed: there is no room.
    """
    folder = file.with_name(f"{file.stem}_pictures")
    names = {picture.title: f"{folder.name}/{_file_name(picture.title)}.png" for picture in document.pictures}
    if names:
        with writing(folder, 0):
            folder.mkdir(exist_ok=True)
    for picture in document.pictures:
        write_parts(file.parent / names[picture.title], [picture.png])
    write_whole(file.with_suffix(".md"), markdown(document, names))
    write_whole(file, html(document))


def html(document: Document) -> str:
    environment = page_environment()
    environment.globals.update(kind=_kind)
    return environment.get_template("reports/document.html.j2").render(document=document)


def _kind(block: object) -> str:
    """Which part of the template shows it."""
    kinds = {str: "text", Table: "table", Listing: "listing", Picture: "picture", SampledGroup: "group"}
    return kinds[type(block)]


def _file_name(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-")
