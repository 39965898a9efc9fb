"""URLs of buckets in messages, in place of the local paths for them."""

_urls: dict[str, str] = {}


def stands_for(path: str, url: str) -> None:
  """Lets `named` write a URL for a local path."""
  _urls[path] = url


def named(text: str) -> str:
  """Returns a message with URLs in place of the local paths."""
  for path in sorted(_urls, key=len, reverse=True):
    text = text.replace(path, _urls[path])
  return text
