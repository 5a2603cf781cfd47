"""Which steps of tuning are measured, and how large; without importing torch."""

from dataclasses import dataclass

from t2ipal.method_settings import MethodsSettings

# The figure's name -> the method, and which of its phases.
STEPS = {"tai_dpt": ("tai_dpt", 0), "pvp_pretrain": ("pvp", 0), "pvp": ("pvp", 1), "t2i_pal": ("t2i_pal", 0)}


@dataclass(frozen=True)
class Size:
    """How large a step is."""

    classes: int
    batch: int
    model: str = "RN50"
    """A model of open_clip; its weights are drawn."""
    context: int = 16

    def __str__(self) -> str:
        return f"{self.model}, {self.classes} classes, batch {self.batch}"

    @property
    def settings(self) -> MethodsSettings:
        """The methods' defaults, but for the length of the context."""
        sections = {name: {"context": self.context} for name in ("tai_dpt", "t2i_pal", "pvp")}
        return MethodsSettings.model_validate(sections)
