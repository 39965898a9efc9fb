"""launch/jobset.yaml and the image that it runs."""

import json
import math

import jsonschema
import pytest
import yaml

from tests.support.launching import ROOT
from tests.support.launching import unknown_flags

SCHEMA = ROOT / 'tests' / 'schemas' / 'jobset-v0.12.0.json'


@pytest.fixture(scope='module')
def jobset():
  return yaml.safe_load((ROOT / 'launch/jobset.yaml').read_text())


def closed(schema):
  """The schema, with no fields but its own: kubectl drops the others."""
  if isinstance(schema, list):
    return [closed(each) for each in schema]
  if not isinstance(schema, dict):
    return schema
  if 'properties' in schema:
    fields = {k: closed(v) for k, v in schema['properties'].items()}
    rest = {k: closed(v) for k, v in schema.items() if k != 'properties'}
    return {**rest, 'properties': fields, 'additionalProperties': False}
  return {k: closed(v) for k, v in schema.items()}


def test_jobset_is_what_its_schema_says(jobset):
  schema = closed(json.loads(SCHEMA.read_text()))
  jsonschema.Draft202012Validator(schema).validate(jobset)


def test_jobset_fills_its_slices(jobset):
  (group,) = jobset['spec']['replicatedJobs']
  job = group['template']['spec']
  pod = job['template']['spec']
  (container,) = pod['containers']
  topology = pod['nodeSelector']['cloud.google.com/gke-tpu-topology']
  chips = container['resources']['limits']['google.com/tpu']
  assert job['completionMode'] == 'Indexed'
  assert job['parallelism'] == job['completions']
  assert chips * job['parallelism'] == math.prod(map(int, topology.split('x')))
  assert container['resources']['requests'] == container['resources']['limits']


def test_jobset_has_flags_of_main(jobset):
  (group,) = jobset['spec']['replicatedJobs']
  pod = group['template']['spec']['template']['spec']
  assert not unknown_flags(pod['containers'][0]['args'])


def test_jobset_starts_again_after_all_but_1_and_2(jobset):
  policy = jobset['spec']['failurePolicy']
  job = jobset['spec']['replicatedJobs'][0]['template']['spec']
  pod = job['template']['spec']
  assert 0 < policy['maxRestarts'] < 100
  # What no rule is for restarts them all, and counts.
  (rule,) = policy['rules']
  assert rule['action'] == 'FailJobSet'
  assert rule['onJobFailureReasons'] == ['PodFailurePolicy']
  (failing,) = job['podFailurePolicy']['rules']
  assert failing['action'] == 'FailJob'
  codes = failing['onExitCodes']
  assert (codes['operator'], codes['values']) == ('In', [1, 2])
  assert codes['containerName'] == pod['containers'][0]['name']
  # Kubernetes takes a podFailurePolicy with this alone.
  assert pod['restartPolicy'] == 'Never'
  assert job['backoffLimit'] == 0
  assert pod['terminationGracePeriodSeconds'] >= 120


def test_image_has_the_libtpu_that_jax_asks_for():
  from importlib import metadata

  from packaging.requirements import Requirement

  docker = (ROOT / 'launch/Dockerfile').read_text()
  (pin,) = [word for word in docker.split() if word.startswith('libtpu==')]
  (asked,) = [
    requirement
    for requirement in map(Requirement, metadata.requires('jax'))
    if requirement.name == 'libtpu'
    and requirement.marker.evaluate({'extra': 'tpu'})
  ]
  assert asked.specifier.contains(pin.removeprefix('libtpu=='))
