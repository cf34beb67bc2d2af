"""Benchmarks: ``python -m chainrule.benchmarks`` compares devices, ``python -m chainrule.benchmarks.overhead`` the
engine with plain NumPy and PyTorch."""
