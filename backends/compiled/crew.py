"""The pool's threads inside compiled code: work is handed out without the interpreter.

A dispatch by Python wakes a sleeping thread and has it take the interpreter's lock: 25 to 65 us. Here the helpers look
out for work for a while after each job (``_look_out``, which the pool calls), and take it from memory: 1 to 2 us.
Work that is posted while a helper sleeps is done by the caller, and the helper comes in when it has woken.

One job is open at a time; who finds another one open works alone. A helper counts itself in before it looks whether the
job is open, and the caller waits until none is counted after it has closed the job: no helper touches a job that is
over. The order of memory is the strictest everywhere (``seq_cst``).
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from chainrule.backends import pool
from chainrule.backends.compiled.jit import cgutils, intrinsic, loop, part, types

# Words of the crew's memory, each in a cache line of its own.
_POSTED, _OPEN, _NEXT, _JOINED, _LIMIT, _BUSY, _AWAKE, _FUNCTION, _ARGUMENTS, _COUNT = range(0, 80, 8)

#: looks for work before a helper goes to sleep, about 0.5 ms
_PATIENCE = 16_000

#: what tells a processor that a thread is waiting, where LLVM has a name for it
_PAUSE = "llvm.x86.sse2.pause" if platform.machine().lower() in ("x86_64", "amd64", "i686") else None


def _word(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The address of an element of the crew's memory."""
    memory = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(memory.data, [arguments[1]])


@intrinsic
def _read(_: Any, crew: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_word(context, builder, signature, arguments), "seq_cst", 8)

    return types.int64(crew, types.intp), generate


