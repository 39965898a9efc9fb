"""The training loop and its parts: state, step, optimizer, schedules, loss
scale, divergence, progress.

Nothing about file formats.
"""
