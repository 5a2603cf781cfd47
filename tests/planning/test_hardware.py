import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jobs.planning.hardware import cloud_type, this_machine


def firmware(folder, vendor, product):
    (folder / "sys_vendor").write_text(f"{vendor}\n")
    (folder / "product_name").write_text(f"{product}\n")
    return folder


@pytest.fixture
def metadata():
    """A server that answers as Google's does, and only to those who say that they mean it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            right = self.headers.get("Metadata-Flavor") == "Google" and self.path.endswith("/machine-type")
            self.send_response(200 if right else 403)
            self.end_headers()
            self.wfile.write(b"projects/1/machineTypes/g2-standard-8")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_this_machine_is_described():
    here = this_machine()
    assert here.cpu
    assert here.cores >= 1
    assert here.is_like(this_machine(), on_gpu=False)


def test_amazon_says_the_type_in_the_firmware(tmp_path):
    assert cloud_type(firmware(tmp_path, "Amazon EC2", "m5.2xlarge")) == "m5.2xlarge"


def test_google_is_asked(tmp_path, metadata):
    assert cloud_type(firmware(tmp_path, "Google", "Google Compute Engine"), metadata) == "g2-standard-8"


def test_google_that_does_not_answer(tmp_path):
    folder = firmware(tmp_path, "Google", "Google Compute Engine")
    assert cloud_type(folder, "http://127.0.0.1:1") is None


def test_a_machine_of_ones_own(tmp_path):
    assert cloud_type(firmware(tmp_path, "Some Vendor", "Box 3000")) is None
    assert cloud_type(tmp_path / "nothing") is None
