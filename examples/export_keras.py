"""Keras -> .tflite: float32, dynamic range and full int8. Writes cnn_*.tflite and gru_*.tflite into the current folder."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def cnn() -> keras.Model:
    """A small image classifier: separable convolutions and a residual."""
    x = inputs = keras.Input((32, 32, 3), batch_size=1)  # the workbench runs any number of samples anyway
    x = keras.layers.Conv2D(48, 3, strides=2, padding="same", activation="relu")(x)
    y = keras.layers.SeparableConv2D(48, 3, padding="same", activation="hard_swish")(x)
    x = keras.layers.Add()([x, y])
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


def gru() -> keras.Model:
    """A small keyword spotter: 20 frames of 10 features, unrolled, because TFLite has no operator for a GRU."""
    x = inputs = keras.Input((20, 10), batch_size=1)
    x = keras.layers.GRU(32, unroll=True, reset_after=False)(x)
    return keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x))


def convert(model: keras.Model, name: str, samples: np.ndarray) -> None:
    """Write three files: as trained, with int8 weights (dynamic range), and all in int8 with scales from samples."""
    for kind in ("float32", "dynamic", "int8"):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if kind != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if kind == "int8":
            converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        Path(f"{name}_{kind}.tflite").write_bytes(converter.convert())


def main() -> None:
    """Convert both networks, untrained: what counts here is the export."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    convert(cnn(), "cnn", rng.uniform(0, 1, (50, 32, 32, 3)).astype(np.float32))
    convert(gru(), "gru", rng.normal(0, 1, (50, 20, 10)).astype(np.float32))


if __name__ == "__main__":
    main()
