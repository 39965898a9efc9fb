"""Networks as files that other programs run, one module a format, each with its metadata and compared with the network it came from."""
