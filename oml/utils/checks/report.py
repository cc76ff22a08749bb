"""What a check of a data set has found, as an object, as text and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oml.utils.format_violations import FormatViolation


@dataclass(frozen=True)
class DatasetReport:
    """
    What a check of a data set has found.

    Attributes:
        n_rows: The number of rows of the table.
        summary: Numbers about the data set: items and labels of each split, and so on.
        findings: All that is wrong, or suspect (`is_error` is False), each with all its rows.

    """

    n_rows: int
    summary: dict[str, Any] = field(default_factory=dict)
    findings: list[FormatViolation] = field(default_factory=list)

    @property
    def errors(self) -> list[FormatViolation]:
        """Findings that break a rule or would break a training."""
        return [finding for finding in self.findings if finding.is_error]

    @property
    def warnings(self) -> list[FormatViolation]:
        """Findings that are allowed, but suspect."""
        return [finding for finding in self.findings if not finding.is_error]

    def get_rows(self, rule: str) -> list[int]:
        """Give all rows that findings of a rule name, ascending."""
        rows = [finding.rows for finding in self.findings if finding.rule == rule]
        return np.unique(np.concatenate(rows)).tolist() if rows else []

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values, for JSON."""
        findings = [
            {
                "rule": finding.rule,
                "is_error": finding.is_error,
                "columns": list(finding.columns),
                "rows": finding.rows.tolist(),
                "message": finding.message,
            }
            for finding in self.findings
        ]
        counts = {"n_rows": self.n_rows, "n_errors": len(self.errors), "n_warnings": len(self.warnings)}
        return {**counts, "summary": self.summary, "findings": findings}

    def __str__(self) -> str:
        lines = [f"{self.n_rows} rows: {len(self.errors)} errors, {len(self.warnings)} warnings."]
        lines += [f"  {name}: {value}" for name, value in self.summary.items()]
        for finding in self.errors + self.warnings:
            lines.append(f"\n{'ERROR' if finding.is_error else 'warning'} [{finding.rule}] {finding.message}")
            if len(finding.rows):
                lines.append(f"  all rows: {show_ranges(finding.rows)}")
        return "\n".join(lines)


def show_ranges(rows: Sequence[int] | np.ndarray) -> str:
    """
    Write ascending numbers as ranges.

    Example:
        >>> show_ranges([0, 1, 2, 5, 7, 8])
        '0-2, 5, 7-8'

    """
    values = np.asarray(rows)
    if len(values) == 0:
        return ""
    starts = np.flatnonzero(np.diff(values, prepend=values[0] - 2) > 1)
    ends = np.append(starts[1:], len(values)) - 1
    pairs = zip(values[starts].tolist(), values[ends].tolist(), strict=True)
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs)
