"""What needs a GPU to be measured: run by the machine's own Python, with torch and NumPy and nothing else."""

import sys
from importlib.util import find_spec

if missing := [name for name in ("torch", "numpy") if find_spec(name) is None]:
    sys.exit(
        f"{sys.executable} has no {' and no '.join(missing)}: install torch>=2.6 and numpy, or make gpu PYTHON=PATH"
    )
