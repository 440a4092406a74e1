"""Reports: files of one folder, and the lists of who won in past drops.

A report may hold scripts of its own. It is shown in a sandbox: it sees neither this console nor
its cookie, and reaches no network.
"""

from pathlib import Path
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import PathParameter
from litestar.response import Response

from firstcome.campaigns import Campaigns
from firstcome.console.pages.campaigns import Before, page_of
from firstcome.console.pages.rendering import AnyRequest, Pages
from firstcome.settings import ConsoleSettings

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
FILES_MAX = 200
FILE_BYTES_MAX = 20_000_000
SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
)


class ReportsPages(Controller):
    """The pages below /reports."""

    path = "/reports"
    include_in_schema = False

    @get(sync_to_thread=True)
    def show_all(
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        settings: NamedDependency[ConsoleSettings],
        campaigns: NamedDependency[Campaigns],
        before: Before = 2**63 - 1,
    ) -> Response[str]:
        """List the folder's reports and the campaigns, newest first."""
        drops, more = page_of(campaigns.list(), before)
        reports = [(each.name, each.stat()) for each in files_of(settings.reports_folder)]
        values = {
            "reports": reports,
            "has_folder": settings.reports_folder is not None,
            "drops": drops,
            "more": more,
        }
        return pages.show(request, "reports.html", values)

    @get("/{name:str}", sync_to_thread=True)
    def show(
        self, settings: NamedDependency[ConsoleSettings], name: Annotated[str, PathParameter()]
    ) -> Response[bytes]:
        """Return one report. Only what the list names can be had."""
        for file in files_of(settings.reports_folder):
            if file.name == name and file.stat().st_size <= FILE_BYTES_MAX:
                return Response(
                    file.read_bytes(),
                    media_type=MEDIA_TYPES[file.suffix],
                    headers={"Content-Security-Policy": SANDBOX},
                )
        raise NotFoundException(f"there is no report {name}")


def files_of(folder: Path | None) -> list[Path]:
    """Return the reports of a folder, newest first; none for a folder that is not there."""
    if folder is None or not folder.is_dir():
        return []
    found = [
        each
        for each in folder.iterdir()
        if each.suffix in MEDIA_TYPES and each.is_file() and not each.is_symlink()
    ]
    return sorted(found, key=lambda each: each.stat().st_mtime, reverse=True)[:FILES_MAX]
