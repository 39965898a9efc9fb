"""Services around a command's work: command line, signals, watchdog, lock,
hardware, files, progress bars, profiler, metric files.

Nothing here knows about networks or data.
"""
