"""The learning rates of MindCV's configs."""

from inception_jax.config.migration import migration as lib
from inception_jax.config.migration.migration import Migration


def migrate(m: Migration) -> None:
  """Maps, drops or refuses the keys of the schedule."""
  rate, first = m.get('lr', lib.number), m.get('warmup_factor', lib.number)
  warmup = m.get('warmup_epochs', lib.number)
  falls = m.get('decay_epochs', lib.number)
  whole = m.get('epoch_size', lib.number)
  if None in (rate, first, warmup, falls, whole):
    return  # refused
  m.map('schedule.init_learning_rate', rate * first, 'lr', 'warmup_factor')
  name, stair = (
    m.get('scheduler', lib.text),
    bool(m.values.get('lr_epoch_stair')),
  )
  uses = {'lr_epoch_stair'}
  match name:
    case 'cosine_decay' | 'warmup_cosine_decay':
      uses |= {'min_lr', 'decay_epochs'}
      m.map('schedule.name', 'cosine', 'scheduler', 'decay_epochs')
      m.map('schedule.end_learning_rate', m.get('min_lr', lib.number), 'min_lr')
      if warmup + falls != whole:
        m.refuse(
          'decay_epochs',
          f'a cosine falls to the end: epoch_size - warmup_epochs is '
          f'{whole - warmup:g}',
        )
      if stair:
        m.refuse('lr_epoch_stair', 'a cosine falls with every step')
    case 'constant':
      m.map('schedule.name', 'constant', 'scheduler')
    case 'exponential_decay' if not warmup:
      uses |= {'decay_rate'}
      m.map('schedule.name', 'exponential', 'scheduler')
      m.map('schedule.decay_every', '1 epoch', 'scheduler')
      m.map('schedule.staircase', stair, 'lr_epoch_stair')
      _decay_rate(m)
    case 'step_decay' | 'multi_step_decay':
      _milestones(m, name, warmup, falls, whole)
      uses |= {'decay_rate', 'decay_epochs', 'multi_step_decay_milestones'}
    case _:
      m.refuse(
        'scheduler',
        'expected cosine_decay, step_decay, multi_step_decay, constant, or '
        'exponential_decay without warmup_epochs',
      )
  for key in (
    *('min_lr', 'decay_epochs', 'decay_rate', 'multi_step_decay_milestones'),
    'lr_epoch_stair',
  ):
    if key not in uses:
      m.drop(key, f'unused by {name}')
  if not stair:
    m.drop('lr_epoch_stair', 'off')


def _decay_rate(m: Migration) -> None:
  m.map('schedule.decay_rate', m.get('decay_rate', lib.number), 'decay_rate')


def _milestones(
  m: Migration, name: str, warmup: float, falls: float, whole: float
) -> None:
  """Maps decays in steps, which count from the end of the warm-up."""
  key = 'multi_step_decay_milestones'
  if name == 'step_decay':
    key = 'decay_epochs'
    count = int((whole - warmup) // falls) if falls >= 1 else 0
    at = [falls * i for i in range(1, min(count, 1000) + 1)]
    m.drop('multi_step_decay_milestones', 'unused by step_decay')
  else:
    at = m.values.get(key, [30, 60, 90])
    at = m.get(key, lib.numbers(len(at))) if isinstance(at, list) else None
    at = [30, 60, 90] if key not in m.values else at
    m.drop('decay_epochs', 'unused by multi_step_decay')
  if at is None:
    m.refuse(key, 'expected a list of epochs')
    return
  m.map('schedule.name', 'multi_step', 'scheduler')
  milestones = tuple(lib.epochs(warmup + epoch) for epoch in sorted(at))
  m.map('schedule.milestones', milestones, key, 'warmup_epochs')
  _decay_rate(m)
