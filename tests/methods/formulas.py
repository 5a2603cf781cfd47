"""The papers' formulas in plain NumPy, written from the papers and not from our code.

Shapes: B rows, C classes, P patches or tokens, D embedding width. All numbers are float64.
"""

import numpy as np


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def softmax(x):
    powers = np.exp(x - x.max())
    return powers / powers.sum()


def cosines(x, y):
    """[n, m] of x [n, D] and y [m, D]."""
    return unit(x) @ unit(y).T


def ranking_loss(scores, labels, margin=1.0, known=None):
    """Mean over rows of sum_{i there} sum_{j not there} max(0, margin - s_i + s_j), over known labels."""
    total = 0.0
    for row, there, sure in zip(scores, labels, sure_of(known, labels), strict=True):
        for i in np.flatnonzero(there & sure):
            for j in np.flatnonzero(~there & sure):
                total += max(0.0, margin - row[i] + row[j])
    return total / len(scores)


def class_wise_ranking_loss(scores, labels, margin=1.0, known=None):
    """Mean over classes of the mean of max(0, margin - s_a + s_b) over images a that hold it and b that do
    not, where both is known.
    """
    means = []
    for column, there, sure in zip(scores.T, labels.T, sure_of(known, labels).T, strict=True):
        gaps = [max(0.0, margin - a + b) for a in column[there & sure] for b in column[~there & sure]]
        means += [np.mean(gaps)] if gaps else []
    return np.mean(means)


def sure_of(known, labels):
    """All labels, where nothing is said about them."""
    return np.ones_like(labels) if known is None else known


def doubtful(scores, labels, share):
    """Of the rows that hold a class those that score below the quantile `share` of them, [B, C]."""
    doubted = np.zeros_like(labels)
    for c in range(labels.shape[1]):
        holds = [i for i in range(len(labels)) if labels[i, c]]
        for i in holds:
            doubted[i, c] = scores[i, c] < np.quantile([scores[each, c] for each in holds], share)
    return doubted


def global_scores(x, classes, scale):
    """scale cos(x, class), [B, C]."""
    return scale * cosines(x, classes)


def heatmap(places, classes, k):
    """softmax_j(k cos(x_j, class)) of one row's places [P, D], [C, P]."""
    return np.stack([softmax(k * row) for row in cosines(classes, places)])


def local_scores(places, classes, k, scale, mask=None):
    """sum_j softmax_j(k cos(x_j, class)) scale cos(x_j, class), [B, C]; padding is not looked at."""
    rows = []
    for b, row in enumerate(places):
        real = row if mask is None else row[mask[b]]
        rows.append((heatmap(real, classes, k) * scale * cosines(classes, real)).sum(axis=1))
    return np.stack(rows)


def aggregated(places, classes, k):
    """z_c = sum_j softmax_j(k cos(x_j, class)) x_j, [B, C, D]."""
    return np.stack([heatmap(row, classes, k) @ row for row in places])


def prototype_scores(places, classes, prototypes, k, scale):
    """scale cos(z_c, p_c), [B, C]."""
    z = aggregated(places, classes, k)
    return np.stack([scale * np.diag(cosines(row, prototypes)) for row in z])


def first_prototypes(places, labels, classes, k):
    """The direction of the mean of z_c over the images that hold c; of no image, the class's own feature."""
    z = aggregated(places, classes, k)
    means = [
        z[labels[:, c], c].mean(axis=0) if labels[:, c].any() else classes[c] for c in range(len(classes))
    ]
    return unit(np.stack(means))


def adapted(x, first, second, share, kept=1.0):
    """norm(share W2 dropout(relu(W1 x)) + (1 - share) x)."""
    return unit(share * (np.maximum(x @ first.T, 0) * kept) @ second.T + (1 - share) * x)


def cache_scores(x, keys, values, beta):
    """Tip-Adapter: exp(-beta (1 - cos(x, key))) values, [B, C]."""
    return np.exp(-beta * (1 - cosines(x, keys))) @ values


def with_noise(x, noise, std):
    """Gaussian noise on unit vectors, which are made unit vectors again."""
    return unit(x + std * noise)


def contrast(text, visual, scale, reduce=np.sum):
    """Half of CE(text -> visual) + CE(visual -> text), each class its own target."""
    logits = scale * cosines(text, visual)
    there = [-np.log(softmax(row)[c]) for c, row in enumerate(logits)]
    back = [-np.log(softmax(row)[c]) for c, row in enumerate(logits.T)]
    return (reduce(there) + reduce(back)) / 2
