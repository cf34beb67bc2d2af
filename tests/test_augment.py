"""Augmentation of batches, and synthetic data sets."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.utils.data import augment, synthetic


def generator(seed=0):
    return cr.Generator().manual_seed(seed)


def images(n=6, c=2, h=5, w=7):
    """No two pixels of one image are equal."""
    return cr.arange(n * c * h * w).reshape(n, c, h, w).float() + 1


def array(t):
    return t.numpy(force=True)


def windows(batch, h, w):
    """All parts of each image of that size: (N, places, C, h, w)."""
    views = np.lib.stride_tricks.sliding_window_view(array(batch), (h, w), axis=(2, 3))
    n, c = views.shape[:2]
    return np.moveaxis(views, 1, 3).reshape(n, -1, c, h, w)


def test_random_crop():
    x = images(40)
    out = augment.random_crop(x, (3, 4), generator=generator())
    assert out.shape == (40, 2, 3, 4)
    found = (windows(x, 3, 4) == array(out)[:, None]).all((2, 3, 4))
    assert found.any(1).all() and len(set(found.argmax(1))) == 3 * 4  # each place occurs
    padded = augment.random_crop(x, padding=(2, 1), value=-1.0, generator=generator())
    assert padded.shape == x.shape
    wide = cr.nn.functional.pad(x, (1, 1, 2, 2), value=-1.0)
    assert (windows(wide, 5, 7) == array(padded)[:, None]).all((2, 3, 4)).any(1).all()
    moved = augment.random_translation(x, (0, 2), generator=generator())
    assert len({int(row.argmin()) for row in array(moved)[:, 0, 0]}) > 1 and (array(moved) == 0).any()


def test_random_flip():
    x = images(60)
    for vertical, axis in ((False, -1), (True, -2)):
        out = augment.random_flip(x, 0.25, vertical=vertical, generator=generator())
        same = (array(out) == array(x)).all((1, 2, 3))
        mirrored = (array(out) == np.flip(array(x), axis)).all((1, 2, 3))
        assert (same ^ mirrored).all() and 5 < mirrored.sum() < 25
    assert augment.random_flip(x.to(cr.uint8), 1.0).dtype == cr.uint8


def test_random_rotation():
    x = images(3)
    np.testing.assert_allclose(array(augment.random_rotation(x, (180, 180))), array(x)[:, :, ::-1, ::-1], rtol=1e-5)
    square = images(3, 2, 6, 6)
    np.testing.assert_allclose(array(augment.random_rotation(square, (90, 90))), np.rot90(array(square), axes=(2, 3)),
                               rtol=1e-4)  # fmt: skip
    out = augment.random_rotation(cr.ones(200, 1, 9, 9), 30, generator=generator())
    corners = array(out)[:, 0, 0, 0]
    assert corners.max() > 0.9 and corners.min() < 0.3  # by different angles


def test_rotation_agrees_with_the_transform():
    from chainrule.vision.transforms import InterpolationMode
    from chainrule.vision.transforms import functional as F

    x = images(2)
    ours = augment.random_rotation(x, (25, 25))
    np.testing.assert_allclose(array(ours), array(F.rotate(x, 25, InterpolationMode.BILINEAR)), rtol=1e-4, atol=1e-3)


def test_noise_cutout_and_mixup():
    x = cr.zeros(50, 1, 20, 20)
    assert abs(float(augment.random_noise(x, 0.5, generator=generator()).std()) - 0.5) < 0.01
    holes = array(augment.cutout(x + 1, (4, 6), value=9.0, generator=generator()))[:, 0] == 9
    sizes = holes.any(2).sum(1), holes.any(1).sum(1)
    assert max(sizes[0]) == 4 and max(sizes[1]) == 6 and min(sizes[0]) < 4  # some lie over the edge
    assert (holes.sum((1, 2)) == sizes[0] * sizes[1]).all()
    y = cr.arange(50) % 3
    mixed, soft = augment.mixup(images(50), y, 1.0, num_classes=3, generator=generator())
    share = array(soft)[np.arange(50), array(y)]
    assert soft.shape == (50, 3) and np.allclose(array(soft).sum(1), 1)
    lam = share[share < 1][0]
    assert np.isclose(share, lam, atol=1e-6).sum() + (share == 1).sum() == 50
    differences = array(mixed) - lam * array(images(50))
    assert np.allclose(differences[:, :, 1:] - differences[:, :, :-1], (1 - lam) * 7, atol=2e-2)
    same, targets = augment.mixup(images(4), cr.ones(4, 2), 0.0)
    assert array(same == images(4)).all() and array(targets == 1).all()


STEPS = [
    lambda x, g: augment.random_crop(x, padding=1, generator=g),
    lambda x, g: augment.random_flip(x, generator=g),
    lambda x, g: augment.random_rotation(x, 20, generator=g),
    lambda x, g: augment.random_translation(x, 2, generator=g),
    lambda x, g: augment.random_noise(x, generator=g),
    lambda x, g: augment.cutout(x, 2, generator=g),
    lambda x, g: augment.mixup(x, cr.zeros(len(x)), 1.0, generator=g)[0],
]


@pytest.mark.parametrize("step", STEPS)
def test_seeds_devices_and_gradients(step):
    x = images().requires_grad_()
    first, again, other = (step(x, generator(s)) for s in (1, 1, 2))
    assert array(first == again).all() and not array(first == other).all()
    assert first.shape == x.shape and first.dtype == x.dtype and first.device == x.device
    first.sum().backward()
    assert x.grad is not None and array(x.grad).any()
    host = step(images().cpu(), generator(1))  # the same draws on every device
    np.testing.assert_allclose(array(host), array(first), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: augment.random_flip(np.ones(3)), TypeError, "got ndarray"),
        (lambda: augment.random_flip(cr.ones(3, 4)), ValueError, r"\(N, C, H, W\), got shape \(3, 4\)"),
        (lambda: augment.random_flip(images(), 1.5), ValueError, "p must be from 0 to 1"),
        (lambda: augment.random_crop(images(), 9), ValueError, "9x9 is larger than the images, 5x7"),
        (lambda: augment.random_crop(images(), padding=-1), ValueError, "none negative"),
        (lambda: augment.random_rotation(images().to(cr.uint8), 3), TypeError, "divide bytes by 255"),
        (lambda: augment.mixup(images(), cr.zeros(6).long()), ValueError, "need num_classes="),
        (lambda: augment.mixup(images(), cr.zeros(5)), ValueError, "each of 6 images, got 5"),
        (lambda: augment.mixup(images(), cr.zeros(6), -1), ValueError, "alpha"),
        (lambda: synthetic.make_xor(0), ValueError, "positive integer, got 0"),
        (lambda: synthetic.make_moons((1, 2, 3)), ValueError, "an integer or two"),
        (lambda: synthetic.make_circles(factor=1.0), ValueError, "factor"),
        (lambda: synthetic.make_spirals(n_classes=0), ValueError, "n_classes"),
        (lambda: synthetic.make_blobs(centers=[1.0, 2.0]), ValueError, r"got shape \(2,\)"),
        (lambda: synthetic.make_blobs([3, 4], centers=3), ValueError, "2 values of n_samples do not fit 3 centers"),
        (lambda: synthetic.make_blobs(cluster_std=[1.0]), ValueError, "each of 3 blobs, got 1"),
    ],
)
def test_bad_input(act, error, message):
    with pytest.raises(error, match=message):
        act()


# ---- synthetic sets -------------------------------------------------------------------------------------------------

MAKERS = [synthetic.make_xor, synthetic.make_moons, synthetic.make_circles, synthetic.make_spirals]


@pytest.mark.parametrize("make", [*MAKERS, synthetic.make_blobs])
def test_synthetic_sets_are_seeded(make):
    noise = {} if make is synthetic.make_blobs else {"noise": 0.1}
    sets = [make(61, random_state=seed, **noise) for seed in (1, 1, 2)]
    X, y = sets[0]
    assert X.shape == (61, 2) and X.dtype == cr.float32 and y.shape == (61,) and y.dtype == cr.int64
    assert array(X == sets[1][0]).all() and array(y == sets[1][1]).all() and not array(X == sets[2][0]).all()
    assert make(61, random_state=generator(1), **noise)[0].tolist() == X.tolist()
    counts = np.bincount(array(y))
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(("name", "options"), [("make_moons", {}), ("make_circles", {"factor": 0.3})])
def test_shapes_are_those_of_scikit_learn(name, options):
    theirs = pytest.importorskip("sklearn.datasets", reason="compares with scikit-learn")
    for n in (100, 7, (3, 5)):
        X, y = getattr(synthetic, name)(n, shuffle=False, **options)
        expected, labels = getattr(theirs, name)(n, shuffle=False, **options)
        np.testing.assert_allclose(array(X), expected, atol=1e-6)
        assert y.tolist() == labels.tolist()


def test_xor_and_spirals():
    X, y = synthetic.make_xor(400, noise=0.05, random_state=0)
    corners = array(X).round()
    assert ((corners[:, 0] != corners[:, 1]) == array(y)).all()
    X, y = synthetic.make_spirals(300, 3, turns=0.75, shuffle=False)
    radius, angle = np.hypot(*array(X).T), np.arctan2(*array(X).T[::-1])
    wanted = 2 * math.pi * (0.75 * radius + array(y) / 3)
    np.testing.assert_allclose(np.cos(angle - wanted), 1, atol=1e-5)
    assert np.isclose(radius.max(), 1)


def test_blobs():
    X, y, centers = synthetic.make_blobs([500, 100], centers=[[0.0, 5.0, 1.0], [9.0, 9.0, 9.0]],
                                         cluster_std=[1.0, 0.1], random_state=0, return_centers=True)  # fmt: skip
    assert X.shape == (600, 3) and np.bincount(array(y)).tolist() == [500, 100] and centers.shape == (2, 3)
    for i, std in enumerate((1.0, 0.1)):
        points = array(X)[array(y) == i]
        np.testing.assert_allclose(points.mean(0), array(centers[i]), atol=0.15)
        np.testing.assert_allclose(points.std(0), std, rtol=0.2)
    assert synthetic.make_blobs(10, 4, centers=5)[0].shape == (10, 4)
