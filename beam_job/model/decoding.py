"""How captions are decoded: the options of greedy decoding, beam search and sampling."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any

STRATEGIES = ("greedy", "beam", "sample")
_OF_ONE = {"beam": ("beam_width", "length_penalty"), "sample": ("temperature", "top_k", "top_p", "seed")}
"""Options that only one strategy uses."""


@dataclass(frozen=True)
class Decoding:
    """Options of the decoder loop. Impossible ones raise ``ValueError`` with a sentence for the user, and so do those
    that the strategy does not use.

        Decoding()                                                    # beam search
        Decoding("greedy")
        Decoding("sample", num_captions=5, temperature=0.8, seed=1)   # five distinct captions for each image

    Attributes:
      strategy: ``greedy`` takes the most probable token at each step, ``beam`` keeps the ``beam_width`` most probable
        hypotheses, ``sample`` samples each token from the model's distribution.
      num_captions: distinct captions for each image, best first.
      beam_width: number of hypotheses that beam search keeps.
      length_penalty: hypotheses are ranked by log-probability / tokens ** length_penalty; 0 prefers short captions, 1
        ranks by the mean (Wu et al. 2016, p. 12, without their constant 5).
      temperature: divides the logits before sampling; below 1 is more conservative, above 1 more varied.
      top_k: sample only from the k most probable tokens; 0 for all.
      top_p: sample from the fewest tokens whose probabilities add up to p (Holtzman et al. 2020, p. 5).
      seed: random seed; an image's samples depend on it and on the image's URI.
      max_length: maximum tokens in a caption, including ``<end>``; 0 for the model's own limit.
      min_length: minimum words in a caption.
      no_repeat_ngram: no sequence of this many words occurs twice in a caption; 1 forbids repeated words, 0 allows all.
      label_bonus: for images whose caption does not name what the model's image classifier is sure of. They are
        decoded again: this is added to the logits of its words, times the evidence for them, until a caption has one of
        them. 0 decodes no image again. Without effect on models without a classifier.
      attention: also return each word's log-probability and its attention over the image.
    """

    strategy: str = "beam"
    num_captions: int = 1
    beam_width: int = 3
    length_penalty: float = 1.0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    max_length: int = 0
    min_length: int = 1
    no_repeat_ngram: int = 2
    label_bonus: float = 3.0
    attention: bool = False

    def __post_init__(self) -> None:
        def refuse(wrong: bool, option: str, rule: str) -> None:
            if wrong:
                raise ValueError(f"--{option} {getattr(self, option, self.strategy)}: {rule}.")

        refuse(self.strategy not in STRATEGIES, "decoding", f"choose one of {', '.join(STRATEGIES)}")
        refuse(self.num_captions < 1, "num_captions", "ask for at least 1 caption")
        refuse(self.beam_width < 1, "beam_width", "choose a width of at least 1")
        refuse(not 0 <= self.length_penalty <= 10, "length_penalty", "choose a number from 0 to 10")
        refuse(not 0 < self.temperature <= 100, "temperature", "choose a number above 0, at most 100")
        refuse(self.top_k < 0, "top_k", "choose 1 or more tokens, or 0 for all")
        refuse(not 0 < self.top_p <= 1, "top_p", "choose a probability above 0, at most 1")
        refuse(not 0 <= self.seed < 2**63, "seed", "choose a whole number from 0 to 2**63 - 1")
        refuse(self.max_length < 0, "max_length", "choose 1 or more tokens, or 0 for the model's own limit")
        refuse(self.min_length < 1, "min_length", "choose at least 1 word")
        refuse(
            0 < self.max_length <= self.min_length,
            "min_length",
            f"--max_length {self.max_length} leaves no room for this many words and the end token",
        )
        refuse(self.no_repeat_ngram < 0, "no_repeat_ngram", "choose a number of words, or 0 to allow repetition")
        refuse(not 0 <= self.label_bonus <= 100, "label_bonus", "choose a number from 0 to 100")
        most = {"greedy": 1, "beam": self.beam_width}.get(self.strategy)
        refuse(
            most is not None and self.num_captions > most,
            "num_captions",
            f"{self.strategy} decoding gives at most {most}; "
            + ("choose --decoding beam or sample" if self.strategy == "greedy" else "widen the beam or sample"),
        )
        refuse(
            self.strategy == "sample" and self.top_k == 1 and self.num_captions > 1,
            "num_captions",
            "with --top_k 1 every sample is the same caption",
        )
        for user, options in _OF_ONE.items():
            for option in options if user != self.strategy else ():
                refuse(
                    getattr(self, option) != getattr(Decoding, option),
                    option,
                    f"only --decoding {user} uses this option; choose that method, or drop the option",
                )

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Adds ``--decoding`` and an option for each other field to a command line."""
        group = parser.add_argument_group("decoding")
        group.add_argument(
            "--decoding", choices=STRATEGIES, default=cls.strategy, help="How to decode (default: %(default)s)."
        )

        def add(name: str, kind: type, text: str) -> None:
            group.add_argument(
                f"--{name}", type=kind, default=getattr(cls, name), help=f"{text} (default: %(default)s)."
            )

        add("num_captions", int, "Distinct captions for each image, best first")
        add("beam_width", int, "Number of hypotheses that beam search keeps")
        add("length_penalty", float, "Beam search ranks by log-probability / tokens ** length_penalty")
        add("temperature", float, "Divides the logits before sampling")
        add("top_k", int, "Sample only from the k most probable tokens; 0: from all")
        add("top_p", float, "Sample from the fewest tokens whose probabilities add up to p")
        add("seed", int, "Random seed for sampling; the samples of an image depend on it and on the image's URI")
        add("max_length", int, "Maximum tokens per caption; 0: the model's own limit")
        add("min_length", int, "Minimum words per caption")
        add("no_repeat_ngram", int, "No sequence of this many words occurs twice in a caption; 0: no limit")
        add(
            "label_bonus",
            float,
            "Where a caption does not name what the model's image classifier is sure of, a second one is made, in "
            "which the log-odds of such words rise by this much. 0: no second caption. Without effect on models "
            "without labels",
        )
        group.add_argument(
            "--attention", action="store_true", help="Record each word's log-probability and attention (large)."
        )

    @classmethod
    def from_arguments(cls, arguments: Any) -> "Decoding":
        """Reads the options that ``add_arguments`` added; raises ``ValueError`` where they make no sense."""
        found = {field.name: getattr(arguments, field.name) for field in fields(cls) if field.name != "strategy"}
        return cls(strategy=arguments.decoding, **found)

    def longest(self, model_limit: int) -> int:
        """Maximum tokens in a caption, including ``<end>``, for a model whose limit is ``model_limit``."""
        if self.max_length > model_limit:
            raise ValueError(f"--max_length {self.max_length}: the model supports at most {model_limit} tokens.")
        longest = self.max_length or model_limit
        if self.min_length >= longest:
            raise ValueError(
                f"--min_length {self.min_length}: captions have at most {longest} tokens, including the end token."
            )
        return longest

    @property
    def width(self) -> int:
        """Width of the search; greedy decoding is a beam of width 1."""
        return {"greedy": 1, "beam": self.beam_width, "sample": self.num_captions}[self.strategy]


def decoding_digest(decoding: Mapping[str, Any]) -> str:
    """Names how captions were decoded, by all options of ``Decoding``, in 16 hex digits."""
    return blake2b(json.dumps(decoding, sort_keys=True).encode(), digest_size=8).hexdigest()
