"""Folders for the hub; `make parity` loads them by timm."""

import dataclasses
import json

import pytest

from inception_jax.errors import UserError
from inception_jax.export import formats
from inception_jax.weights import exporter
from inception_jax.weights import importer
from inception_jax.weights import model_card

EVALUATION = {
  'top1': 0.5,
  'top5': 0.875,
  'count': 1048,
  'step': 1500,
  'split': 'val`|',
  'protocol': 'single',
  'image_size': 299,
}
FORMAT = formats.FORMATS['hub']


def test_a_folder_has_timms_layout_and_reads_back(tmp_path, timm_v3):
  card = dataclasses.replace(
    timm_v3.card,
    input_size=331,
    mean=(100.0, 110.0, 120.0),
    crop_mode='tf_central',
    interpolation='tf1_bilinear',
    exif='apply',
    background='#102030',
  )
  weights = dataclasses.replace(
    timm_v3, card=card, classes=('cat', '狗'), evaluation=EVALUATION
  )
  exported = FORMAT.without_unsupported(weights)
  path = tmp_path / 'network'
  back = FORMAT.save(exported, str(path), 5)
  assert FORMAT.compare(exported, back) == {'max_abs_diff': 0.0}
  assert exporter.max_abs_diff(exported, importer.load(str(path))) == 0
  assert back.classes == ('cat', '狗', *(f'output {i}' for i in range(2, 7)))
  assert dataclasses.replace(back.card, mean=card.mean) == card
  assert back.card.mean == pytest.approx(card.mean)
  names = [file.name for file in sorted(path.iterdir())]
  assert names == ['README.md', 'config.json', 'model.safetensors']
  assert len({file.stat().st_mode for file in path.iterdir()}) == 1

  config = json.loads((path / 'config.json').read_text())
  pretrained = config.pop('pretrained_cfg')
  assert config == {
    'architecture': 'inception_v3',
    'num_classes': 7,
    'num_features': 2048,
    'global_pool': 'avg',
    'label_names': list(back.classes),
    'inception_jax': {
      'crop_mode': 'tf_central',
      'interpolation': 'tf1_bilinear',
      'exif': 'apply',
      'background': '#102030',
    },
  }
  assert pretrained.pop('mean') == pytest.approx([x / 255 for x in card.mean])
  assert pretrained == {
    'input_size': [3, 331, 331],
    'fixed_input_size': False,
    'interpolation': 'bilinear',
    'crop_pct': 0.875,
    'crop_mode': 'squash',
    'std': [0.5, 0.5, 0.5],
    'num_classes': 7,
    'pool_size': [9, 9],
    'first_conv': 'Conv2d_1a_3x3.conv',
    'classifier': 'fc',
  }
  readme = (path / 'README.md').read_text()
  for text in (
    '---\nlibrary_name: timm\n',
    '| top-1 | 50.00 % |\n| top-5 | 87.50 % |\n| images | 1,048 |\n',
    "| split | `val'/` |",
    'Nothing was measured at 331×331',
    'scores may differ',
  ):
    assert text in readme
  with pytest.raises(UserError, match=r'tools\.predict --checkpoint='):
    formats.load(str(path))

  del config['inception_jax']
  config['pretrained_cfg'] = pretrained | {'crop_mode': 'center'}
  (path / 'config.json').write_text(json.dumps(config))
  assert importer.load(str(path)).card.crop_mode == 'short_side'
  for own in ({'input_size': 'x'}, {'colour': 1}, 5, {'crop_mode': 'border'}):
    (path / 'config.json').write_text(
      json.dumps(config | {'inception_jax': own})
    )
    with pytest.raises(UserError):
      importer.load(str(path))


def test_what_timm_lacks_is_refused(tmp_path, timm_v3):
  network = dataclasses.replace(timm_v3.network, head_batch_norm=True)
  for other in (network, dataclasses.replace(network, name='tiny')):
    weights = dataclasses.replace(timm_v3, network=other)
    with pytest.raises(UserError, match='--format=onnx, stablehlo, savedmodel'):
      FORMAT.save(weights, str(tmp_path / other.name), 5)


@pytest.mark.parametrize(
  'evaluation', [{}, EVALUATION | {'count': 0, 'top1': float('nan')}]
)
def test_nothing_is_invented(timm_v3, evaluation):
  weights = dataclasses.replace(timm_v3, evaluation=evaluation)
  text = model_card.write(weights, {}, True)
  assert 'has recorded no evaluation' in text
  assert 'top-1' not in text
