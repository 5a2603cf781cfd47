"""The only place that knows Ray Data and Ray Train: one thin adapter per stage."""
