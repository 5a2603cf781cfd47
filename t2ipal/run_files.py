"""Where the single files of a run lie: one place for those that write them and those that read them.

The tables are named by their stages; `t2ipal.store` says what lies below them.
"""

# Tuning; the order in which they are written.
PROGRESS = "tune/progress.json"  # which checkpoint is the last, and the log so far
TUNED = "tune/tuned.safetensors"  # the tuned parameters
RESULT = "tune/result.json"  # the log and the thresholds: tuning is done

METRICS = "evaluation/metrics.json"

BUNDLE = "bundle"  # the folder
BUNDLE_CARD, BUNDLE_PARAMETERS = "recognizer.json", "recognizer.safetensors"  # within it
CARD = f"{BUNDLE}/{BUNDLE_CARD}"
