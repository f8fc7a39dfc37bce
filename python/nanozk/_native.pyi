"""The extension module: the calls of the Rust library, each giving its report as JSON and as text."""

from collections.abc import Callable
from os import PathLike
from typing import Optional, Union

Path = Union[str, PathLike[str]]
Answer = tuple[str, str]
Progress = Callable[[str, int, int], object]

def read(path: Path) -> bytes: ...
def write(path: Path, data: bytes, secret: bool) -> None: ...
def compile_model(
    model: Path, options: str, out: Path, progress: Optional[Progress], keep: object
) -> Answer: ...
def plan_model(model: Path) -> Answer: ...
def inspect_model(model: Path) -> Answer: ...
def inspect_verifier(verifier: Path) -> Answer: ...
def model_id(verifier: Path) -> str: ...
def run_model(
    model: Path,
    input: Path,
    eval: Optional[Path],
    source: Optional[Path],
    progress: Optional[Progress],
) -> Answer: ...
def measure_sensitivity(
    model: Path,
    data: list[Path],
    probes: int,
    step: float,
    seed: int,
    reading: Optional[str],
    out: Optional[Path],
    html: Optional[Path],
    progress: Optional[Progress],
) -> Answer: ...
def plan_audit(
    of: Path,
    layers: int,
    sensitivity: Optional[Path],
    floor: Optional[float],
    pins: list[str],
    answers: int,
    challenged: float,
    out: Optional[Path],
) -> Answer: ...
def setup_keys(
    model: Path,
    srs: Optional[Path],
    open_weights: bool,
    exact_ranges: bool,
    out: Path,
    progress: Optional[Progress],
    keep: object,
) -> Answer: ...
def check_verifier(verifier: Path, model_id: Optional[bytes], allow_unsafe_srs: bool) -> Answer: ...
def prove_input(
    keys: Path,
    input: Path,
    out: Path,
    layers: Optional[tuple[int, int]],
    nonce: Optional[bytes],
    strict: bool,
    memory: Optional[int],
    progress: Optional[Progress],
    keep: object,
) -> Answer: ...
def commit_input(
    keys: Path,
    input: Path,
    out: Path,
    nonce: Optional[bytes],
    strict: bool,
    progress: Optional[Progress],
    keep: object,
) -> Answer: ...
def draw_challenge(
    commitment: Path,
    verifier: Path,
    policy: Path,
    beacon: Optional[tuple[bytes, str]],
    nonce: Optional[bytes],
    input: Optional[Path],
    out: Path,
) -> Answer: ...
def answer_challenge(
    keys: Path,
    challenge: Path,
    commitment: Path,
    out: Path,
    memory: Optional[int],
    progress: Optional[Progress],
    keep: object,
) -> Answer: ...
def generate_answer(
    keys: Path,
    prompt: Union[str, list[int]],
    max_new: int,
    temperature: Optional[float],
    tokenizer: Optional[Path],
    out: Path,
    nonce: Optional[bytes],
    strict: bool,
    memory: Optional[int],
    progress: Optional[Progress],
    keep: object,
) -> Answer: ...
def verify_proof(
    verifier: Path,
    proof: Path,
    model_id: Optional[bytes],
    nonce: Optional[bytes],
    allow_unsafe_srs: bool,
    check_weights: bool,
    allow_partial: bool,
    input: Optional[Path],
    output: Optional[Path],
    prompt: Optional[Union[str, list[int]]],
    max_new: Optional[int],
    temperature: Optional[float],
    tokenizer: Optional[Path],
    challenge: Optional[Path],
) -> Answer: ...
