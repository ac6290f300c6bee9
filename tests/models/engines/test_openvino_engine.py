"""A network of OpenVINO's may be let go by any thread."""

import subprocess
import sys
from pathlib import Path

# In a process of its own, which the signal ends where the promise is broken.
INTERRUPTED = """
import os, signal, sys, threading
from pathlib import Path
import numpy as np
import openvino
from openvino import opset8
from demijohn.models.engines.openvino_engine import _compile

image = opset8.parameter([1, 4], np.float32)
openvino.save_model(openvino.Model([opset8.relu(image)], [image]), sys.argv[1])
# A shell that starts something in the background lets it ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
networks = [_compile(Path(sys.argv[1]), "float32", 1)]
thread = threading.Thread(target=networks.clear)
thread.start()
thread.join()
try:
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(10)
except KeyboardInterrupt:
    print("heard")
"""


def test_an_interrupt_is_heard_after_another_thread_let_the_network_go(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, f"{tmp_path}/model.xml"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
