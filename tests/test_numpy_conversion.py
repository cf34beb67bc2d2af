"""Tensors made of arrays and arrays made of Tensors: shared memory, copies, refusals, DLPack."""

from __future__ import annotations

import numpy as np
import pytest
from host_arrays import leaf, t

import chainrule as cr
from chainrule.utils import dlpack

# ---- conversion ------------------------------------------------------------------------------------------------------


def test_asarray_shares_memory_and_honours_copy():
    x = t([1.0, 2.0])
    shared, copied = np.asarray(x), np.array(x)
    x[0] = 9.0
    assert shared.tolist() == [9.0, 2.0] and copied.tolist() == [1.0, 2.0]
    assert np.shares_memory(np.asarray(x, copy=False), x.numpy())
    assert not np.shares_memory(np.asarray(x, copy=True), x.numpy())
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, dtype=np.float64, copy=False)
    assert np.shares_memory(x, x[1:]) and not np.shares_memory(x, x.clone())


def test_asarray_refuses_to_drop_a_graph_or_to_copy_from_a_device():
    for x in (leaf(), leaf() * 2):
        with pytest.raises(RuntimeError, match=r"requires grad.*\.detach\(\).*\.numpy\(force=True\)"):
            np.asarray(x)
        assert x.numpy(force=True).shape == (2, 2)
    with pytest.raises(TypeError, match=r"is on guard; use \.numpy\(force=True\)"):
        np.asarray(cr.ones(2, device="guard"))
    assert cr.ones(2, device="guard").numpy(force=True).tolist() == [1.0, 1.0]
    x = leaf([1.0, 2.0])
    np.array(x.numpy(force=True))[0] = 5.0
    assert x.tolist() == [1.0, 2.0]


def test_tensors_as_indices_and_elements_of_arrays():
    a = np.arange(4.0)
    assert a[t([2, 0])].tolist() == [2.0, 0.0] and a[t(3)] == 3.0
    assert a[t([True, False, False, True])].tolist() == [0.0, 3.0]
    a[0], a[1:3] = t(9.0), t([7.0, 8.0])
    assert a.tolist() == [9.0, 7.0, 8.0, 3.0]
    assert np.array([t(1.0), t(2.0)]).tolist() == [1.0, 2.0]
    for value_of in (leaf(0.5), leaf([0.5, 0.5])):
        with pytest.raises(RuntimeError, match=r"requires grad.*\.detach\(\)"):
            a[:2] = value_of


def test_tensors_of_numpy_data_share_memory_where_pytorch_shares_it():
    a = np.zeros(3, np.float32)
    sharing = [cr.from_numpy(a), cr.as_tensor(a, device="cpu"), cr.asarray(a, device="cpu"), cr.from_dlpack(a)]
    copies = [cr.tensor(a), cr.as_tensor(a, dtype=cr.float64), cr.asarray(a, copy=True), cr.from_dlpack(a, copy=True)]
    a[0] = 4.0
    assert all(x.tolist()[0] == 4.0 for x in sharing) and all(x.tolist()[0] == 0.0 for x in copies)
    strided = cr.from_numpy(np.arange(6.0)[::2])
    assert strided.tolist() == [0.0, 2.0, 4.0]
    assert cr.as_tensor([1.0, 2.0]).dtype == cr.asarray([1.0, 2.0]).dtype == cr.float32
    with pytest.raises(ValueError, match="foreign byte order"):
        cr.from_numpy(np.zeros(2, ">f4"))
    with pytest.raises(TypeError, match="from_numpy: expected a NumPy array, got list"):
        cr.from_numpy([1.0])


def test_asarray_of_tensors_buffers_and_numbers():
    x = leaf()
    assert cr.asarray(x) is x and cr.asarray(x).requires_grad
    assert not cr.asarray(x, requires_grad=False).requires_grad
    assert cr.asarray(t([1.0]), requires_grad=True).requires_grad
    copied = cr.asarray(x, copy=True)
    assert copied.grad_fn is not None and copied.tolist() == x.tolist()
    buffer = bytearray(np.float32([1.0, 2.0]).tobytes())
    shared = cr.asarray(buffer, device="cpu")
    buffer[:4] = np.float32(7.0).tobytes()
    assert shared.tolist() == [7.0, 2.0]
    assert cr.asarray(bytearray(b"ab"), dtype=cr.uint8).tolist() == [97, 98]
    assert cr.asarray(np.float64(2)).dtype == cr.float64 and cr.asarray(3).dtype == cr.int64
    for obj, options in (([1.0], {}), (np.arange(3), {"dtype": cr.float32})):
        with pytest.raises(ValueError, match="copy=False"):
            cr.asarray(obj, copy=False, device="cpu", **options)


def test_read_only_arrays_are_not_written_to():
    a = np.arange(3.0)
    a.flags.writeable = False
    for x in (cr.from_numpy(a), cr.from_dlpack(a)):
        assert (x * 2).tolist() == [0.0, 2.0, 4.0]
        with pytest.raises(RuntimeError, match=r"read-only NumPy array; clone\(\) it"):
            x.add_(1)
    assert a.tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_strided_array_stays_shared_whatever_is_done(requires_grad):
    a = np.arange(6.0).reshape(2, 3).T
    x = cr.from_numpy(a).requires_grad_(requires_grad)
    x.detach()[0, 0] = 100.0
    x.numpy(force=True)[1, 1] = 50.0
    with cr.no_grad():
        x[2].fill_(7.0)
        x.t()[0, 1] = 9.0
        x.mul_(2.0)
    assert a.tolist() == [[200.0, 6.0], [18.0, 100.0], [14.0, 14.0]]
    assert x.tolist() == a.tolist()
    assert x.stride() == (1, 3)
    assert not x.is_contiguous()


