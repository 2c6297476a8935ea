"""params.yaml as it is read in tests: each text is parsed once, for ruamel's own parser takes its time."""

import json
import pickle
from typing import Any

from pipeline.params import schema

REAL = schema.READER


class Parsed:
    """In the place of the schema's reader."""

    def __init__(self) -> None:
        self.known: dict[str, bytes] = {}

    def load(self, text: str) -> Any:
        if text not in self.known:
            self.known[text] = pickle.dumps(REAL.load(text))
        return pickle.loads(self.known[text])  # noqa: S301  (made above)

    def written(self, text: str, values: dict[str, Any]) -> None:
        """Take note of a text whose values are known, for they have just been dumped."""
        self.known[text] = pickle.dumps(json.loads(json.dumps(values)))  # lists in place of tuples, as YAML has them


PARSED = Parsed()
