"""Measuring recognizers: metrics, thresholds, test sets and the report."""
