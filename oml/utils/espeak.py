"""
Speech of the synthesiser espeak-ng, through its library.

What the library says depends on what it said before (its waverings and noises go on), so each call of `synthesise`
lets a fresh process speak: then the same list gives the same sounds.
"""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from ctypes.util import find_library
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SAMPLE_RATE = 22050  # hertz, of all its voices
ACCENTS = {  # name -> what the library calls it
    "american": "en-us",
    "british": "en",
    "caribbean": "en-029",
    "lancaster": "en-gb-x-gbclan",
    "midlands": "en-gb-x-gbcwmd",
    "new-york": "en-us-nyc",
    "received": "en-gb-x-rp",
    "scottish": "en-gb-scotland",
}

# Constants of espeak-ng's header speak_lib.h
_SYNCHRONOUS, _DONT_EXIT, _UTF8, _RATE, _PITCH = 2, 0x8000, 1, 1, 3


class Utterance(NamedTuple):
    """
    What is to be said, and how.

    Attributes:
        voice: One of `find_voices`.
        accent: One of `ACCENTS`.
        text: English words.
        pitch: From 0 to 99.
        speed: Words per minute, from 80 to 450.

    """

    voice: str
    accent: str
    text: str
    pitch: int
    speed: int


def find_voices() -> list[str]:
    """
    Give the names of the voices of the installed espeak-ng, sorted: about a hundred.

    Raises:
        OSError: it is not installed.

    """
    library, data = load_espeak(), ctypes.c_char_p()
    library.espeak_Info.restype = ctypes.c_char_p
    library.espeak_Initialize(_SYNCHRONOUS, 0, None, _DONT_EXIT)
    library.espeak_Info(ctypes.byref(data))
    return sorted(path.name for path in Path(os.fsdecode(data.value or b""), "voices", "!v").iterdir())


def load_espeak() -> Any:
    """
    Load the library.

    Raises:
        OSError: it is not installed; the message says how to install it.

    """
    name = find_library("espeak-ng")
    if name is None:
        raise OSError(
            "Speech needs espeak-ng: `apt-get install espeak-ng` on Debian and Ubuntu, `brew install espeak-ng` on "
            "macOS, or the same from the package manager of your system."
        )
    return ctypes.CDLL(name)


def synthesise(utterances: Sequence[Utterance]) -> list[np.ndarray]:
    """
    Give the sound of each utterance: samples (frames,), int16, at 22050 Hz.

    The same list gives the same samples wherever the version of espeak-ng is the same.

    Raises:
        OSError: espeak-ng is not installed, or does not know a voice.

    """
    load_espeak()  # its absence shows here, with a message of its own
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    speaker = subprocess.run(
        [sys.executable, "-m", "oml.utils.espeak"],
        input=json.dumps(utterances).encode(),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    if speaker.returncode:
        raise OSError(f"espeak-ng failed: {speaker.stderr.decode(errors='replace').strip() or speaker.returncode}")
    n = len(utterances)
    lengths = np.frombuffer(speaker.stdout, dtype="<i8", count=n)
    return np.split(np.frombuffer(speaker.stdout, dtype="<i2", offset=8 * n), np.cumsum(lengths)[:-1]) if n else []


def _speak(utterances: Sequence[Utterance]) -> list[np.ndarray]:
    voices = set(find_voices())  # the library itself would take another one for an unknown one
    library = load_espeak()
    blocks: list[np.ndarray] = []

    def receive(samples: Any, n_samples: int, events: Any) -> int:
        if samples and n_samples > 0:
            blocks.append(np.ctypeslib.as_array(samples, shape=(n_samples,)).astype("<i2"))
        return 0  # go on

    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    callback = kind(receive)  # a name of its own: the library keeps the address only
    library.espeak_SetSynthCallback(callback)
    sounds = []
    for utterance in utterances:
        voice = f"{ACCENTS[utterance.accent]}+{utterance.voice}"
        if utterance.voice not in voices or library.espeak_SetVoiceByName(voice.encode()):
            raise OSError(f"it has no voice {voice!r}.")
        library.espeak_SetParameter(_RATE, utterance.speed, 0)
        library.espeak_SetParameter(_PITCH, utterance.pitch, 0)
        text = utterance.text.encode()
        library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        sounds.append(np.concatenate(blocks) if blocks else np.zeros(0, dtype="<i2"))
        blocks.clear()
    return sounds


def _main() -> None:
    try:
        sounds = _speak([Utterance(*values) for values in json.load(sys.stdin)])
    except OSError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(np.array([len(sound) for sound in sounds], dtype="<i8").tobytes())
    for sound in sounds:
        sys.stdout.buffer.write(sound.tobytes())


if __name__ == "__main__":
    _main()
