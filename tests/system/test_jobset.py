"""launch/jobset.yaml."""

import json
import math

import jsonschema
import pytest
import yaml

from inception_jax.distributed import connection
from tests.support.launching import ROOT
from tests.support.launching import unknown_flags

SCHEMA = ROOT / 'tests' / 'system' / 'schemas' / 'jobset-v0.12.0.json'


@pytest.fixture(scope='module')
def jobset():
  return yaml.safe_load((ROOT / 'launch/jobset.yaml').read_text())


def closed(schema):
  """The schema without additional fields, which kubectl would drop."""
  if isinstance(schema, list):
    return [closed(each) for each in schema]
  if not isinstance(schema, dict):
    return schema
  if 'properties' in schema:
    fields = {k: closed(v) for k, v in schema['properties'].items()}
    rest = {k: closed(v) for k, v in schema.items() if k != 'properties'}
    return {**rest, 'properties': fields, 'additionalProperties': False}
  return {k: closed(v) for k, v in schema.items()}


def test_jobset_matches_its_schema(jobset):
  schema = closed(json.loads(SCHEMA.read_text()))
  jsonschema.Draft202012Validator(schema).validate(jobset)


def test_jobset_uses_every_chip_of_a_slice(jobset):
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


def test_jobset_uses_only_flags_of_main(jobset):
  (group,) = jobset['spec']['replicatedJobs']
  pod = group['template']['spec']['template']['spec']
  assert not unknown_flags(pod['containers'][0]['args'])


def test_jobset_restarts_after_every_status_but_1_and_2(jobset):
  policy = jobset['spec']['failurePolicy']
  job = jobset['spec']['replicatedJobs'][0]['template']['spec']
  pod = job['template']['spec']
  assert 0 < policy['maxRestarts'] < 100
  # Without a rule, all pods restart, and maxRestarts counts it.
  (rule,) = policy['rules']
  assert rule['action'] == 'FailJobSet'
  assert rule['onJobFailureReasons'] == ['PodFailurePolicy']
  (failing,) = job['podFailurePolicy']['rules']
  assert failing['action'] == 'FailJob'
  codes = failing['onExitCodes']
  assert (codes['operator'], codes['values']) == ('In', [1, 2])
  assert codes['containerName'] == pod['containers'][0]['name']
  # podFailurePolicy requires this.
  assert pod['restartPolicy'] == 'Never'
  assert job['backoffLimit'] == 0
  assert pod['terminationGracePeriodSeconds'] >= 120


def test_jobset_gives_its_pods_a_token(jobset):
  (group,) = jobset['spec']['replicatedJobs']
  pod = group['template']['spec']['template']['spec']
  (variable,) = pod['containers'][0]['env']
  assert variable['name'] == connection.TOKEN
  field = variable['valueFrom']['fieldRef']['fieldPath']
  assert field == "metadata.labels['jobset.sigs.k8s.io/jobset-uid']"
