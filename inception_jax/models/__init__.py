"""Networks: tables of stages, the modules built from them, and the card that
describes how images are prepared.

May read only the network's keys of a config; no training, and no files but the
images of `Card.preprocess`.
"""
