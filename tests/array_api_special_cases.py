"""The "Special cases" of the Array API standard 2024.12 for elementwise functions, as tables.

A line of ``UNARY`` is ``x -> result``, of ``BINARY`` ``x1 x2 -> result``. Names stand for sets of values:

    P, N    positive, negative finite numbers      F    finite numbers: P, N, +0 and -0
    Z       +0 and -0                              I    +inf and -inf
    G, L    greater, less than 0, infinities too   A    every number, infinities and NaN too
    B, S    magnitude above 1, below 1 (not 0)     T    every number, infinities too, no NaN
    O, E    odd integers above 0; positive numbers that are no odd integers

A result is a number, an expression of ``x``, ``x1``, ``x2``, or alternatives between ``|``; ``~``: approximately.
``COMPLEX`` has ``real imag -> real imag``, where ``?`` before a part leaves its sign open.
"""

UNARY = {
    "abs": "nan -> nan; -0 -> +0; -inf -> +inf; N -> -x; P -> x",
    "acos": "nan -> nan; 1.5 -> nan; +inf -> nan; -1.5 -> nan; -inf -> nan; 1 -> +0",
    "acosh": "nan -> nan; 0.5 -> nan; -3 -> nan; -inf -> nan; 1 -> +0; +inf -> +inf",
    "asin": "nan -> nan; 1.5 -> nan; -1.5 -> nan; I -> nan; +0 -> +0; -0 -> -0",
    "asinh": "nan -> nan; +0 -> +0; -0 -> -0; +inf -> +inf; -inf -> -inf",
    "atan": "nan -> nan; +0 -> +0; -0 -> -0; +inf -> ~pi/2; -inf -> ~-pi/2",
    "atanh": "nan -> nan; -1.5 -> nan; 1.5 -> nan; I -> nan; -1 -> -inf; 1 -> +inf; +0 -> +0; -0 -> -0",
    "ceil": "3 -> 3; -2 -> -2; 1.5 -> 2; -1.5 -> -1; -0.5 -> -0; +inf -> +inf; -inf -> -inf; +0 -> +0; -0 -> -0; "
    "nan -> nan",
    "cos": "nan -> nan; +0 -> 1; -0 -> 1; I -> nan",
    "cosh": "nan -> nan; +0 -> 1; -0 -> 1; I -> +inf",
    "exp": "nan -> nan; +0 -> 1; -0 -> 1; +inf -> +inf; -inf -> +0",
    "expm1": "nan -> nan; +0 -> +0; -0 -> -0; +inf -> +inf; -inf -> -1",
    "floor": "3 -> 3; -2 -> -2; 1.5 -> 1; -1.5 -> -2; 0.5 -> +0; +inf -> +inf; -inf -> -inf; +0 -> +0; -0 -> -0; "
    "nan -> nan",
    "isfinite": "I -> False; nan -> False; F -> True",
    "isinf": "I -> True; nan -> False; F -> False",
    "isnan": "nan -> True; I -> False; F -> False",
    "log": "nan -> nan; L -> nan; Z -> -inf; 1 -> +0; +inf -> +inf",
    "log1p": "nan -> nan; -1.5 -> nan; -inf -> nan; -1 -> -inf; -0 -> -0; +0 -> +0; +inf -> +inf",
    "log2": "nan -> nan; L -> nan; Z -> -inf; 1 -> +0; +inf -> +inf",
    "log10": "nan -> nan; L -> nan; Z -> -inf; 1 -> +0; +inf -> +inf",
    "negative": "nan -> nan; +0 -> -0; -0 -> +0; +inf -> -inf; -inf -> +inf",
    "positive": "nan -> nan; +0 -> +0; -0 -> -0; +inf -> +inf; -inf -> -inf",
    "reciprocal": "nan -> nan; +0 -> +inf; -0 -> -inf; +inf -> +0; -inf -> -0",
    "round": "3 -> 3; -2 -> -2; 0.5 -> +0; 1.5 -> 2; 2.5 -> 2; -0.5 -> -0; -1.5 -> -2; +inf -> +inf; -inf -> -inf; "
    "+0 -> +0; -0 -> -0; nan -> nan",
    "sign": "L -> -1; Z -> 0; G -> 1; nan -> nan",
    "signbit": "+0 -> False; -0 -> True; +inf -> False; -inf -> True; P -> False; N -> True; nan -> False; "
    "-nan -> True",
    "sin": "nan -> nan; +0 -> +0; -0 -> -0; I -> nan",
    "sinh": "nan -> nan; +0 -> +0; -0 -> -0; +inf -> +inf; -inf -> -inf",
    "sqrt": "nan -> nan; L -> nan; +0 -> +0; -0 -> -0; +inf -> +inf",
    "square": "nan -> nan; Z -> +0; I -> +inf",
    "tan": "nan -> nan; +0 -> +0; -0 -> -0; I -> nan",
    "tanh": "nan -> nan; +0 -> +0; -0 -> -0; +inf -> 1; -inf -> -1",
    "trunc": "3 -> 3; -2 -> -2; 1.5 -> 1; -1.5 -> -1; 0.5 -> +0; -0.5 -> -0; +inf -> +inf; -inf -> -inf; +0 -> +0; "
    "-0 -> -0; nan -> nan",
}

