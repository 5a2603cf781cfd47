"""A recognizer over a folder or bucket of images: what to do, the rows, and other formats of them."""
