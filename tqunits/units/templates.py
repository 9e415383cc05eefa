"""The unit templates: the text of each unit, into which units/rendering.py puts values.

They are root's own files, as trusted as the units that they become. So jinja2's sandbox would
protect nobody; and autoescape is for HTML. An undefined name is an error (StrictUndefined).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import jinja2  # noqa: TID251 - this is its door

from tqunits.errors import TqunitsError


class Templates:
    """Templates by name."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._environment = _environment(frozenset(texts.items()))

    def text(self, template: str, values: Mapping[str, object]) -> str:
        """The text of one template with its values. Raises TqunitsError."""
        try:
            return self._environment.get_template(template).render(values)
        except jinja2.TemplateNotFound as error:
            raise TqunitsError(f"the unit template {error} is missing") from None
        except jinja2.TemplateSyntaxError as error:
            raise TqunitsError(f"the unit template {template}, line {error.lineno}: {error.message}") from None
        except jinja2.TemplateError as error:
            raise TqunitsError(f"the unit template {template}: {error.message}") from None


@lru_cache(maxsize=2)
def _environment(texts: frozenset[tuple[str, str]]) -> jinja2.Environment:
    """Compiled templates are kept by their texts: compiling takes ten times as long as
    rendering."""
    return jinja2.Environment(  # noqa: S701 - unit files are not HTML
        loader=jinja2.DictLoader(dict(texts)),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
