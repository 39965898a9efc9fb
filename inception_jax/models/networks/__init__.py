"""One table per network, as published.

Data only: the modules that the tables become are one folder up.
"""
