"""The blur of the registration against scipy's, which is the reference for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from liverpair.register.gaussian import gaussian_blur
from scipy import ndimage

SIGMAS = [(2.4, 2.4, 0.6), (1.0, 0.1, 3.0), (0.0, 0.0, 0.0), (0.2, 5.0, 0.2)]


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_blurred_image_is_scipys_to_single_precision(sigma: tuple[float, float, float]) -> None:
    image = np.random.default_rng(5).normal(100, 30, size=(23, 17, 9)).astype(np.float32)
    expected = ndimage.gaussian_filter(image.astype(np.float64), sigma, mode="nearest", truncate=3.0)
    np.testing.assert_allclose(gaussian_blur(image, np.array(sigma)), expected, rtol=2e-6, atol=2e-5)


def test_an_image_in_another_memory_order_is_blurred_alike_and_left_as_it_was() -> None:
    image = np.random.default_rng(6).normal(size=(12, 10, 8)).astype(np.float32)
    turned = np.asfortranarray(image)
    sigma = np.array([1.5, 1.0, 0.7])
    np.testing.assert_array_equal(gaussian_blur(turned, sigma), gaussian_blur(image, sigma))
    np.testing.assert_array_equal(turned, image)


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float32, (5, 6, 7), elements=st.floats(-1000, 1000, width=32)),
    st.tuples(*[st.floats(0, 4)] * 3),
)
def test_no_blurred_value_leaves_the_range_of_the_image(image: np.ndarray, sigma: tuple[float, float, float]) -> None:
    out = gaussian_blur(image, np.array(sigma))
    slack = 1e-5 * max(1.0, float(np.abs(image).max()))
    assert out.min() >= image.min() - slack
    assert out.max() <= image.max() + slack
