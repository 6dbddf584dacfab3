from __future__ import annotations

import sys
from pathlib import Path

# The networks of these tests live beside them.
sys.path.insert(0, str(Path(__file__).parent))
