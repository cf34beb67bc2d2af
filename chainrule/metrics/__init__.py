"""How good predictions are: functions, and classes that gather batches.

Everything is called as losses are, with the predictions first: ``accuracy(input, target)``. (scikit-learn has the
target first.) Tensors of any device, arrays and lists are taken; numbers are computed in float64 on the host, results
are Python floats and NumPy arrays.
"""

from chainrule.metrics.accumulate import F1 as F1
from chainrule.metrics.accumulate import ROCAUC as ROCAUC
from chainrule.metrics.accumulate import Accuracy as Accuracy
from chainrule.metrics.accumulate import AveragePrecision as AveragePrecision
from chainrule.metrics.accumulate import ConfusionMatrix as ConfusionMatrix
from chainrule.metrics.accumulate import MeanAbsoluteError as MeanAbsoluteError
from chainrule.metrics.accumulate import MeanSquaredError as MeanSquaredError
from chainrule.metrics.accumulate import Metric as Metric
from chainrule.metrics.accumulate import Precision as Precision
from chainrule.metrics.accumulate import R2Score as R2Score
from chainrule.metrics.accumulate import Recall as Recall
from chainrule.metrics.classification import accuracy as accuracy
from chainrule.metrics.classification import confusion_matrix as confusion_matrix
from chainrule.metrics.classification import f1 as f1
from chainrule.metrics.classification import precision as precision
from chainrule.metrics.classification import recall as recall
from chainrule.metrics.classification import top_k_accuracy as top_k_accuracy
from chainrule.metrics.ranking import average_precision as average_precision
from chainrule.metrics.ranking import roc_auc as roc_auc
from chainrule.metrics.ranking import roc_curve as roc_curve
from chainrule.metrics.regression import mean_absolute_error as mean_absolute_error
from chainrule.metrics.regression import mean_squared_error as mean_squared_error
from chainrule.metrics.regression import r2_score as r2_score
