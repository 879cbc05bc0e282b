#!/usr/bin/python3
"""A firewall with nothing to do does nothing: less than 2 % of a processor, also after traffic and with two workers."""
import time

from case import LabTest, main, needs_plain_build
from namespaces import SERVER4

SECONDS = 5
MOST = 0.02


class Idle(LabTest):
    queues = 2

    @needs_plain_build
    def test_two_idle_workers_take_under_two_percent_of_a_processor(self):
        firewall = self.start_firewall(workers=2)
        self.assert_reaches(SERVER4)
        self.client.run("ping", "-f", "-c", "500", SERVER4)
        time.sleep(0.5)
        before = firewall.cpu_seconds()
        time.sleep(SECONDS)
        used = (firewall.cpu_seconds() - before) / SECONDS
        self.assertLess(used, MOST)
        self.assertGreater(firewall.workers_sum("sleeps"), 0)
        self.assert_reaches(SERVER4)  # and it wakes up


if __name__ == "__main__":
    main()
