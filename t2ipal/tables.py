"""The tables between stages: one Arrow schema each, stored as Parquet shards.

Class labels are indices into the vocabulary of the run, in increasing order.
"""

import pyarrow as pa

LABELS = pa.list_(pa.int32())

CAPTIONS = pa.schema(
    [
        pa.field("caption_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("labels", LABELS, nullable=False),  # classes found in the text
        pa.field("requested", LABELS, nullable=False),  # classes that were asked for
        pa.field("source", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
    ]
)

IMAGES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("caption_id", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),  # of the attempt that is kept (t2ipal.images.rows)
        # Encoded bytes; large_binary because binary's 32-bit offsets overflow at 2 GiB a column chunk. What
        # could not be painted has none, and a width and height of 0.
        pa.field("image", pa.large_binary(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),  # of the encoded bytes
        pa.field("labels", LABELS, nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # why it was not kept; empty when it was
    ]
)

FEATURES = pa.schema(
    [
        # Of a crop (`features.views`) the image's, with @ and a number behind it.
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("labels", LABELS, nullable=False),
        pa.field("global", pa.list_(pa.float16()), nullable=False),  # [D]
        pa.field("patches", pa.list_(pa.float16()), nullable=False),  # [P, D], row-major
    ]
)

# Of the test set: also the classes that are neither surely there nor surely not ("difficult" in VOC2007).
TEST_FEATURES = FEATURES.append(pa.field("ignored", LABELS, nullable=False))

# Whether the frozen CLIP sees in an image with features what its caption names.
AGREEMENT = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),  # cosine, of the image and its caption
        # Among all classes, of that class of the caption which the image shows least; where it is asked for.
        pa.field("rank", pa.int32()),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # why tuning leaves it out; empty when it does not
    ]
)

CAPTION_FEATURES = pa.schema(
    [
        pa.field("caption_id", pa.string(), nullable=False),
        pa.field("labels", LABELS, nullable=False),
        pa.field("global", pa.list_(pa.float16()), nullable=False),  # [D]
        pa.field("tokens", pa.list_(pa.float16()), nullable=False),  # [L, D], row-major, no padding
    ]
)

PREDICTIONS = pa.schema(
    [
        pa.field("image", pa.string(), nullable=False),
        pa.field("scores", pa.list_(pa.float32()), nullable=False),  # [C]
        pa.field("labels", LABELS, nullable=False),  # classes above their threshold
    ]
)

# What a recognizer says of images that are labelled in bulk (t2ipal.labelling).
LABELLED = pa.schema(
    [
        pa.field("image", pa.string(), nullable=False),  # its path below the folder of images
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field(
            "labels",  # the surest first
            pa.list_(
                pa.struct(
                    [
                        pa.field("name", pa.string()),
                        pa.field("score", pa.float64()),  # probability, 0 to 1
                        pa.field("zero_shot", pa.bool_()),  # a name that was never tuned
                        # In shares of the width and the height: x, y, and left, top, right, bottom.
                        pa.field("peak", pa.list_(pa.float64())),
                        pa.field("box", pa.list_(pa.float64())),
                    ]
                )
            ),
            nullable=False,
        ),
        # Probabilities of all classes, and then of the new names, in the order of labelling.json.
        pa.field("scores", pa.list_(pa.float64()), nullable=False),
        pa.field("error", pa.string()),  # why the image could not be read
    ]
)
