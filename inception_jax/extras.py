"""Optional packages, and the extra of this package that installs each.

pyproject.toml has the extras; training and evaluation need none of them.
"""

from collections.abc import Iterator
import contextlib
import importlib.util

from inception_jax.errors import UserError

# Module that is imported → extra.
EXTRAS = {
  'ai_edge_litert': 'export',
  'h5py': 'keras',
  'huggingface_hub': 'hub',
  'jax2onnx': 'export',
  'jinja2': 'report',
  'matplotlib': 'report',
  'onnx': 'export',
  'onnxruntime': 'export',
}


def missing(*modules: str) -> list[str]:
  """Returns a line for each extra that some of `modules` need, if any."""
  absent: dict[str, list[str]] = {}
  for module in modules:
    if not _is_installed(module):
      absent.setdefault(EXTRAS[module], []).append(module)
  return [_line(extra, names) for extra, names in absent.items()]


@contextlib.contextmanager
def imports() -> Iterator[None]:
  """For imports of optional packages: of a missing one, a UserError tells.

  with extras.imports():
    import onnx
  """
  try:
    yield
  except ModuleNotFoundError as error:
    module = (error.name or '').partition('.')[0]
    if module not in EXTRAS:
      raise
    raise UserError(_line(EXTRAS[module], [module])) from error


def _is_installed(module: str) -> bool:
  try:
    return importlib.util.find_spec(module) is not None
  except (ModuleNotFoundError, ValueError):
    return False


def _line(extra: str, modules: list[str]) -> str:
  verb = 'is' if len(modules) == 1 else 'are'
  return (
    f'{", ".join(modules)} {verb} not installed: '
    f"pip install 'inception-jax[{extra}]'"
  )
