"""A warning that a criterion gives once."""

import warnings


class WarnOnce:
    """
    Gives a warning the first time it is called, and is silent later.

    Example:
        >>> warn = WarnOnce("The batch is empty.")
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn()
        ...     warn()
        >>> [str(warning.message) for warning in caught]
        ['The batch is empty. This is said once.']

    """

    def __init__(self, message: str) -> None:
        self.message = message
        self.is_said = False

    def __call__(self, stacklevel: int = 2) -> None:
        """Give the warning if it is still to be given, in the name of the caller's caller at `stacklevel` 2."""
        if not self.is_said:
            self.is_said = True
            warnings.warn(f"{self.message} This is said once.", stacklevel=stacklevel + 1)
