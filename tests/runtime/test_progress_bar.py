import io

from inception_jax.runtime import progress_bar


def test_durations_are_minutes_or_hours_and_seconds():
  assert progress_bar.format_duration(5) == '0:05'
  assert progress_bar.format_duration(3723.4) == '1:02:03'


class Clock:
  """A clock that moves only when it is told to."""

  def __init__(self, monkeypatch):
    self.now = 100.0
    monkeypatch.setattr(progress_bar.time, 'perf_counter', lambda: self.now)

  def take(self, items, seconds):
    for item, duration in zip(items, seconds, strict=True):
      yield item
      self.now += duration


def test_the_time_left_is_without_the_first_item(monkeypatch, caplog):
  clock = Clock(monkeypatch)
  caplog.set_level('INFO', progress_bar.__name__)
  seen = progress_bar.track('abcde', 5, 'reading', 'letters')
  # The caller works after it has got an item, so a letter late.
  assert list(clock.take(seen, [60.0, 3.0, 3.0, 1.0, 9.0])) == list('abcde')
  # Neither at 63 s and 67 s, which is too early, nor at the end.
  assert caplog.messages == [
    'reading: 1 of 5 letters',
    'reading: 3 of 5 letters, 0:06 left',
  ]


class Terminal(io.StringIO):
  def isatty(self):
    return True


def test_the_bar_of_a_terminal_leaves_out_the_first_item(monkeypatch):
  monkeypatch.setattr('sys.stderr', Terminal())
  bar = progress_bar.progress_bar(5, 'reading', 'letters')
  monkeypatch.setattr(progress_bar, 'progress_bar', lambda *_: bar)
  seen = progress_bar.track('abcde', 5, 'reading', 'letters')
  next(seen)
  # The first one has passed, and the bar starts anew.
  next(seen)
  assert (bar.n, bar.initial) == (1, 1)
  assert list(seen) == list('cde')
  assert (bar.n, bar.initial) == (5, 1)


def test_throughput_is_without_the_first_pass(monkeypatch):
  clock = Clock(monkeypatch)
  throughput = progress_bar.Clock()
  clock.now += 60.0
  throughput.count(4)
  assert throughput.per_second(3) == 3 / 60  # there is no other
  clock.now += 2.0
  throughput.count(4)
  assert throughput.per_second(7) == 1.5
