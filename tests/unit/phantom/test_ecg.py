"""A trace whose peaks are not at the R waves would put every gated measurement into the wrong frame."""

from __future__ import annotations

import numpy as np

from echonode.phantom.ecg import Lead, lead, voltage

_QUIET = Lead(noise=0.0, wander=0.0)
_TIMES = np.arange(0, 4, 0.002)
_WAVES = (0.4, 1.3, 2.1, 3.2)


def _trace(shape: Lead) -> np.ndarray:
    return voltage(_TIMES, _WAVES, shape=shape, rng=np.random.Generator(np.random.PCG64(1)))


def test_every_r_wave_is_a_peak_where_it_belongs() -> None:
    trace = _trace(_QUIET)
    peaks = [
        _TIMES[at] for at in range(1, len(trace) - 1) if trace[at] > 0.6 and trace[at] == trace[at - 1 : at + 2].max()
    ]
    assert np.abs(np.array(peaks) - _WAVES).max() < 0.005


def test_fibrillation_has_no_p_wave() -> None:
    sinus = _trace(Lead(noise=0.0, wander=0.0, p=1.0, t=0.0))
    fibrillating = lead(np.random.Generator(np.random.PCG64(2)), fibrillates=True)
    before = (_TIMES > 1.3 - 0.2) & (_TIMES < 1.3 - 0.1)
    assert fibrillating.p == 0
    assert sinus[before].max() > 0.08
    assert _trace(Lead(noise=0.0, wander=0.0, p=0.0, t=0.0))[before].max() < 0.01
