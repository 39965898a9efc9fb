"""All config keys with their defaults: inception_jax/config/defaults.py."""

from inception_jax.config.defaults import get_config

__all__ = ['get_config']
