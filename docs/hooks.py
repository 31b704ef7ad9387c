"""MkDocs calls this for every page. It writes the reference of the commands from the commands themselves."""

from typing import Any

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark by what `typer utils docs` writes, one level of headings lower."""
    if MARK not in markdown:
        return markdown
    import typer
    from typer.cli import get_docs_for_click

    from genrepro.cli import app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="genrepro")
    written = get_docs_for_click(obj=command, ctx=context, name="genrepro")
    return markdown.replace(MARK, written.replace("\n#", "\n##"))
