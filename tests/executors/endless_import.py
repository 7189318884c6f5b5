"""A module whose import never ends, as the heavy ones of a cold forkserver seem not to."""

import sys
import time

sys.stdout.write("importing\n")
sys.stdout.flush()
while True:
    time.sleep(3600)
