"""What a power cut does."""


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])
