"""Data in two parts, to train a classifier with one and score it with the other."""

from __future__ import annotations

from dataclasses import dataclass

from sklearn.model_selection import train_test_split

from examples.training.graph_builder import Array


@dataclass(frozen=True)
class Split:
    """Samples and the number of each one's class, for training and held out."""

    training: Array
    training_classes: Array
    held_out: Array
    held_out_classes: Array

    @classmethod
    def of(cls, samples: Array, classes: Array) -> Split:
        """Split a set, always alike: a quarter is held out, with the same share of each class on both sides."""
        split = train_test_split(samples, classes, test_size=0.25, stratify=classes, random_state=0)
        return cls(training=split[0], held_out=split[1], training_classes=split[2], held_out_classes=split[3])
