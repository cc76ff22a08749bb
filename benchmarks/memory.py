"""The most memory that this process held at once (Linux), for benchmarks that tell what a call takes."""

from pathlib import Path


def reset_peak_memory() -> int:
    """Make the peak begin anew from what the process holds now, and give that, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return read_memory("VmRSS")


def read_peak_memory() -> int:
    """Give the peak resident size in bytes."""
    return read_memory("VmHWM")


def read_memory(field: str) -> int:
    """Give a line of the process's status, such as `VmRSS`, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split(f"{field}:")[1].split()[0])
