"""What is measured against: each program runs in an environment of its own."""
