"""Networks as tables of stages and the modules that walk them, and the card
that says how their images are prepared.

No config resolution beyond the network's own keys, no training, no files.
"""
