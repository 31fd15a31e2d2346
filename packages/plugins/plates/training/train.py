"""Trains the plate reader on the strips of synth.py and writes its weights.

A small fully convolutional network, one column of scores per two pixels, first taught
where each character stands (the strips know), then by CTC loss alone. Batch normalisation is folded in before export.
Usage: train.py DATA_DIR SEED MINUTES OUT.bin OUT.json [START.weights.h5]
With START it goes on from those weights, by CTC loss alone and with small steps.
"""
import glob
import json
import os
import sys
import time

import numpy as np
import tensorflow as tf

CLASSES = "0123456789ABCDEFGHIJKLMNPQRSTUVWXYZ"
BLANK = len(CLASSES)
# rows, columns, output channels, pooling (rows, columns) after it, padding of the rows
LAYERS = [(3, 3, 24, (2, 1), True), (3, 3, 40, (2, 1), True), (3, 3, 56, None, True), (4, 3, 72, None, False), (1, 5, 72, None, False)]


def build():
    inputs = tf.keras.Input((32, None, 1))
    # Each two by two pixels become one with four channels: as good as a first layer, at a fraction of its cost.
    x = tf.keras.layers.Lambda(lambda v: tf.nn.space_to_depth(v, 2))(inputs)
    for rows, columns, channels, pool, pad_rows in LAYERS:
        if not pad_rows:
            x = tf.keras.layers.ZeroPadding2D((0, columns // 2))(x)
        x = tf.keras.layers.Conv2D(channels, (rows, columns), padding="same" if pad_rows else "valid", use_bias=False)(x)
        x = tf.keras.layers.BatchNormalization(momentum=0.98)(x)
        x = tf.keras.layers.ReLU()(x)
        if pool:
            x = tf.keras.layers.MaxPool2D(pool)(x)
    x = tf.keras.layers.SpatialDropout2D(0.1)(x)
    x = tf.keras.layers.Conv2D(BLANK + 1, 1)(x)
    return tf.keras.Model(inputs, x[:, 0])


def load(folder):
    images, labels, spots = [], [], []
    for path in sorted(glob.glob(f"{folder}/*.npz")):
        if path.endswith("/0.npz"):
            continue
        try:
            data = np.load(path)
            images.append(data["images"])
            labels += list(data["labels"])
            spots.append(data["spots"])
        except Exception:
            continue
    return np.concatenate(images), labels, np.concatenate(spots)


def encode(labels):
    wide = max(len(t) for t in labels)
    out = np.full((len(labels), wide), 0, np.int32)
    for i, text in enumerate(labels):
        out[i, : len(text)] = [CLASSES.index(c) for c in text]
    return out, np.array([len(t) for t in labels], np.int32)


def framed(labels, spots, steps):
    """For each column: which character stands there and how much it matters; the rims of characters matter nothing."""
    middle = (np.arange(steps) * 2 + 1)[None, :]
    target = np.full((len(labels), steps), BLANK, np.int32)
    weight = np.ones((len(labels), steps), np.float32)
    for k in range(spots.shape[1]):
        at, wide = spots[:, k, :1], spots[:, k, 1:]
        away = np.abs(middle - at)
        known = at >= 0
        inside = known & (away <= np.maximum(1.3, 0.2 * wide))
        rim = known & ~inside & (away <= np.maximum(2.2, 0.4 * wide))
        weight[rim] = 0
        classes = np.array([CLASSES.index(t[k]) if k < len(t) else BLANK for t in labels], np.int32)
        target = np.where(inside, classes[:, None], target)
        weight[inside] = 2
    return target, weight


def normalise(x):
    x = tf.cast(x, tf.float32)
    mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
    return (x - mean) / (tf.sqrt(variance) + 8.0)


def decode(scores):
    best = np.argmax(scores, -1)
    out = []
    for row in best:
        text, last = "", BLANK
        for c in row:
            if c != last and c != BLANK:
                text += CLASSES[c]
            last = c
        out.append(text)
    return out


def export(model, binary, text):
    weights, shapes = [], []
    layers = model.layers
    for i, layer in enumerate(layers):
        if not isinstance(layer, tf.keras.layers.Conv2D):
            continue
        kernel = layer.get_weights()[0]
        after = layers[i + 1] if i + 1 < len(layers) else None
        if isinstance(after, tf.keras.layers.BatchNormalization):
            gamma, beta, mean, variance = after.get_weights()
            scale = gamma / np.sqrt(variance + after.epsilon)
            kernel, bias = kernel * scale, beta - mean * scale
        else:
            bias = layer.get_weights()[1]
        shapes.append(list(kernel.shape))
        weights += [kernel.astype("<f2").tobytes(), bias.astype("<f2").tobytes()]
    open(binary, "wb").write(b"".join(weights))
    json.dump({"classes": CLASSES, "layers": shapes, "pools": [l[3] for l in LAYERS]}, open(text, "w"))


def main():
    folder, seed, minutes, binary, text = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5]
    tf.random.set_seed(seed)
    rng = np.random.default_rng(seed)
    model = build()
    start_weights = sys.argv[6] if len(sys.argv) > 6 else None
    if start_weights:
        model.load_weights(start_weights)
    optimizer = tf.keras.optimizers.AdamW(2e-3, weight_decay=1e-4, clipnorm=5.0)

    @tf.function(reduce_retracing=True)
    def teach(x, target, weight, rate):
        optimizer.learning_rate.assign(rate)
        noise = tf.random.normal(tf.shape(x), stddev=tf.random.uniform((tf.shape(x)[0], 1, 1, 1), 0, 7))
        x = normalise(tf.cast(x, tf.float32) + noise)
        with tf.GradientTape() as tape:
            scores = model(x, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(target, scores) * weight
            loss = tf.reduce_sum(losses) / tf.reduce_sum(weight)
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables))
        return loss

    @tf.function(reduce_retracing=True)
    def step(x, y, length, rate):
        optimizer.learning_rate.assign(rate)
        noise = tf.random.normal(tf.shape(x), stddev=tf.random.uniform((tf.shape(x)[0], 1, 1, 1), 0, 7))
        x = normalise(tf.cast(x, tf.float32) + noise)
        with tf.GradientTape() as tape:
            scores = model(x, training=True)
            frames = tf.fill([tf.shape(scores)[0]], tf.shape(scores)[1])
            loss = tf.reduce_mean(tf.nn.ctc_loss(y, scores, length, frames, logits_time_major=False, blank_index=BLANK))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables))
        return loss

    start, batch, seen, epoch = time.time(), 64, 0, 0
    progress = lambda: (time.time() - start) / 60 / minutes
    held = np.load(f"{folder}/0.npz")
    while progress() < 1:
        images, labels, spots = load(folder)
        y, length = encode(labels)
        target, weight = framed(labels, spots, images.shape[2] // 2)
        order, total, count = rng.permutation(len(labels)), 0.0, 0
        for i in range(0, len(order) - batch, batch):
            if progress() >= 1:
                break
            rate = np.float32((1.2e-3 if start_weights else 2.5e-3) * min(1, (seen + 500) / 5000) * (0.5 * (1 + np.cos(np.pi * min(1, progress()))) + 0.004))
            pick = order[i : i + batch]
            if progress() < 0.65 and not start_weights:
                total += float(teach(images[pick][..., None], target[pick], weight[pick], tf.constant(rate)))
            else:
                total += float(step(images[pick][..., None], y[pick], length[pick], tf.constant(rate * np.float32(0.5))))
            seen += batch
            count += 1
            if count % 25 == 0:
                print(f"{progress():.3f} epoch {epoch} seen {seen} loss {total / count:.4f}", flush=True)
        guess = decode(model(normalise(held["images"][..., None]), training=False).numpy())
        exact = np.mean([a == b for a, b in zip(guess, held["labels"])])
        print(f"epoch {epoch} strips {len(labels)} held out exact {exact:.3f}", flush=True)
        epoch += 1
        export(model, binary, text)
        model.save_weights(binary + ".weights.h5")
    export(model, binary, text)


if __name__ == "__main__":
    main()
