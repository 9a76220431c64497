"""Pages as one HTML file that needs nothing else: no network, no script."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined


def _template(name: str) -> str:
    # Read as a resource, so that it is found in a zip of --py-files too.
    return resources.files("jobs.pages").joinpath(f"templates/{name}").read_text(encoding="utf-8")


def render(template: str, **values: object) -> str:
    """The page. Everything that comes from data is escaped; a value that the template misses is an error."""
    pages = Environment(
        loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return pages.get_template(template).render(**values)
