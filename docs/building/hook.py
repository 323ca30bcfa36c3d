"""What mkdocs calls: the pages that are made of the code join those that are written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from building import commands, grpc_api, outside, sdk, study_file

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page


def generated() -> dict[str, str]:
    """All generated pages, by their path below ``docs``."""
    reference = sdk.pages() | commands.pages() | grpc_api.pages() | study_file.pages()
    return {f"reference/{name}.md": text for name, text in reference.items()} | outside.pages()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages, so that links to them are checked as all others are."""
    from mkdocs.structure.files import File

    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Leads links to files outside ``docs`` to the pages that show them."""
    path = page.file.src_uri
    return markdown if page.file.generated_by else outside.linked(markdown, f"docs/{path}", path)


def on_post_page(output: str, **_: Any) -> str:
    """Gives the theme's search a name for screen readers."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')
