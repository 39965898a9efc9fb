"""Config keys and defaults, range checks, durations, JSON, others' configs.

Knows nothing about networks or data; nothing here imports JAX.
"""
