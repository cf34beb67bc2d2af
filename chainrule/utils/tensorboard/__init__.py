"""Logs for TensorBoard, written without TensorBoard: ``from chainrule.utils.tensorboard import SummaryWriter``."""

from chainrule.utils.tensorboard.writer import SummaryWriter as SummaryWriter
