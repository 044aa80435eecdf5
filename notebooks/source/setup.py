# @title Preparación: ejecuta esta celda · Set-up: run this cell
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

LANGUAGE = "es"
DATA = ""  # @param {type:"string"}
DRIVE = False  # @param {type:"boolean"}
COURSE = ""
REFS = []

# Where the course is not installed yet, as in Colab and Kaggle, this gets it, once.
if not any(metadata.distributions(name="loralab")):
    advice = "Deja aquí loralab-….whl, o ejecuta «make setup» en una copia del curso"
    advice += " · Put loralab-….whl here, or run make setup in a checkout of the course"
    wheels = [*Path().glob("loralab-*.whl")]
    wheels += Path("/").glob("kaggle/input/**/loralab-*.whl")
    places = [max(wheels).resolve().as_uri()] if wheels else []
    places = places or [f"git+{COURSE}@{ref}" for ref in REFS]
    pip = [sys.executable, "-m", "pip"]
    if "google.colab" in sys.modules or Path("/kaggle").exists():
        subprocess.run([*pip, "uninstall", "-qqy", "torchao"])
    here = [d for name in ("torch", "numpy") for d in metadata.distributions(name=name)]
    pins = Path(tempfile.gettempdir(), "pins.txt")
    pins.write_text("\n".join(f"{d.name}=={d.version}" for d in here))
    for place in places:
        print(place, "→", sys.executable, flush=True)
        command = [*pip, "install", "-c", pins, f"loralab[embedded] @ {place}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if not done.returncode:
            break
    else:
        raise RuntimeError(f"{done.stderr[-900:]}\n{advice}" if places else advice)

from loralab import hand_over, start

profile = start(LANGUAGE, data=DATA, drive=DRIVE)
ENCODER, BASE, SIZES = hand_over(profile)
