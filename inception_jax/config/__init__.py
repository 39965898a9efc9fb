"""Every config key, its checks, durations, and configs as JSON.

Knows nothing of networks or data; nothing here imports JAX.
"""
