"""Where the single files of a run lie: one place for those that write them and those that read them.

The tables are named by their stages; `t2ipal.store` says what lies below them.
"""

RATES = "rates.json"  # what each stage really took, in each run of it

SHEETS = "sheets"  # the folder of contact sheets

TUNE = "tune"  # the folder of tuning; `t2ipal.tuning.trial` names the files in it

# Beside the table of captions; its readers pass over names with an underscore.
CAPTION_PRIOR = "captions/_prior.json"
CAPTION_REPORT = "captions/_report.json"
CAPTION_DRAFTS = "captions/_drafts"  # the folder; gone when the captions are finished

EVALUATION = "evaluation"  # the folder of figures and predictions
METRICS = f"{EVALUATION}/metrics.json"
PREDICTIONS = f"{EVALUATION}/predictions"  # the table, one shard per method

BUNDLE = "bundle"  # the folder
BUNDLE_CARD, BUNDLE_PARAMETERS = "recognizer.json", "recognizer.safetensors"  # within it
CARD = f"{BUNDLE}/{BUNDLE_CARD}"

REPORT = "report"  # the folder
REPORT_PAGE = f"{REPORT}/index.html"  # what the run made and how good it is, for people

RAY_NOTES = "ray"  # the folder of Ray's own notes, in that of tuning, and in that of a sweep

DEPLOY = "deploy"  # the folder
ANSWER = f"{DEPLOY}/answer.json"  # what the endpoint said about one image
