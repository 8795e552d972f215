"""What is held against a limit in milliseconds instead of another engine."""
import engines
import onnx_models


class Start:
    """Asks ../start about a StartRow."""

    def __init__(self, row, options):
        self.row, self.lathe = row, options.build / "bin" / "lathe"

    def prepare(self):
        self.model, _, _ = onnx_models.found(self.row.source)

    def measure(self, engine):
        if engine == "limit":
            return {self._case(what): 1e3 * seconds for what, seconds in self.row.limits.items()}
        answers = engines.ask([engines.HERE.parent / "start", self.model, "--runs", "1", "--json", "--lathe",
                               self.lathe], self.row.threads)
        return {self._case(a["case"]): a["first_ms"] for a in answers if a["case"] in self.row.limits}

    def _case(self, what):
        return f"{self.row.title} from the start: {what}"


class Overhead:
    """Asks about an OverheadRow: the profile's time outside of kernels."""

    def __init__(self, row, options):
        self.row, self.lathe, self.seconds = row, options.build / "bin" / "lathe", options.seconds

    def prepare(self):
        self.model, _, _ = onnx_models.found(self.row.source)

    def measure(self, engine):
        if engine == "limit":
            return {self._case(): self.row.limit}
        (answer,) = engines.ask([self.lathe, "bench", self.model, "--json", "--profile", "--threads",
                                 self.row.threads, "--min-time", self.seconds], self.row.threads)
        return {self._case(): answer["profile"]["outside_ms"]}

    def _case(self):
        return f"{self.row.title}: outside of kernels"
