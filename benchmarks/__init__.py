"""Performance measurements; their results are the .csv files here."""
