"""Renders the pages' templates; whatever they show is escaped."""

import os

from inception_jax import extras
from inception_jax.errors import printable


def render(name: str, **values) -> str:
  """Returns a page as HTML."""
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
  return environment.get_template(name).render(**values)
