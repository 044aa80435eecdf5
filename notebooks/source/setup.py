import subprocess
import sys
from importlib import metadata
from pathlib import Path

LANGUAGE = "es"
DATA = ""  # @param {type:"string"}
DRIVE = False  # @param {type:"boolean"}
COURSE = ""

# In Colab, this gets the course, once. Elsewhere it does nothing.
if "google.colab" in sys.modules and not any(metadata.distributions(name="loralab")):
    advice = "Sube loralab-….whl y repite la celda · Upload loralab-….whl and run again"
    wheels = [path.resolve().as_uri() for path in Path().glob("loralab-*.whl")]
    if not (course := max(wheels, default=COURSE)):
        raise RuntimeError(advice)
    pip = [sys.executable, "-m", "pip"]
    subprocess.check_call([*pip, "uninstall", "-qqy", "torchao"])
    pins = [f"{name}=={metadata.version(name)}" for name in ("torch", "numpy")]
    Path("/tmp/pins.txt").write_text("\n".join(pins))
    pip += ["install", "-c", "/tmp/pins.txt", f"loralab[embedded] @ {course}"]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{done.stderr[-900:]}\n{advice}")

from loralab import start

profile = start(LANGUAGE, data=DATA, drive=DRIVE)