@intrinsic
def _write(_: Any, crew: Any, word: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[2], _word(context, builder, signature, arguments), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(crew, types.intp, types.int64), generate


@intrinsic
def _add(_: Any, crew: Any, word: Any, value: Any) -> Any:
    """Add to a word; gives what it was before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", _word(context, builder, signature, arguments), arguments[2], "seq_cst")

    return types.int64(crew, types.intp, types.int64), generate


@intrinsic
def _exchange(_: Any, crew: Any, word: Any, value: Any) -> Any:
    """Set a word; gives what it was before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("xchg", _word(context, builder, signature, arguments), arguments[2], "seq_cst")

    return types.int64(crew, types.intp, types.int64), generate


@intrinsic
def _pause(_: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if _PAUSE:
            nothing = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, nothing, _PAUSE), [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _call(_: Any, function: Any, arguments: Any, i: Any) -> Any:
    """Call the function at an address, made by ``_entry``."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        index = given[2].type
        kind = ir.FunctionType(ir.VoidType(), [index, index])
        builder.call(builder.inttoptr(given[0], kind.as_pointer()), [given[1], given[2]])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


def item(function: Callable[..., Any]) -> Any:
    """Compile what is done for one item of a job; loops give it to :func:`share` with its arguments.

    ``function(count, split, whole, each)`` in a loop stands for ``function(*parts, *whole, *elements)`` for each
    i < count: of the arrays in the tuple ``split``, which have as many rows, it gets the i-th of ``count`` equal parts,
    and of those in ``each`` element i. A number in ``split`` stands for an array that has it everywhere. It writes
    where no other item does.
    """
    body: Any = part(function)

    def items(typing: Any, count: Any, split: Any, whole: Any, each: Any) -> Any:
        """The addresses of a function (arguments, i), and of arguments on the stack of the loop that this is in."""
        inner = (*split.types, *whole.types, *[_element_type(a) for a in each.types])
        of_body = typing.resolve_function_type(types.Dispatcher(body), inner, {})

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            made = body.overloads[of_body.args]
            context.active_code_library.add_linking_library(made.library)
            index = context.get_value_type(types.intp)
            packed = cgutils.pack_struct(builder, arguments)
            memory = cgutils.alloca_once_value(builder, packed)

            kind = ir.FunctionType(ir.VoidType(), [index, index])
            entry = ir.Function(builder.module, kind, builder.module.get_unique_name("item"))
            entry.linkage = "internal"
            inside = ir.IRBuilder(entry.append_basic_block("entry"))
            address, i = entry.args
            given = inside.load(inside.inttoptr(address, packed.type.as_pointer()))

            def of(position: int, types_there: Any) -> list[Any]:
                values = inside.extract_value(given, position)
                return [(kind, inside.extract_value(values, j)) for j, kind in enumerate(types_there)]

            values = [
                *[_rows(context, inside, t, v, i, inside.extract_value(given, 0)) for t, v in of(1, split.types)],
                *[v for _, v in of(2, whole.types)],
                *[_element(context, inside, t, v, i) for t, v in of(3, each.types)],
            ]
            target = context.declare_function(builder.module, made.fndesc)
            context.call_conv.call_function(inside, target, made.fndesc.restype, made.fndesc.argtypes, values)
            inside.ret_void()
            pair = [builder.ptrtoint(entry, index), builder.ptrtoint(memory, index)]
            return context.make_tuple(builder, signature.return_type, pair)

        return types.UniTuple(types.intp, 2)(types.intp, split, whole, each), generate

    return intrinsic(items)


def _element_type(array: Any) -> Any:
    return types.Array(array.dtype, array.ndim - 1, "C")


def _rows(context: Any, builder: Any, kind: Any, value: Any, i: Any, parts: Any) -> Any:
    """Part ``i`` of ``parts`` of the rows of an array, or a number as it is."""
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, builder, value)
    shape = cgutils.unpack_tuple(builder, array.shape, kind.ndim)
    strides = cgutils.unpack_tuple(builder, array.strides, kind.ndim)
    first = builder.sdiv(builder.mul(i, shape[0]), parts)
    end = builder.sdiv(builder.mul(builder.add(i, i.type(1)), shape[0]), parts)
    shape = [builder.sub(end, first), *shape[1:]]
    return _view(context, builder, kind, array, builder.mul(first, strides[0]), shape, strides)


def _element(context: Any, builder: Any, kind: Any, value: Any, i: Any) -> Any:
    """Element ``i`` of an array of arrays."""
    array = context.make_array(kind)(context, builder, value)
    shape = cgutils.unpack_tuple(builder, array.shape, kind.ndim)
    strides = cgutils.unpack_tuple(builder, array.strides, kind.ndim)
    return _view(context, builder, _element_type(kind), array, builder.mul(i, strides[0]), shape[1:], strides[1:])


def _view(context: Any, builder: Any, kind: Any, array: Any, offset: Any, shape: Any, strides: Any) -> Any:
    """Memory of ``array`` from ``offset`` bytes on, as an array that owns nothing."""
    found = context.make_array(kind)(context, builder)
    size = shape[0]
    for length in shape[1:]:
        size = builder.mul(size, length)
    found.data = cgutils.pointer_add(builder, array.data, offset)
    found.shape = cgutils.pack_array(builder, shape)
    found.strides = cgutils.pack_array(builder, strides)
    found.itemsize = array.itemsize
    found.nitems = size
    found.meminfo = cgutils.get_null_value(found.meminfo.type)
    found.parent = cgutils.get_null_value(found.parent.type)
    return found._getvalue()


@part
def _work(crew: Any, function: Any, arguments: Any, count: Any) -> None:
    """Take items of the open job until none is left."""
    while True:
        i = _add(crew, _NEXT, 1)
        if i >= count:
            return
        _call(function, arguments, i)


@part
def share(crew: Any, count: Any, items: Any) -> None:
    """Do the items i < count, which an :func:`item` gives, on all threads; waits for all of them.

    ``crew`` is what :func:`crew` gives.
    """
    function, arguments = items
    if count < 2 or crew.size == 0 or _exchange(crew, _BUSY, 1):
        for i in range(count):
            _call(function, arguments, i)
        return
    _write(crew, _FUNCTION, function)
    _write(crew, _ARGUMENTS, arguments)
    _write(crew, _COUNT, count)
    _write(crew, _NEXT, 0)
    _write(crew, _OPEN, 1)
    _work(crew, function, arguments, count)
    _write(crew, _OPEN, 0)
    while _read(crew, _JOINED):
        _pause()
    _write(crew, _BUSY, 0)


@loop
def _look_out(crew: Any, posted: Any, patience: Any) -> None:
    """Help with the jobs that open, until Python posts one of its own or nothing has come for a while."""
    _add(crew, _AWAKE, 1)
    idle = 0
    while idle < patience and _read(crew, _POSTED) == posted:
        idle += 1
        if _read(crew, _OPEN) and _read(crew, _NEXT) < _read(crew, _COUNT):
            if _add(crew, _JOINED, 1) < _read(crew, _LIMIT) and _read(crew, _OPEN):
                _work(crew, _read(crew, _FUNCTION), _read(crew, _ARGUMENTS), _read(crew, _COUNT))
                idle = 0
            _add(crew, _JOINED, -1)
        else:
            _pause()
    _add(crew, _AWAKE, -1)


_MEMORY = pool.shared_memory()
_ALONE = np.zeros(0, np.int64)


def _linger(posted: int) -> None:
    _look_out(_MEMORY, posted, _PATIENCE)


def crew(parts: int, wake: bool = True) -> Any:
    """What a compiled function gives to :func:`share` for so many parts.

    ``wake``: whether the work is worth waking helpers that sleep, which takes the caller 5 to 10 us.
    """
    helpers = pool.helpers_for(parts)
    if not helpers:
        return _ALONE
    _MEMORY[_LIMIT] = helpers
    if wake and _MEMORY[_AWAKE] < helpers:
        pool.wake(helpers - int(_MEMORY[_AWAKE]))
    return _MEMORY


_look_out(_MEMORY, 0, 0)  # compiled by this thread, once
pool.linger_by(_linger)
