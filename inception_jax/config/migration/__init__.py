"""YAML files of MindSpore's and MindCV's Inception networks, as recipes.

A key is mapped to keys of this package, has no counterpart and changes nothing
that is trained, or is refused. Other frameworks' weights are in `weights`.
"""
