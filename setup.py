"""Puts the recipes of configs/ into the package; the rest: pyproject.toml."""

from setuptools import find_packages
from setuptools import setup

RECIPES = 'inception_jax.recipes'
setup(
  packages=[*find_packages(include=['inception_jax*']), RECIPES],
  package_dir={RECIPES: 'configs'},
)
