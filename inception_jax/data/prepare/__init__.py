"""Unpacking, building and verifying a dataset before training depends on it.

Nothing that training imports.
"""
