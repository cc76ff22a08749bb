"""Who belongs to whom, by loops."""


def find_same_by_loop(labels: list, ref_labels: list) -> list[list[bool]]:
    """Labels are integers, or sets of anything."""
    return [[bool(set(a) & set(b)) if isinstance(a, set) else a == b for b in ref_labels] for a in labels]
