"""Estimators with scikit-learn's interface (which must be installed), trained by chainrule on any of its devices.

>>> from chainrule.estimators import MLPClassifier
>>> MLPClassifier(hidden_layer_sizes=(8,), max_iter=50).get_params()["hidden_layer_sizes"]
(8,)
"""

try:
    import sklearn as _sklearn  # noqa: F401 (the modules below need it)
except ImportError as error:
    raise ImportError(
        "chainrule.estimators needs scikit-learn 1.5.2 or later: pip install 'chainrule[sklearn]'"
    ) from error

from chainrule.estimators.mlp import MLPClassifier as MLPClassifier
from chainrule.estimators.mlp import MLPRegressor as MLPRegressor
