"""How strongly each kind of tissue answers: tables by label, 0 background to 10 papillary muscle (`tissue.Label`)."""

from __future__ import annotations

import numpy as np

from echonode.phantom.tissue import Label

ECHO_DB = np.array([-45, -31, 0, -31, -30, -31, -33, 7, 3, 0, 1], np.float32)
"""The mean echo over that of heart muscle."""
TEXTURE_DB = np.array([0, 1.5, 5.5, 1.5, 1.5, 1.5, 1.5, 2, 5.0, 3.5, 4.5], np.float32)
"""How much coarser structure varies it."""
IMPEDANCE = np.array([1, 0, 1, 0, 0, 0, 0, 1.3, 1.4, 1.1, 1], np.float32)
"""Steps of it along a beam answer as mirrors do."""
WALL = np.array([0, 0, 1, 0, 0, 0, 0, 0.3, 0.7, 0, 0.3], np.float32)
"""How much of the echo is lost where the fibres run along the beam."""
SURROUNDING = np.arange(len(ECHO_DB)) == Label.TISSUE
"""What lies around the heart."""
