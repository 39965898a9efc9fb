"""Renders the pages' templates; whatever they show is escaped."""

import os

from inception_jax import extras
from inception_jax.errors import printable
from inception_jax.report import language


def render(
  name: str,
  translate: language.Translate = language.ENGLISH,
  **values,
) -> str:
  """Returns a page as HTML, its texts those of `translate`."""
  with extras.imports():
    import jinja2

  def finalize(value):
    is_name = isinstance(value, str) and not hasattr(value, '__html__')
    return printable(value, len(value)) if is_name else value

  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(os.path.dirname(__file__)),
    autoescape=True,
    finalize=finalize,
    trim_blocks=True,
    undefined=jinja2.StrictUndefined,
  )
  return environment.get_template(name).render(_=translate, **values)
