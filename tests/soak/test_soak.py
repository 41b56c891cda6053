# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""A minute of the soak (SOAK_SECONDS, SEED): clients, a nemesis, the checker.
R115 R116 R118 R119 R120"""
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "script" / "soak"
SECONDS = int(os.environ.get("SOAK_SECONDS", "60"))


@pytest.mark.xdist_group("soak")
def test_soak():
    args = [str(SCRIPT), str(SECONDS)] + (["--seed", os.environ["SEED"]] if "SEED" in os.environ else [])
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as p:
        try:
            said, _ = p.communicate(timeout=SECONDS * 5 + 300)
        except BaseException:
            p.terminate()  # it puts away what it made
            raise
    print(said)
    assert p.returncode == 0, said[-6000:]
