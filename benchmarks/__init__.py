"""Programs that measure; their ledgers lie beside them."""
