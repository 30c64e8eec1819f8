"""Elementary functions that the formulas call.

In plain Python they are those of :mod:`math`. A backend replaces them, when it compiles a formula, by versions that
suit its target (the CPU's are polynomials that vectorise).
"""

import math

exp = math.exp
expm1 = math.expm1
log = math.log
sqrt = math.sqrt
