"""The names of PyTorch that have no meaning here, each with the reason and what to use instead.

Asking for one raises an AttributeError that says so. ``docs/pytorch.md`` (generated) lists them all beside the names
that are there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

#: (modules, names, reason); "" is ``torch`` itself, "Tensor" its class
_GROUPS: list[tuple[str, str, str]] = [
    (
        ", Tensor",
        """
        choose_qparams_optimized dequantize empty_quantized fake_quantize_per_channel_affine
        fake_quantize_per_tensor_affine fbgemm_linear_fp16_weight fbgemm_linear_fp16_weight_fp32_activation
        fbgemm_linear_int8_weight fbgemm_linear_int8_weight_fp32_activation fbgemm_linear_quantize_weight
        fbgemm_pack_gemm_matrix_fp16 fbgemm_pack_quantized_matrix fused_moving_avg_obs_fake_quant int_repr
        q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point qscheme
        quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic quantized_batch_norm quantized_gru
        quantized_gru_cell quantized_lstm quantized_lstm_cell quantized_max_pool1d quantized_max_pool2d
        quantized_max_pool3d quantized_rnn_relu_cell quantized_rnn_tanh_cell
        """,
        "there are no quantised tensors; compute in float32, or store integers and a scale of your own",
    ),
    (
        ", Tensor",
        """
        ccol_indices ccol_indices_copy coalesce col_indices col_indices_copy crow_indices crow_indices_copy dense_dim
        dsmm hsmm hspmm indices indices_copy is_coalesced resize_as_sparse_ row_indices row_indices_copy saddmm smm
        sparse_bsc_tensor sparse_bsr_tensor sparse_compressed_tensor sparse_coo_tensor sparse_csc_tensor
        sparse_csr_tensor sparse_dim sparse_mask sparse_resize_ sparse_resize_and_clear_ spmm sspaddmm
        to_sparse to_sparse_bsc to_sparse_bsr to_sparse_coo to_sparse_csc to_sparse_csr values values_copy
        """,
        "there are no sparse tensors; use dense ones, or index_add and scatter_add for sparse updates",
    ),
    (
        "",
        """
        AggregationType AliasDb AnyType Argument ArgumentSpec AwaitType BenchmarkConfig BenchmarkExecutionStats Block
        BoolType CallStack Capsule ClassType Code CompilationUnit CompleteArgumentSpec ComplexType ConcreteModuleType
        ConcreteModuleTypeBuilder DeepCopyMemoTable DeserializationStorageContext DeviceObjType DictType EnumType
        ErrorReport ExecutionPlan FileCheck FloatType FunctionSchema Future FutureType Gradient Graph
        GraphExecutorState IODescriptor InferredType IntType InterfaceType JITException ListType LiteScriptModule
        LockingLogger LoggerBase ModuleDict Node NoneType NoopLogger NumberType OperatorInfo OptionalType
        BufferDict ParameterDict PyObjectType PyTorchFileReader PyTorchFileWriter RRefType ScriptClass
        ScriptClassFunction ScriptDict ScriptDictIterator ScriptDictKeyIterator ScriptFunction ScriptList
        ScriptListIterator ScriptMethod ScriptModule ScriptModuleSerializer ScriptObject ScriptObjectProperty
        SerializationStorageContext StaticModule StreamObjType StringType SymBoolType SymIntType Tag TensorType
        ThroughputBenchmark TracingState TupleType Type UnionType Use Value fork get_file_path import_ir_module
        import_ir_module_from_buffer merge_type_from_type_comment parse_ir parse_schema parse_type_comment
        unify_type_list wait
        """,
        "it belongs to PyTorch's script compiler; here Python itself runs the model, and classes and functions need no "
        "script form",
    ),
    (
        "",
        """
        SymBool SymFloat SymInt sym_constrain_range sym_constrain_range_for_size sym_float sym_fresh_size sym_int
        sym_ite sym_max sym_min sym_not sym_sqrt sym_sum
        """,
        "sizes are plain ints here, never symbols; use Python's own functions",
    ),
    (
        ", Tensor",
        """
        BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage ComplexFloatStorage DoubleStorage
        FloatStorage HalfStorage IntStorage LongStorage QInt32Storage QInt8Storage QUInt2x4Storage QUInt4x2Storage
        QUInt8Storage ShortStorage Storage StorageBase TypedStorage UntypedStorage is_storage storage storage_type
        untyped_storage is_shared share_memory_
        """,
        "a tensor's memory is a NumPy or CuPy array; detach().numpy() shows it without a copy",
    ),
    (
        "",
        """
        cudnn_affine_grid_generator cudnn_batch_norm cudnn_convolution cudnn_convolution_add_relu cudnn_convolution_relu
        cudnn_convolution_transpose cudnn_grid_sampler cudnn_is_acceptable miopen_batch_norm miopen_convolution
        miopen_convolution_add_relu miopen_convolution_relu miopen_convolution_transpose miopen_ctc_loss
        miopen_depthwise_convolution miopen_rnn mkldnn_adaptive_avg_pool2d mkldnn_convolution
        mkldnn_linear_backward_weights mkldnn_max_pool2d mkldnn_max_pool3d mkldnn_rnn_layer is_vulkan_available
        """,
        "it is one library's kernel; the functions of chainrule.nn.functional choose the kernel themselves",
    ),
    (
        ", Tensor",
        "to_mkldnn ipu xpu mtia record_stream",
        "it belongs to a device that is not supported; devices are cpu and cuda",
    ),
    (
        "",
        """
        batch_norm_backward_elemt batch_norm_backward_reduce batch_norm_elemt batch_norm_gather_stats
        batch_norm_gather_stats_with_counts batch_norm_stats batch_norm_update_stats
        """,
        "it is a piece of synchronised batch norm over several processes; use batch_norm",
    ),
    (
        ", Tensor",
        "is_distributed",
        "there is no training over several processes; each process has its own tensors",
    ),
    (
        "",
        """
        autocast autocast_decrement_nesting autocast_increment_nesting clear_autocast_cache get_autocast_cpu_dtype
        get_autocast_dtype get_autocast_gpu_dtype get_autocast_ipu_dtype get_autocast_xla_dtype
        is_autocast_cache_enabled is_autocast_cpu_enabled is_autocast_enabled is_autocast_ipu_enabled
        is_autocast_xla_enabled set_autocast_cache_enabled set_autocast_cpu_dtype set_autocast_cpu_enabled
        set_autocast_dtype set_autocast_enabled set_autocast_gpu_dtype set_autocast_ipu_dtype set_autocast_ipu_enabled
        set_autocast_xla_dtype set_autocast_xla_enabled GradScaler
        """,
        "dtypes are never changed behind your back; convert with .to(dtype): sums and products of float16 and bfloat16 "
        "are accumulated in float32",
    ),
    (
        "",
        "DisableTorchFunction DisableTorchFunctionSubclass DispatchKey DispatchKeySet ExcludeDispatchKeyGuard",
        "operations are not dispatched by key; register a kernel in chainrule.backends",
    ),
    (
        "",
        """
        AcceleratorError Event FatalError OutOfMemoryError Stream get_device_module
        profiler_allow_cudagraph_cupti_lazy_reinit_cuda12
        """,
        "streams, events and memory of a GPU are CuPy's; chainrule.cuda has what is shared",
    ),
    (
        "nn.functional",
        """
        boolean_dispatch assert_int_or_pair handle_torch_function has_torch_function has_torch_function_unary
        has_torch_function_variadic Callable DType Optional ScalingType SwizzleType Tensor
        """,
        "it is a helper inside PyTorch, or a name its module merely imports",
    ),
    (
        "nn.functional",
        "grouped_mm scaled_mm scaled_grouped_mm",
        "it multiplies 8-bit floats on a GPU; use matmul",
    ),
    (
        "nn",
        "DataParallel parallel",
        "there is no training over several devices at once; move the model to one with .to(device)",
    ),
    ("nn.Module", "ipu xpu mtia", "it belongs to a device that is not supported; devices are cpu and cuda"),
    (
        "nn.Module",
        "share_memory",
        "a tensor's memory is not shared between processes; send state_dict() or its arrays to the other process",
    ),
    ("nn", "SyncBatchNorm", "there is no training over several processes; use BatchNorm1d, BatchNorm2d or BatchNorm3d"),
    (
        "nn",
        "intrinsic qat quantizable quantized",
        "there are no quantised layers; compute in float32, or store integers and a scale of your own",
    ),
    (
        "nn",
        "CrossMapLRN2d",
        "PyTorch's has the first channel in the sums of all others, and not in their gradient; use LocalResponseNorm",
    ),
    ("nn", "Container", "PyTorch has deprecated it; use Sequential, ModuleList or ModuleDict"),
    ("nn", "factory_kwargs common_types", "it is a helper inside PyTorch; give device= and dtype= to the layer"),
    ("nn", "grad", "the gradient of a convolution comes from autograd.grad"),
    ("fft, special", "Tensor", "PyTorch's module merely imports it; use chainrule.Tensor"),
    (
        "",
        "classproperty compiled_with_cxx11_abi thread_safe_generator prepare_multiprocessing_environment hash_tensor",
        "it is a helper inside PyTorch",
    ),
    ("Tensor", "hash_tensor module_load reinforce new symeig eig lstsq solve const_data_ptr",
     "PyTorch itself has removed it or uses it inside only"),
    ("", "set_default_tensor_type", "PyTorch has deprecated it; use set_default_dtype and set_default_device"),
    ("", "lstsq", "PyTorch has removed it; use linalg.lstsq"),
    ("", "matrix_rank", "PyTorch has removed it; use linalg.matrix_rank"),
    ("", "solve", "PyTorch has removed it; use linalg.solve"),
    (",Tensor", "slice_inverse", "it is a helper of PyTorch's compiler; use slice_scatter"),
    ("Tensor", "as_subclass", "tensors have no subclasses; wrap the tensor in a class of your own"),
    ("Tensor", "index", "it takes the dimension objects of functorch; use x[...] or index_select"),
    ("Tensor", "to_padded_tensor", "there are no nested tensors; use nn.utils.rnn.pad_sequence"),
    (
        "utils.data",
        """
        DFIterDataPipe DataChunk IterDataPipe MapDataPipe argument_validation functional_datapipe
        guaranteed_datapipes_determinism non_deterministic runtime_validation runtime_validation_disabled
        """,
        "PyTorch has stopped work on data pipes; write a Dataset or an IterableDataset",
    ),
    (
        "utils.data",
        "DistributedSampler",
        "there is no training over several processes; use RandomSampler, or a Sampler of your own",
    ),
    (
        "distributions",
        """
        ContinuousBernoulli FisherSnedecor GeneralizedPareto InverseGamma Kumaraswamy LKJCholesky LogisticNormal
        LowRankMultivariateNormal NegativeBinomial Pareto RelaxedBernoulli RelaxedOneHotCategorical
        VonMises Weibull Wishart
        """,
        "it is not written yet; derive from Distribution, or transform another one with TransformedDistribution",
    ),
    (
        "distributions",
        """
        CatTransform CorrCholeskyTransform CumulativeDistributionTransform IndependentTransform LowerCholeskyTransform
        PositiveDefiniteTransform ReshapeTransform SoftmaxTransform StackTransform StickBreakingTransform biject_to
        transform_to
        """,
        "it is not written yet; derive from Transform",
    ),
    ("", "symeig", "PyTorch has removed it; use linalg.eigh"),
    ("", "eig", "PyTorch has removed it; use linalg.eig"),
]  # fmt: skip


@functools.cache
def table() -> dict[str, dict[str, str]]:
    """The reasons, by module (``""``, ``"Tensor"``, ``"nn.functional"``, ...) and name."""
    found: dict[str, dict[str, str]] = {}
    for modules, names, reason in _GROUPS:
        for module in modules.split(","):
            found.setdefault(module.strip(), {}).update(dict.fromkeys(names.split(), reason))
    return found


def missing(module: str, name: str, known: Iterable[str]) -> NoReturn:
    """Raise the AttributeError for a name that ``chainrule.<module>`` lacks: why, or what is spelled like it."""
    place = f"chainrule.{module}" if module else "chainrule"
    reason = table().get(module, {}).get(name)
    if reason is not None:
        raise AttributeError(f"{place} has no {name!r}, which PyTorch has: {reason}", name=name)
    import difflib  # takes milliseconds to import, and is rarely needed

    near = [] if name.startswith("_") else difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise AttributeError(f"module {place!r} has no attribute {name!r}{hint}", name=name)


def module_getattr(module: str, names: Callable[[], Iterable[str]]) -> Callable[[str], Any]:
    """A ``__getattr__`` for a module that explains what it lacks."""

    def __getattr__(name: str) -> Any:
        missing(module, name, names())

    return __getattr__


class RefusedMethod:
    """Stands in Tensor for a method that PyTorch's has and ours lacks: reading it raises the reason.

    ``hasattr`` is False, as for any other missing method; a ``__getattr__`` would slow down every attribute.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(
            f"chainrule.Tensor has no {self.name!r}, which PyTorch's has: {self.reason}", name=self.name, obj=instance
        )


def refuse_methods(tensor_type: type) -> None:
    """Make the methods in the table raise their reason."""
    for name, reason in table()["Tensor"].items():
        if not hasattr(tensor_type, name):
            setattr(tensor_type, name, RefusedMethod(name, reason))
