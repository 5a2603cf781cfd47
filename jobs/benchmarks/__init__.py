"""What jobs/benchmark.py measures: a file for each of its commands, and what they share."""
