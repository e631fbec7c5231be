"""The lab in TensorFlow 2 / Keras: standard CNN and DB-VAE, as the course describes them.

    .venv-labs/bin/python -m labs.tensorflow_lab --help      # in benchmarks/

Written from the paper and the course's description, with its known slips avoided: batch statistics are learnt while
training and used in evaluation mode for encoding and scoring, and pixels are scaled alike in both.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from labs.lab import KL_WEIGHT, LATENT, LEARNING_RATE, main

layers = tf.keras.layers
FILTERS = 12


def standard_cnn(outputs: int) -> tf.keras.Model:
    """Four convolutions with stride 2, each followed by ReLU and batch norm; dense 512; dense outputs."""
    plan = [(FILTERS, 5), (2 * FILTERS, 5), (4 * FILTERS, 3), (6 * FILTERS, 3)]
    stack = [tf.keras.Input((64, 64, 3))]
    for filters, kernel in plan:
        stack += [
            layers.Conv2D(filters, kernel, strides=2, padding="same", activation="relu"),
            layers.BatchNormalization(),
        ]
    stack += [layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dense(outputs)]
    return tf.keras.Sequential(stack)


def decoder() -> tf.keras.Model:
    """Dense; transposed convolutions back to the picture; ReLU on the output too, as the lab has it."""
    plan = [(4 * FILTERS, 3), (2 * FILTERS, 3), (FILTERS, 5), (3, 5)]
    stack = [
        tf.keras.Input((LATENT,)),
        layers.Dense(4 * 4 * 6 * FILTERS, activation="relu"),
        layers.Reshape((4, 4, 6 * FILTERS)),
    ]
    for filters, kernel in plan:
        stack.append(layers.Conv2DTranspose(filters, kernel, strides=2, padding="same", activation="relu"))
    return tf.keras.Sequential(stack)


class Standard:
    """The plain classifier."""

    def __init__(self) -> None:
        self.model = standard_cnn(1)
        self.optimizer = tf.keras.optimizers.Adam(LEARNING_RATE)

    @tf.function
    def _step(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)[:, 0]
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))
        variables = self.model.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        return float(self._step(tf.convert_to_tensor(images), tf.convert_to_tensor(labels)))

    def logits(self, images: np.ndarray) -> np.ndarray:
        return self.model(images, training=False)[:, 0].numpy()

    def weights(self) -> list[np.ndarray]:
        return self.model.get_weights()

    def load(self, weights: list[np.ndarray]) -> None:
        self.model.set_weights(weights)


class DBVAE:
    """The debiasing VAE: every image is decoded, and the loss of the negatives' pictures multiplied by 0."""

    def __init__(self) -> None:
        self.encoder, self.decoder = standard_cnn(2 * LATENT + 1), decoder()
        self.optimizer = tf.keras.optimizers.Adam(LEARNING_RATE)

    def encode(self, images: tf.Tensor, *, training: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        raw = self.encoder(images, training=training)
        return raw[:, 0], raw[:, 1 : LATENT + 1], raw[:, LATENT + 1 :]

    @tf.function
    def _step(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits, mean, log_variance = self.encode(images, training=True)
            codes = mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))
            pixels = tf.reduce_mean(tf.abs(images - self.decoder(codes, training=True)), axis=(1, 2, 3))
            kl = 0.5 * tf.reduce_sum(tf.exp(log_variance) + tf.square(mean) - 1.0 - log_variance, axis=1)
            classification = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
            loss = tf.reduce_mean(classification + labels * (KL_WEIGHT * kl + pixels))
        variables = self.encoder.trainable_variables + self.decoder.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        return float(self._step(tf.convert_to_tensor(images), tf.convert_to_tensor(labels)))

    def means(self, images: np.ndarray) -> np.ndarray:
        return self.encode(images, training=False)[1].numpy()

    def logits(self, images: np.ndarray) -> np.ndarray:
        return self.encode(images, training=False)[0].numpy()

    def weights(self) -> list[np.ndarray]:
        return [*self.encoder.get_weights(), *self.decoder.get_weights()]

    def load(self, weights: list[np.ndarray]) -> None:
        count = len(self.encoder.get_weights())
        self.encoder.set_weights(weights[:count])
        self.decoder.set_weights(weights[count:])


def start(model: str, seed: int) -> Standard | DBVAE:
    tf.keras.utils.set_random_seed(seed)
    return Standard() if model == "cnn" else DBVAE()


def set_threads(count: int) -> None:
    """What TensorFlow chooses by itself on a machine with as many cores."""
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)


if __name__ == "__main__":
    main(start, set_threads, {"tensorflow": tf.__version__, "numpy": np.__version__}, __doc__.splitlines()[0])
