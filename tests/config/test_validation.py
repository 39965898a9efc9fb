"""Range checks of the keys that concern the run as a whole."""

from configs import default
from inception_jax.config import durations
from inception_jax.config import validation
from inception_jax.training import loss_scale


def test_all_faults_are_reported_at_once():
  config = default.get_config()
  config.batch_size = 0
  config.label_smoothing = 1.0
  config.train_for = '90'
  config.eval_every = '0 steps'
  config.schedule.warmup = 'five epochs'
  config.ema_decay = -0.1
  config.loss_scale = 1024.0
  faults = validation.check(config) + durations.check(config)
  faults += loss_scale.check(config)
  for key in (
    'batch_size=0',
    'label_smoothing=1.0',
    "train_for='90'",
    "eval_every='0 steps'",
    "schedule.warmup='five epochs'",
    'ema_decay=-0.1',
    'loss_scale=1024.0: only precision=float16 uses one',
  ):
    assert sum(fault.startswith(key) for fault in faults) == 1, key
  assert len(faults) == 7
