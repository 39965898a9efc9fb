import zipfile

from inception_jax.export import formats


def test_stablehlo_is_for_every_platform(weights, tmp_path):
  from jax import export

  path = tmp_path / 'x.stablehlo'
  formats.FORMATS['stablehlo'].save(weights, str(path), 5)
  with zipfile.ZipFile(path) as file:
    module = export.deserialize(bytearray(file.read('module.bin')))
  assert set(module.platforms) == {'cpu', 'cuda', 'tpu'}
