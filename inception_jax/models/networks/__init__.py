"""One table a network, as it was published.

Data only: the modules that walk the tables are one folder up.
"""
