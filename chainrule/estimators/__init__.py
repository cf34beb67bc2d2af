"""Estimators with scikit-learn's interface (which must be installed), trained by chainrule on any of its devices.

>>> from chainrule.estimators import MLPClassifier
>>> MLPClassifier(hidden_layer_sizes=(8,), max_iter=50).get_params()["hidden_layer_sizes"]
(8,)
"""

from chainrule.estimators.mlp import MLPClassifier as MLPClassifier
from chainrule.estimators.mlp import MLPRegressor as MLPRegressor
