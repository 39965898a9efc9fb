from inception_jax.runtime import progress_bar


def test_durations_are_minutes_or_hours_and_seconds():
  assert progress_bar.format_duration(5) == '0:05'
  assert progress_bar.format_duration(3723.4) == '1:02:03'


def test_without_a_terminal_progress_is_logged(monkeypatch, caplog):
  times = iter([0.0, 4.0, 6.0, 8.0, 12.0])
  monkeypatch.setattr(progress_bar.time, 'perf_counter', lambda: next(times))
  caplog.set_level('INFO', progress_bar.__name__)
  seen = progress_bar.track('abcd', 4, 'reading', 'letters')
  assert list(seen) == list('abcd')
  # Not at 4 s and 8 s, which is too early, nor at the end.
  assert caplog.messages == ['reading: 2 of 4 letters, 0:06 left']
