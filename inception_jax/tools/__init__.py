"""User commands only, one a file: flags in, one JSON object out.

No logic that another module needs.
"""