_ADD = """
nan A -> nan; A nan -> nan; +inf -inf -> nan; -inf +inf -> nan; +inf +inf -> +inf; -inf -inf -> -inf;
+inf F -> +inf; -inf F -> -inf; F +inf -> +inf; F -inf -> -inf; -0 -0 -> -0; -0 +0 -> +0; +0 -0 -> +0; +0 +0 -> +0;
Z P -> x2; Z N -> x2; P Z -> x1; N Z -> x1; 1.5 -1.5 -> +0; -0.25 0.25 -> +0
"""

_DIVIDE = """
nan A -> nan; A nan -> nan; I I -> nan; Z Z -> nan; +0 G -> +0; -0 G -> -0; +0 L -> -0; -0 L -> +0;
G +0 -> +inf; G -0 -> -inf; L +0 -> -inf; L -0 -> +inf
"""

BINARY = {
    "add": _ADD,
    "subtract": _ADD.replace(";", " !;").rstrip() + " !",  # x1 - x2 is x1 + (-x2): `!` negates x2 beforehand
    "atan2": """
nan A -> nan; A nan -> nan; P +0 -> ~pi/2; P -0 -> ~pi/2; +0 P -> +0; +0 +0 -> +0; +0 -0 -> ~pi; +0 N -> ~pi;
-0 P -> -0; -0 +0 -> -0; -0 -0 -> ~-pi; -0 N -> ~-pi; N +0 -> ~-pi/2; N -0 -> ~-pi/2; P +inf -> +0; P -inf -> ~pi;
N +inf -> -0; N -inf -> ~-pi; +inf F -> ~pi/2; -inf F -> ~-pi/2; +inf +inf -> ~pi/4; +inf -inf -> ~3*pi/4;
-inf +inf -> ~-pi/4; -inf -inf -> ~-3*pi/4
""",
    "copysign": """
T L -> -abs(x1); T -0 -> -abs(x1); T +0 -> abs(x1); T G -> abs(x1); T nan -> abs(x1); T -nan -> -abs(x1);
nan L -> -nan; nan -0 -> -nan; nan +0 -> nan; nan G -> nan; nan -nan -> -nan; nan nan -> nan
""",
    "divide": _DIVIDE + """;
+inf P -> +inf; +inf N -> -inf; -inf P -> -inf; -inf N -> +inf; P +inf -> +0; P -inf -> -0; N +inf -> -0; N -inf -> +0;
P P -> ~x1/x2; N N -> ~x1/x2; P N -> ~x1/x2; N P -> ~x1/x2
""",
    "equal": """
nan A -> False; A nan -> False; +inf +inf -> True; -inf -inf -> True; -0 Z -> True; +0 Z -> True; F F -> x1 == x2;
+inf -inf -> False; -inf +inf -> False; F I -> False; I F -> False
""",
    "floor_divide": _DIVIDE + """;
+inf P -> +inf|nan; +inf N -> -inf|nan; -inf P -> -inf|nan; -inf N -> +inf|nan; P +inf -> +0; P -inf -> -0|-1;
N +inf -> -0|-1; N -inf -> +0; P P -> floor(x1/x2); N N -> floor(x1/x2); P N -> floor(x1/x2); N P -> floor(x1/x2)
""",
    "hypot": """
I A -> +inf; A I -> +inf; Z T -> abs(x2); T Z -> abs(x1); F nan -> nan; nan F -> nan; nan nan -> nan;
3 4 -> ~5; 3e30 4e30 -> ~5e30; 3e-30 4e-30 -> ~5e-30
""",
    "logaddexp": "nan A -> nan; A nan -> nan; +inf T -> +inf; T +inf -> +inf; -inf -inf -> -inf; -inf P -> x2; "
    "-inf N -> x2; 500 500 -> ~500 + log(2)",
    "maximum": "nan A -> nan; A nan -> nan; +inf T -> +inf; -inf F -> x2",
    "minimum": "nan A -> nan; A nan -> nan; -inf T -> -inf; +inf F -> x2",
    "multiply": """
nan A -> nan; A nan -> nan; I Z -> nan; Z I -> nan; +inf G -> +inf; +inf L -> -inf; -inf G -> -inf; -inf L -> +inf;
G +inf -> +inf; G -inf -> -inf; L +inf -> -inf; L -inf -> +inf; +0 P -> +0; +0 N -> -0; -0 P -> -0; -0 N -> +0;
+0 +0 -> +0; +0 -0 -> -0; -0 -0 -> +0; P P -> ~x1*x2; N N -> ~x1*x2; P N -> ~x1*x2; N P -> ~x1*x2
""",
    "nextafter": "nan A -> nan; A nan -> nan; -0 +0 -> +0; +0 -0 -> -0; 1.5 1.5 -> 1.5",
    "not_equal": "nan A -> True; A nan -> True; +inf -inf -> True; -inf +inf -> True; F F -> x1 != x2; "
    "+inf +inf -> False",
    "pow": """
F nan -> nan if x1 != 1 else 1; I nan -> nan; A +0 -> 1; A -0 -> 1; nan G -> nan; nan L -> nan; B +inf -> +inf;
B -inf -> +0; 1 I -> 1; -1 I -> 1; 1 T -> 1; S +inf -> +0; S -inf -> +inf; Z +inf -> +0; Z -inf -> +inf; +inf G -> +inf;
+inf L -> +0; -inf O -> -inf; -inf E -> +inf; -inf -1 -> -0; -inf -3 -> -0; -inf -2 -> +0; -inf -0.5 -> +0; +0 G -> +0;
+0 L -> +inf; -0 O -> -0; -0 E -> +0; -0 -1 -> -inf; -0 -3 -> -inf; -0 -2 -> +inf; -0 -0.5 -> +inf; N 0.5 -> nan;
N -1.5 -> nan
""",
    "remainder": """
nan A -> nan; A nan -> nan; I I -> nan; Z Z -> nan; +0 G -> +0; -0 G -> +0; +0 L -> -0; -0 L -> -0; G Z -> nan;
L Z -> nan; I P -> nan; I N -> nan; P +inf -> x1; P -inf -> x2; N +inf -> x2; N -inf -> x1; P P -> ~x1 % x2;
N N -> ~x1 % x2;
P N -> ~x1 % x2; N P -> ~x1 % x2
""",
}

