"""The catalog of networks, and the README's table of them."""

import re

import jax
import jax.numpy as jnp
import pytest

import inception_jax
from inception_jax.models import architectures
from tests.support import pages
from tests.support.commands import ROOT

# Other tests add networks of their own.
NAMES = [x for x in architectures.ARCHITECTURES if not x.startswith('tin')]
_ACCURACY = re.compile(
  r'([\d.]+)(?:, ([\d.]+))?(?: on (\S+))?'
  r'(?: \((?:\[(?P<source>\w+)\]\((?P<url>\S+)\)|(?P<name>\w+))\))?'
)
_FRAMEWORKS = {"TensorFlow's graph of 2015": 'TensorFlow'}


def rows(page):
  """Returns {network: the other cells} of a README's table."""
  found = {}
  for line in page.read_text().splitlines():
    if match := re.match(r'\| `(\w+)` \| (\d+)×\d+ \| (.*) \|$', line):
      found[match[1]] = [match[2], *map(str.strip, match[3].split('|'))]
  return found


def test_the_readmes_have_every_network():
  for page in pages.PAIRS[0]:
    assert list(rows(page)) == NAMES


@pytest.mark.parametrize('name', NAMES)
def test_the_readme_has_the_figures_of_the_catalog(name):
  info = inception_jax.model_info(name)
  size, parameters, flops, accuracies, frameworks = rows(ROOT / 'README.md')[
    name
  ]
  counts = [info.parameters, info.parameters_with_aux_head]
  assert parameters == ', '.join(f'{n:,}' for n in counts if n)
  assert int(size) == info.input_size == info.card.input_size
  assert flops == f'{info.flops / 1e9:.1f} G'
  names = [x.strip() for x in frameworks.split(',')]
  names = {_FRAMEWORKS.get(x, x) for x in names}
  assert names == set(info.weights)
  stated = [x for x in accuracies.split('; ') if x.strip()]
  assert len(stated) == len(info.accuracies)
  for text, accuracy in zip(stated, info.accuracies, strict=True):
    match = _ACCURACY.fullmatch(text.strip())
    top1, top5, dataset = match.groups()[:3]
    assert float(top1) == accuracy.top1
    assert (float(top5) if top5 else None) == accuracy.top5
    assert (dataset or 'ImageNet-1k') == accuracy.dataset
    source = match['source'] or match['name']
    assert source in (None, accuracy.source)
    assert match['url'] in (None, accuracy.url)


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_parameters_and_flops_are_those_of_the_network(name):
  info = inception_jax.model_info(name)
  shape = (1, *info.card.image_shape)
  images = jax.ShapeDtypeStruct(shape, jnp.float32)
  for stated, aux_head in (
    (info.parameters, False),
    (info.parameters_with_aux_head, True),
  ):
    if stated is None:
      with pytest.raises(inception_jax.UserError, match='no auxiliary head'):
        inception_jax.create_model(name, info.num_classes, aux_head=aux_head)
      continue
    model = inception_jax.create_model(
      name, info.num_classes, aux_head=aux_head
    )
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    assert sum(x.size for x in jax.tree.leaves(shapes['params'])) == stated
    if not aux_head:
      lowered = jax.jit(model.apply).lower(shapes, images)
      counted = lowered.cost_analysis()['flops']
      assert f'{counted / 1e9:.1f}' == f'{info.flops / 1e9:.1f}'
      assert tuple(name for name, _ in model.table) == info.stages


def test_networks_are_listed_by_pattern_and_by_weights():
  known = [x for x in inception_jax.list_models() if x in NAMES]
  assert known == NAMES
  cifar = ['cifar_inception_v3', 'cifar_inception_v4']
  cifar += ['cifar_inception_resnet_v2']
  assert inception_jax.list_models('cifar_*') == cifar
  patterns = ['*_v4', 'fid*']
  assert inception_jax.list_models(patterns) == [
    'inception_v4',
    'fid_inception_v3',
    'cifar_inception_v4',
  ]
  keras = ['inception_v3', 'inception_resnet_v2']
  assert inception_jax.list_models(weights='Keras') == keras
  assert inception_jax.list_models('*_v4', weights='Keras') == []
  assert inception_jax.list_models('vit_*') == []


def test_unknown_names_are_refused_with_those_that_exist():
  with pytest.raises(inception_jax.UserError, match='one of inception_v3, '):
    inception_jax.model_info('inception_v5')
  with pytest.raises(inception_jax.UserError, match='one of timm, '):
    inception_jax.list_models(weights='keras')
