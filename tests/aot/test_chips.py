"""Published figures of TPUs, and collective times derived from them."""

import pytest

from inception_jax.aot import chips


def test_link_bandwidth_gives_published_all_reduce_bandwidth():
  # docs.cloud.google.com: 51.2 TB/s of 256 v5e, 102.4 of v6e, 1.1 PB/s of v4.
  pods = {'v5e': 51.2e12, 'v6e': 102.4e12, 'v4': 1.1e15}
  for kind, bandwidth in pods.items():
    chip = chips.CHIPS[kind]
    ours = chip.pod_size * 2 * chip.torus_axes * chip.link_bandwidth
    assert ours == pytest.approx(bandwidth, rel=0.01)


def test_collective_time_is_bytes_over_links_plus_hops():
  v5e, v4 = chips.CHIPS['v5e'], chips.CHIPS['v4']
  reduced = {'all-reduce': {'count': 3, 'bytes': 100_000_000}}
  seconds = lambda *args: pytest.approx(
    chips.collective_seconds(*args), rel=1e-6
  )
  # Axes that wrap have two links and the farthest chip halfway; others one.
  ring = 2 * 255 / 256 * 1e8 / (4 * 50e9) + 3 * 2 * (8 + 8) * 1e-6
  assert ring == seconds(v5e, (16, 16), reduced)
  mixed = 2 * 127 / 128 * 1e8 / (3 * 50e9) + 3 * 2 * (7 + 8) * 1e-6
  assert mixed == seconds(v5e, (8, 16), reduced)
  gathered = {'all-gather': {'count': 1, 'bytes': 100_000_000}}
  line = 7 / 8 * 1e8 / (2 * 50e9) + 2 * (1 + 3) * 1e-6
  assert line == seconds(v5e, (2, 4), gathered)
  cube = 2 * 63 / 64 * 1e8 / (6 * 45e9) + 3 * 2 * 6 * 1e-6
  assert cube == seconds(v4, (4, 4, 4), reduced)
  apart = 2 * 15 / 16 * 1e8 / (3 * 45e9) + 3 * 2 * 5 * 1e-6
  assert apart == seconds(v4, (2, 2, 4), reduced)
  assert chips.collective_seconds(v5e, (1, 1), reduced) == 0


def test_scaling_efficiency_of_8_64_and_256_chips():
  reduced = {'all-reduce': {'count': 1, 'bytes': 100_000_000}}
  for kind, shape in (('v5e', (16, 16)), ('v5p', (4, 8, 8))):
    chip = chips.CHIPS[kind]
    found = chips.scaling_efficiency(chip, 0.1, reduced)
    assert list(found) == ['8', '64', '256']
    exchange = chips.collective_seconds(chip, shape, reduced)
    assert found['256'] == pytest.approx(0.1 / (0.1 + exchange), abs=1e-4)
  assert chips.scaling_efficiency(chip, 0.1, {}) == {'8': 1, '64': 1, '256': 1}
