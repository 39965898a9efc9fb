"""Config keys and defaults, range checks, durations, and configs as JSON.

Knows nothing about networks or data; nothing here imports JAX.
"""
