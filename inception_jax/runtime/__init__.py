"""What a process needs around its work: command line, signals, watchdog, lock,
hardware, files, progress bars, profiler, metric files.

Nothing that knows networks or data.
"""