# ---- DLPack ----------------------------------------------------------------------------------------------------------


def test_dlpack_in_both_directions_without_a_copy():
    x = t([1.0, 2.0, 3.0])
    a = np.from_dlpack(x)
    x[0] = 8.0
    assert a.tolist() == [8.0, 2.0, 3.0] and np.shares_memory(a, x.numpy())
    back = cr.from_dlpack(a)
    (back if a.flags.writeable else x)[1] = 5.0  # NumPy below 2.2 takes what comes through DLPack for read-only
    assert x.tolist() == back.tolist() == [8.0, 5.0, 3.0]
    assert x.__dlpack_device__() == (1, 0)
    turned = t([[1.0, 2.0], [3.0, 4.0]]).t()
    assert np.from_dlpack(turned).tolist() == cr.from_dlpack(turned).tolist() == [[1.0, 3.0], [2.0, 4.0]]
    copied = np.from_dlpack(x, copy=True)
    assert not np.shares_memory(copied, x.numpy())


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "float32", "float64", "complex64", "complex128"])
def test_dlpack_of_every_dtype(dtype):
    x = cr.ones(2, dtype=getattr(cr, dtype), device="cpu")
    assert np.from_dlpack(x).dtype == dtype and cr.from_dlpack(np.ones(2, dtype)).dtype == x.dtype


def test_what_dlpack_refuses():
    with pytest.raises(BufferError, match=r"requires grad.*\.detach\(\)"):
        np.from_dlpack(leaf())
    with pytest.raises(BufferError, match=r"requires grad"):
        cr.from_dlpack(leaf() * 2)
    with pytest.raises(BufferError, match=r"bfloat16.*\.float\(\)"):
        cr.ones(2, dtype=cr.bfloat16, device="cpu").__dlpack__()
    with pytest.raises(BufferError, match="has no stream"):
        cr.ones(2, device="cpu").__dlpack__(stream=1)
    with pytest.raises(BufferError, match=r"guard.*\.cpu\(\)"):
        cr.ones(2, device="guard").__dlpack__()
    with pytest.raises(TypeError, match="from_dlpack: expected an array with __dlpack__, or a capsule, got list"):
        cr.from_dlpack([1.0])
    with pytest.raises(ValueError, match="copy=False forbids"):
        cr.from_dlpack(np.ones(2), device="guard", copy=False)
    assert cr.from_dlpack(np.ones(2), device="guard").device.type == "guard"


def test_capsules():
    x = t([1.0, 2.0])
    capsule = dlpack.to_dlpack(x)
    shared = dlpack.from_dlpack(capsule)
    x[0] = 3.0
    assert shared.tolist() == [3.0, 2.0]
    with pytest.raises(RuntimeError, match="not used before"):
        dlpack.from_dlpack(capsule)
    versioned = x.__dlpack__(max_version=(1, 0))
    writable = dlpack.from_dlpack(versioned)
    if tuple(map(int, np.__version__.split(".")[:2])) < (2, 2):  # which knows no capsules that say they are writable
        with pytest.raises(RuntimeError, match="read-only"):
            writable[1] = 4.0
        return
    writable[1] = 4.0
    assert x.tolist() == [3.0, 4.0]


def test_the_memory_outlives_its_maker():
    x = cr.from_dlpack(np.arange(4.0))
    a = np.from_dlpack(t([5.0, 6.0]))
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0] and a.tolist() == [5.0, 6.0]


def test_cuda_array_interface_is_there_on_cuda_only():
    assert not hasattr(cr.ones(2, device="cpu"), "__cuda_array_interface__")
    assert not hasattr(cr.ones(2, device="guard"), "__cuda_array_interface__")


@pytest.mark.gpu
def test_sharing_with_cupy():
    import cupy

    x = cr.arange(4, dtype=cr.float32, device="cuda")
    a = cupy.from_dlpack(x)
    a[0] = 7.0
    assert x.tolist() == [7.0, 1.0, 2.0, 3.0] and x.__dlpack_device__() == (2, 0)
    back = cr.from_dlpack(a)
    back[1] = 9.0
    assert x.tolist()[1] == 9.0 and back.device == x.device
    viewed = cupy.asarray(x)  # through __cuda_array_interface__ or DLPack
    viewed[2] = 5.0
    assert x.tolist()[2] == 5.0
    assert x.__cuda_array_interface__["shape"] == (4,)
    assert cr.from_dlpack(a, device="cpu").device.type == "cpu"
    assert cr.asarray(a).device == x.device
    with pytest.raises(RuntimeError, match="requires grad"):
        _ = cr.ones(2, device="cuda", requires_grad=True).__cuda_array_interface__
    with pytest.raises(TypeError, match="on cuda"):
        np.asarray(x)
    with pytest.raises(ValueError, match="copy=False"):
        cr.from_dlpack(a, device="cpu", copy=False)
