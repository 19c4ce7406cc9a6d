"""What the numbers of this task are called, under a coding scheme of our own: its designator begins with 99."""

from __future__ import annotations

from typing import Final

from echonode.core.codes import Code

SCHEME: Final = "99ECHOGAIN"
GREY: Final = Code("MYOGREY", SCHEME, "Mean grey level of myocardium, in percent of white")
GREY_RANGE: Final = Code("MYOGREY-RANGE", SCHEME, "Range of myocardial grey level over loops")
METHOD: Final = Code("GREYNET", SCHEME, "Grey level by neural network")
MEAN: Final = Code("373098007", "SCT", "Mean")
PERCENT: Final = Code("%", "UCUM", "percent")
