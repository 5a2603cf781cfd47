"""What the README says about clusters."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def readme_exports() -> dict[str, str]:
    """Return the variables that the README sets before it starts a head."""
    _, _, section = (ROOT / "README.md").read_text().partition("\n## On a cluster\n")
    before, _, _ = section.partition("ray start --head")
    lines = re.findall(r"^    export (.*?)(?:  +#.*)?$", before, re.MULTILINE)
    found = dict(word.split("=", 1) for line in lines for word in line.split())
    assert found["RAY_AUTH_MODE"] == "token"
    return found
