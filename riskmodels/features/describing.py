"""A feature set as a table that people read."""

from riskmodels.features.feature_set import FeatureSet
from riskmodels.features.spec import LookBack, Score, Static

__all__ = ["markdown_table"]


def markdown_table(feature_set: FeatureSet) -> str:
    """Return a Markdown table with a row for each specification of a set.

    Columns of one specification differ only by window and group: their names are written with ``{window}``
    and ``{group}``.
    """
    lines = ["| columns | what they hold | windows | role | number |", "|---|---|---|---|---|"]
    for spec in feature_set.specs:
        columns = FeatureSet("one", [spec], feature_set.groupers).every_column
        name, label, windows = columns[0].name, columns[0].label, ""
        if isinstance(spec, LookBack):
            name, label = _pattern(spec)
            windows = ", ".join(str(window) for window in spec.windows)
            if windows != "stay":
                windows += f" before {spec.anchor}"
        elif isinstance(spec, Score):
            name = ", ".join(column.name for column in columns)
            label = columns[0].source
        kind = " (category)" if isinstance(spec, Static) and columns[0].kind == "category" else ""
        lines.append(f"| `{name}` | {label}{kind} | {windows} | {spec.role} | {len(columns)} |")
    return "\n".join(lines) + "\n"


def _pattern(spec: LookBack) -> tuple[str, str]:
    name = spec.stem
    if len(spec.windows) > 1 and "{" not in name:
        name += "_{window}"
    if getattr(spec.source, "each", False) and "{group}" not in name:
        name += "_{group}"
    label = spec.label or f"{spec.phrase}{' or '.join(spec.source.kinds)}"
    grouper = getattr(spec.source, "grouper", None)
    return name, f"{label.rstrip(',')}, groups of `{grouper}`" if grouper else label.rstrip(",")
