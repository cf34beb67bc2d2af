"""SummaryWriter: the way from a training loop to TensorBoard."""

from __future__ import annotations

import os
import socket
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from chainrule.utils.tensorboard import protobuf, summaries
from chainrule.utils.tensorboard.graphs import graph_def, model_graph
from chainrule.utils.tensorboard.records import EventFile


class SummaryWriter:
    """Writes event files into a folder; ``tensorboard --logdir`` shows them, also while they grow.

    Args:
        log_dir: the folder; by default ``runs/`` and the date, the host and the comment.
        comment: the end of the default folder's name; without effect when ``log_dir`` is given.
        purge_step: this run goes on after a crash: TensorBoard forgets what the folder says of this and later steps.
        max_queue: accepted as in PyTorch; events are written at once.
        flush_secs: how often what was written reaches the disk, at least, while there is more to write.
        filename_suffix: the end of the event file's name.

    Example:
        >>> import tempfile
        >>> import chainrule as cr
        >>> from chainrule.utils.tensorboard import SummaryWriter
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with SummaryWriter(folder) as writer:
        ...         for step in range(3):
        ...             writer.add_scalar("loss", 1 / (step + 1), step)
        ...         writer.add_histogram("weights", cr.randn(100), 0)
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            now = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = Path("runs") / f"{now}_{socket.gethostname()}{comment}"
        self.log_dir = os.fspath(log_dir)
        self.purge_step, self.max_queue, self.flush_secs = purge_step, max_queue, flush_secs
        self.filename_suffix = filename_suffix
        #: the event files: that of the folder, and those of further lines (:meth:`add_scalars`)
        self._files: dict[str, EventFile] = {}
        self._file(self.log_dir)

    def _file(self, folder: str) -> EventFile:
        """The event file of a folder; a new one after :meth:`close`."""
        if folder not in self._files:
            self._files[folder] = EventFile(folder, self.filename_suffix, self.flush_secs)
            if self.purge_step is not None and folder == self.log_dir:
                self._files[folder].write(protobuf.data(7, protobuf.integer(1, 1)), self.purge_step)  # session starts
                self.purge_step = None
        return self._files[folder]

    def _add(self, what: bytes, step: Any, walltime: float | None, folder: str | None = None) -> None:
        self._file(folder or self.log_dir).write(what, None if step is None else int(step), walltime)

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """One number at a step; a tag with a slash (``"loss/train"``) is shown in the group before it.

        Raises:
            TypeError, ValueError: ``scalar_value`` is not one number.
        """
        self._add(summaries.scalar(tag, scalar_value), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers in one chart; each is a run of its own, in a folder below this one."""
        for tag, value in tag_scalar_dict.items():
            folder = os.path.join(self.log_dir, f"{main_tag.replace('/', '_')}_{tag}")
            self._add(summaries.scalar(main_tag, value), global_step, walltime, folder)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How the values of a tensor are spread.

        Args:
            bins: edges, a number of bins, or a rule of ``numpy.histogram``; the default is TensorFlow's.
            max_bins: at most so many bins, by joining neighbours.

        Raises:
            ValueError: there are no values, or one is not finite.
        """
        if max_bins is not None and not (isinstance(bins, str) and bins == "tensorflow"):
            edges = np.histogram_bin_edges(summaries.to_numpy("add_histogram", values), bins)
            bins = edges if len(edges) <= max_bins + 1 else np.linspace(edges[0], edges[-1], max_bins + 1)
        self._add(summaries.histogram(tag, values, bins), global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """A picture: (C, H, W) with 1 to 4 channels, or as ``dataformats`` says (``"HWC"``, ``"HW"``).

        Raises:
            ValueError: the shape does not fit ``dataformats``.
        """
        pixels = summaries.as_pixels("add_image", img_tensor, dataformats)
        self._add(summaries.image(tag, pixels), global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Several pictures of one size, eight in a row.

        Raises:
            ValueError: the shape does not fit ``dataformats``.
        """
        pixels = summaries.as_pixels("add_images", img_tensor, dataformats)
        self._add(summaries.image(tag, pixels), global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A figure of Matplotlib, or several of one size; they are closed unless ``close`` is False."""
        from matplotlib import pyplot
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figures = figure if isinstance(figure, (list, tuple)) else [figure]
        drawn = []
        for each in figures:
            canvas: Any = FigureCanvasAgg(each)
            canvas.draw()
            drawn.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
            if close:
                pyplot.close(each)
        self.add_images(tag, np.stack(drawn), global_step, walltime, dataformats="NHWC")

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """A text, shown as Markdown."""
        self._add(summaries.text(tag, text_string), global_step, walltime)

    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> None:
        """The graph of a model: it runs once, in evaluation mode, on these inputs (a tensor, or a tuple of them).

        Args:
            verbose: accepted as in PyTorch; ``cr.draw_text`` shows a graph as text.
            use_strict_trace: accepted as in PyTorch.

        Raises:
            TypeError: no input was given, or the result holds no tensor.
        """
        self._add(protobuf.data(4, graph_def(model_graph(model, input_to_model))), None, None)

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, list[Any]] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """The settings of this run and what came of them, for the table of runs; they are a run below this one.

        Args:
            hparam_dict: numbers, bools and strings by name.
            metric_dict: numbers by name.
            hparam_domain_discrete: what values a setting can have.
            run_name: the folder of that run; the time by default.

        Raises:
            TypeError: an argument is no dict, or a setting of another type.
        """
        for name, given in (("hparam_dict", hparam_dict), ("metric_dict", metric_dict)):
            if not isinstance(given, dict):
                raise TypeError(f"add_hparams: {name} must be a dict, got {type(given).__name__}")
        lines = summaries.hparams(hparam_dict, list(metric_dict), hparam_domain_discrete)
        lines += [summaries.scalar(tag, value) for tag, value in metric_dict.items()]
        file = EventFile(os.path.join(self.log_dir, run_name or str(time.time())), self.filename_suffix)
        for i, line in enumerate(lines):
            file.write(line, global_step if i >= 3 else None)
        file.close()

    def flush(self) -> None:
        """Write everything to the disk."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Write everything to the disk and close the files; a later call of an ``add`` method starts new ones."""
        for file in self._files.values():
            file.close()
        self._files = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
