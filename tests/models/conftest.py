"""TensorFlow on one thread of the processor, whatever the machine has: the tests' numbers do not depend on it."""

import os

os.environ.update(
    CUDA_VISIBLE_DEVICES="-1",
    TF_CPP_MIN_LOG_LEVEL="3",
    TF_NUM_INTRAOP_THREADS="1",
    TF_NUM_INTEROP_THREADS="1",
)
