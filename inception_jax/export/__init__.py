"""Networks as files that other programs run; `formats` lists the formats.

Every file holds the network's metadata and is compared with the network.
"""
