"""Unpacking, building and verifying a dataset before a training depends on it.

Nothing a training imports.
"""
