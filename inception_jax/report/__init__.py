"""What a person is shown of a run: figures, intervals, one page."""
