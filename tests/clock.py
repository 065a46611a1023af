"""A clock for tests: time passes only while somebody sleeps."""


class Clock:
    """Stands in for the module ``time``; ``slept`` has the seconds of each sleep."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
