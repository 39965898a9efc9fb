"""The texts of pages and figures in the language of their reader."""

import re

from inception_jax.report import chinese

LANGUAGES = ('en', 'zh')
_TAGS = {'en': 'en', 'zh': 'zh-CN'}
_CORES = re.compile(r'(\d+) cores of (.*)')


class Translate:
  """Returns texts, which the code has in English, in one language.

  Attributes:
    tag: the language in HTML.
  """

  def __init__(self, language: str):
    self._language, self.tag = language, _TAGS[language]

  def __call__(self, english: str, **values) -> str:
    """Returns the text with `values` in place of its {names}."""
    if self._language == 'en':
      return english.format(**values)
    return chinese.TEXTS[english].format(**values)

  def known(self, text: str) -> str:
    """Returns a text of a record, as it is if it has no translation."""
    if self._language == 'en':
      return text
    if cores := _CORES.fullmatch(text):  # of `hardware.machine`
      return self('{count} cores of {name}', count=cores[1], name=cores[2])
    return chinese.TEXTS.get(text, text)


ENGLISH = Translate('en')
