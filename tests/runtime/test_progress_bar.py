from inception_jax.runtime import progress_bar


def test_durations_are_minutes_or_hours_and_seconds():
  assert progress_bar.format_duration(5) == '0:05'
  assert progress_bar.format_duration(3723.4) == '1:02:03'