COMPLEX = {
    "abs": """
I A -> +inf; A I -> +inf; Z F -> abs(b); F Z -> abs(a); nan F -> nan; F nan -> nan; nan nan -> nan
""",
    "acos": """
Z +0 -> ~pi/2 -0; Z nan -> ~pi/2 nan; F +inf -> ~pi/2 -inf; P nan -> nan nan; N nan -> nan nan; -inf P -> ~pi -inf;
+inf P -> +0 -inf; -inf +inf -> ~3*pi/4 -inf; +inf +inf -> ~pi/4 -inf; I nan -> nan ?+inf; nan F -> nan nan;
nan +inf -> nan -inf; nan nan -> nan nan
""",
    "acosh": """
Z +0 -> +0 ~pi/2; F +inf -> +inf ~pi/2; P nan -> nan nan; N nan -> nan nan; +0 nan -> nan ?~pi/2; -inf P -> +inf ~pi;
+inf P -> +inf +0; -inf +inf -> +inf ~3*pi/4; +inf +inf -> +inf ~pi/4; I nan -> +inf nan; nan F -> nan nan;
nan +inf -> +inf nan; nan nan -> nan nan
""",
    "asinh": """
+0 +0 -> +0 +0; P +inf -> +inf ~pi/2; F nan -> nan nan; +inf P -> +inf +0; +inf +inf -> +inf ~pi/4; nan +0 -> nan +0;
nan P -> nan nan; nan N -> nan nan; nan +inf -> ?+inf nan; nan nan -> nan nan
""",
    "atanh": """
+0 +0 -> +0 +0; +0 nan -> +0 nan; 1 +0 -> +inf +0; P +inf -> +0 ~pi/2; P nan -> nan nan; N nan -> nan nan;
+inf P -> +0 ~pi/2; +inf +inf -> +0 ~pi/2; +inf nan -> +0 nan; nan F -> nan nan; nan +inf -> ?+0 ~pi/2;
nan nan -> nan nan
""",
    "cosh": """
+0 +0 -> 1 +0; +0 +inf -> nan ?+0; +0 nan -> nan ?+0; P +inf -> nan nan; N +inf -> nan nan; P nan -> nan nan;
N nan -> nan nan; +inf +0 -> +inf +0; +inf P -> inf*cos(b) inf*sin(b); +inf N -> inf*cos(b) inf*sin(b);
+inf +inf -> ?+inf nan; +inf nan -> +inf nan; nan Z -> nan ?+0; nan P -> nan nan; nan N -> nan nan; nan nan -> nan nan
""",
    "exp": """
Z +0 -> 1 +0; F +inf -> nan nan; F nan -> nan nan; +inf +0 -> +inf +0; -inf F -> 0*cos(b) 0*sin(b);
+inf P -> inf*cos(b) inf*sin(b); +inf N -> inf*cos(b) inf*sin(b); -inf +inf -> ?+0 ?+0; +inf +inf -> ?+inf nan;
-inf nan -> ?+0 ?+0; +inf nan -> ?+inf nan; nan +0 -> nan +0; nan P -> nan nan; nan N -> nan nan; nan nan -> nan nan
""",
    "expm1": """
Z +0 -> ?+0 +0; F +inf -> nan nan; F nan -> nan nan; +inf +0 -> +inf +0; -inf F -> -1 0*sin(b);
+inf P -> inf*cos(b) inf*sin(b); +inf N -> inf*cos(b) inf*sin(b); -inf +inf -> -1 ?+0; +inf +inf -> ?+inf nan;
-inf nan -> -1 ?+0; +inf nan -> ?+inf nan; nan +0 -> nan +0; nan P -> nan nan; nan N -> nan nan; nan nan -> nan nan
""",
    "log": """
-0 +0 -> -inf ~pi; +0 +0 -> -inf +0; F +inf -> +inf ~pi/2; F nan -> nan nan; -inf P -> +inf ~pi; +inf P -> +inf +0;
-inf +inf -> +inf ~3*pi/4; +inf +inf -> +inf ~pi/4; I nan -> +inf nan; nan F -> nan nan; nan +inf -> +inf nan;
nan nan -> nan nan
""",
    "log1p": """
-1 +0 -> -inf +0; F +inf -> +inf ~pi/2; F nan -> nan nan; -inf P -> +inf ~pi; +inf P -> +inf +0;
-inf +inf -> +inf ~3*pi/4; +inf +inf -> +inf ~pi/4; I nan -> +inf nan; nan F -> nan nan; nan +inf -> +inf nan;
nan nan -> nan nan
""",
    "sign": "Z Z -> 0 0; nan A -> nan nan; A nan -> nan nan",
    "sinh": """
+0 +0 -> +0 +0; +0 +inf -> ?+0 nan; +0 nan -> ?+0 nan; P +inf -> nan nan; P nan -> nan nan; +inf +0 -> +inf +0;
+inf P -> inf*cos(b) inf*sin(b); +inf +inf -> ?+inf nan; +inf nan -> ?+inf nan; nan +0 -> nan +0; nan P -> nan nan;
nan N -> nan nan; nan nan -> nan nan
""",
    # this version of the standard has the two cases of an infinite real and a finite imaginary part wrong (its own note
    # on branch cuts says "follow C99"): they stand here as C99 has them
    "sqrt": """
Z +0 -> +0 +0; A +inf -> +inf +inf; F nan -> nan nan; -inf P -> +0 +inf; +inf P -> +inf +0; -inf nan -> nan ?+inf;
+inf nan -> +inf nan; nan F -> nan nan; nan nan -> nan nan
""",
    "tanh": """
+0 +0 -> +0 +0; P +inf -> nan nan; N +inf -> nan nan; +0 +inf -> +0|nan nan; P nan -> nan nan; N nan -> nan nan;
+0 nan -> +0|nan nan; +inf P -> 1 ?+0; +inf +inf -> 1 ?+0; +inf nan -> 1 ?+0; nan +0 -> nan +0; nan P -> nan nan;
nan N -> nan nan; nan nan -> nan nan
""",
}

#: complex functions that are to behave as these of others do: ``f(x) = factor * g(x * 1j)``
AS_IF = {
    "asin": ("asinh", -1j), "atan": ("atanh", -1j), "cos": ("cosh", 1), "sin": ("sinh", -1j), "tan": ("tanh", -1j),
}  # fmt: skip

#: functions of complex numbers with f(conj(x)) = conj(f(x)), and with f(-x) = f(x) or -f(x)
CONJUGATE = "acos acosh asin asinh atan atanh cosh exp expm1 log log1p log2 log10 sinh sqrt tanh".split()
EVEN, ODD = ("cosh",), ("asinh", "atanh", "sinh", "tanh")
