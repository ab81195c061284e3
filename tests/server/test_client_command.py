"""Commands with --server do what they do here: the same text, files, JSON and exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import authority, needs_openssl
from fake_service import Call, faked
from files import (
    command,
    contents,
    conv_net,
    initializer,
    kept_net,
    relu_net,
    run,
    save,
    save_apart,
)
from onnx import ModelProto, numpy_helper
from serving import Server, serving

import folding
from folding_server.keys import read_authority

MODELS = sorted((Path(__file__).parent.parent.parent / "models").glob("*.onnx"))
#: What is a matter of speed alone.
WORKING = re.compile(r"fold-model: \w+ \.\.\.\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as found:
        yield found


def both(server: Server, folder: Path, *words: str, **more: Any) -> tuple[Any, Any]:
    """What a command comes to here and there: exit code, text, errors, files."""
    found = []
    for place, where in (("here", []), ("there", ["--server", server.target])):
        home = folder / place
        home.mkdir(exist_ok=True)
        for file in folder.iterdir():
            if file.is_file():
                (home / file.name).write_bytes(file.read_bytes())
        done = subprocess.run(
            command(*words, *where), cwd=home, capture_output=True, timeout=120, check=False, **more
        )
        said = WORKING.sub("", done.stderr.decode())
        found.append((done.returncode, _timeless(done.stdout), said, _timeless_files(home)))
    return found[0], found[1]


def _timeless_files(folder: Path) -> dict[str, bytes]:
    return {name: _timeless(data) for name, data in contents(folder).items()}


def _timeless(data: bytes) -> bytes:
    """Without the seconds of reports."""
    data = re.sub(rb'"(read|prepare|plan|write|verify)": [0-9.e-]+', b"", data)
    return re.sub(rb'(<testsuite [^>]*time=")[0-9.]+', rb"\1", data)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_trained_model_is_folded_alike(server: Server, tmp_path: Path, path: Path) -> None:
    """Byte for byte: model, JSON with all digests, text."""
    (tmp_path / "m.onnx").write_bytes(path.read_bytes())

    here, there = both(server, tmp_path, "fold", "m.onnx", "--json", "r.json")

    assert here == there
    assert here[0] == 0
    assert "m.folded.onnx" in here[3]


@pytest.mark.parametrize("net", [conv_net, kept_net, relu_net])
@pytest.mark.parametrize("words", [[], ["--strict"], ["--no-verify"], ["--json", "-"]])
def test_a_small_model_is_folded_alike(
    server: Server, tmp_path: Path, net: Any, words: list[str]
) -> None:
    """Folded, kept, nothing to do; with every exit code that comes of it."""
    save(net(), tmp_path / "m.onnx")

    here, there = both(server, tmp_path, "fold", "m.onnx", "-o", "f.onnx", *words)

    assert here == there


@pytest.mark.parametrize("words", [[], ["--single-file"], ["--quiet"]])
def test_a_model_with_external_data_is_folded_alike(
    server: Server, tmp_path: Path, words: list[str]
) -> None:
    """Its data is sent, and comes back under the same name."""
    save_apart(conv_net(40), tmp_path / "m.onnx")

    here, there = both(server, tmp_path, "fold", "m.onnx", *words)

    assert here == there
    assert any(name.endswith(".data") for name in here[3]) is ("--single-file" not in words)


@pytest.mark.parametrize(
    ("name", "location"), [("a\\b.onnx", "model.onnx"), ("m.onnx", "d\\w.bin"), ("a\\b.onnx", "w")]
)
def test_backslashes_are_characters_alike(
    server: Server, tmp_path: Path, name: str, location: str
) -> None:
    """In the name of a model, and in those of its data."""
    save_apart(conv_net(40), tmp_path / name, location)

    here, there = both(server, tmp_path, "fold", name)

    assert here == there
    assert here[0] == 0


def test_weights_are_put_apart_alike(server: Server, tmp_path: Path) -> None:
    """As the option says."""
    save(conv_net(40), tmp_path / "m.onnx")

    here, there = both(server, tmp_path, "fold", "m.onnx", "--external-data")

    assert here == there
    assert len(here[3]) == 3


@pytest.mark.parametrize(
    "words",
    [
        ["--keep", "n"],
        ["--keep", "nowhere"],
        ["--freeze", "x=true"],
        ["--freeze", "nothing"],
        ["--freeze", 'x="0"'],
        ["--freeze", "x=[-1e400]"],
        ["--freeze", "\udcff=0"],
        ["--keep", "\udcff"],
        ["--input-shape", "\udcff:1"],
        ["--no-verify", "--tolerance", "nan"],
        ["--no-verify", "--custom-ops", "x.so"],
        ["--input-shape", "x:1,3,5,5", "--tolerance", "0.5"],
        ["--input-shape", "x:9"],
        ["--provider", "NoExecutionProvider"],
        ["--single-file", "--external-data"],
        ["--inputs", "x.npz"],
        ["--inputs", "nowhere.npz"],
        ["-o", "m.onnx"],
        ["-o", "nowhere/f.onnx"],
        ["--json", "m.onnx"],
        ["--inputs", "junk.npz"],
        ["--inputs", "junk"],
        ["--max-nesting", "1"],
        ["--max-nesting", "100"],
        ["--max-expanded-nodes", "100000000"],
        ["--keep", ""],
        ["--keep", "n", "--keep", "n", "--json", "r.json"],
        ["--provider", ""],
        ["--memory-limit", "99999999999999999"],
        ["--tolerance", "nan"],
        ["--tolerance", "inf"],
    ],
    ids=" ".join,
)
def test_options_mean_the_same_there(server: Server, tmp_path: Path, words: list[str]) -> None:
    """Good or bad: the same sentence, the same exit code."""
    save(conv_net(), tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", x=np.ones((1, 3, 5, 5), np.float32))
    (tmp_path / "junk.npz").write_bytes(b"junk")
    for place in ("here", "there"):
        (tmp_path / place / "junk").mkdir(parents=True)
        (tmp_path / place / "junk" / "input_0.pb").write_bytes(b"junk")

    here, there = both(server, tmp_path, "fold", "m.onnx", *words)

    if "NoExecutionProvider" in words:  # A server says which ones its clients may name.
        assert (here[0], there[0]) == (2, 2)
        assert "fold-model: --provider is none of " in there[2]
    else:
        assert here == there


@pytest.mark.parametrize(
    ("option", "value", "limit"),
    [
        ("--time-limit", "3601", "the 3600 s that this server gives a job"),
        ("--time-limit", "inf", "the 3600 s that this server gives a job"),
        ("--max-nesting", "1001", "this server's 1000"),
        ("--max-nesting", "99999999999", "this server's 1000"),
        ("--max-expanded-nodes", "9" * 30, "this server's 1000000000"),
    ],
)
def test_more_than_a_server_gives_is_refused_at_once(
    server: Server, tmp_path: Path, option: str, value: str, limit: str
) -> None:
    """A proof that is cut short there would not be the one that was asked for."""
    save(conv_net(), tmp_path / "m.onnx")

    here, there = both(server, tmp_path, "fold", "m.onnx", option, value)

    assert here[0] == 0
    assert there[0] == 2
    assert there[2].startswith(f"fold-model: {option} is more than {limit}")


@pytest.mark.parametrize("data", [b"", b"junk", conv_net().SerializeToString()[:300]])
def test_a_bad_model_is_told_alike(server: Server, tmp_path: Path, data: bytes) -> None:
    """By the name that the caller has for it."""
    (tmp_path / "m.onnx").write_bytes(data)

    for verb in ("fold", "explain"):
        here, there = both(server, tmp_path, verb, "./m.onnx")
        assert here == there
        assert here[0] == 2


def off(model: ModelProto) -> ModelProto:
    """The same with another weight."""
    weight = initializer(model, "w")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 1.5, "w"))
    return model


@pytest.mark.parametrize("words", [["--json", "r.json", "--junit", "r.xml"], ["--json", "-"]])
@pytest.mark.parametrize("candidate", ["f.onnx", "off.onnx", "kept.onnx", "-"])
def test_models_are_compared_alike(
    server: Server, tmp_path: Path, words: list[str], candidate: str
) -> None:
    """Equal, not equal, not even alike; one may come by standard input."""
    source = save(conv_net(), tmp_path / "m.onnx")
    folding.fold(source, tmp_path / "f.onnx", verify=False)
    save(off(conv_net()), tmp_path / "off.onnx")
    save(kept_net(), tmp_path / "kept.onnx")

    standard = (tmp_path / "f.onnx").read_bytes()
    here, there = both(server, tmp_path, "verify", "m.onnx", candidate, *words, input=standard)

    assert here == there
    assert here[0] == (0 if candidate in ("f.onnx", "-") else 1)


@pytest.mark.parametrize("inputs", ["x.npz", "sets"])
def test_inputs_mean_the_same_there(server: Server, tmp_path: Path, inputs: str) -> None:
    """An archive, and a folder of tensors."""
    source = save(conv_net(), tmp_path / "m.onnx")
    array = np.ones((1, 3, 5, 5), np.float32)
    np.savez(tmp_path / "x.npz", x=array)
    for place in ("here", "there"):
        (tmp_path / place / "sets").mkdir(parents=True)
        tensor = numpy_helper.from_array(array, "x").SerializeToString()
        (tmp_path / place / "sets" / "input_0.pb").write_bytes(tensor)

    here, there = both(server, tmp_path, "verify", source.name, source.name, "--inputs", inputs)

    assert here == there
    assert here[0] == 0


@pytest.mark.parametrize("words", [[], ["--json", "r.json"], ["--json", "-"], ["--strict"]])
def test_a_plan_is_explained_alike(server: Server, tmp_path: Path, words: list[str]) -> None:
    """And nothing is written but the report."""
    save(kept_net(), tmp_path / "m.onnx")

    here, there = both(server, tmp_path, "explain", "m.onnx", *words)

    assert here == there


def test_a_model_goes_through_pipes_alike(server: Server, tmp_path: Path) -> None:
    """From standard input to standard output, the report on standard error."""
    data = conv_net().SerializeToString()

    here, there = both(server, tmp_path, "fold", "-", "--json", "r.json", input=data)

    assert here == there
    assert ModelProto.FromString(here[1]).graph.node


WITHOUT_ONNX = """
import sys
class Refuse:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("onnx", "numpy", "onnxruntime", "ml_dtypes"):
            raise AssertionError(name)
sys.meta_path.insert(0, Refuse())
from folding.__main__ import main
main()
"""


@pytest.mark.parametrize("verb", ["fold", "verify", "explain"])
def test_no_onnx_is_imported(server: Server, tmp_path: Path, verb: str) -> None:
    """Nor numpy, nor the runtime; even where an old target has data to clear up."""
    source = save_apart(conv_net(40), tmp_path / "m.onnx")
    apart = folding.Layout.EXTERNAL_DATA
    folding.fold(save(conv_net(40, seed=9), tmp_path / "s.onnx"), tmp_path / "f.onnx", layout=apart)
    words = {"fold": ["-o", "f.onnx"], "verify": [source.name], "explain": []}[verb]

    found = subprocess.run(
        [
            *(sys.executable, "-c", WITHOUT_ONNX, verb, source.name, *words),
            *("--server", server.target, "--json", "r.json"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (found.returncode, WORKING.sub("", found.stderr)) == (0, "")
    assert json.loads((tmp_path / "r.json").read_text())["version"] == folding.__version__


@pytest.mark.parametrize("verb", ["fold", "verify"])
def test_a_library_of_operators_is_not_for_a_server(tmp_path: Path, verb: str) -> None:
    """One sentence says so."""
    save(conv_net(), tmp_path / "m.onnx")
    words = ["m.onnx", *(["m.onnx"] if verb == "verify" else [])]

    found = run(verb, *words, "--custom-ops", "x.so", "--server", "unix:x", cwd=tmp_path)

    assert found.returncode == 2
    assert found.stderr == (
        "fold-model: a server loads no library of custom operators; "
        "leave out --server, or --custom-ops.\n"
    )


def test_a_server_that_is_not_there_is_2_and_one_sentence(tmp_path: Path) -> None:
    """And nothing is written."""
    save(conv_net(), tmp_path / "m.onnx")

    found = run("fold", "m.onnx", "--server", f"unix:{tmp_path}/s", cwd=tmp_path)

    assert found.returncode == 2
    assert "cannot be reached" in found.stderr
    assert len(WORKING.sub("", found.stderr).splitlines()) == 1
    assert list(contents(tmp_path)) == ["m.onnx"]


@pytest.mark.parametrize(
    "words", [["--insecure"], ["--token-file", "t"], ["--tls-ca", "c"], ["--tls-key", "k"]]
)
def test_what_only_servers_need_needs_a_server(tmp_path: Path, words: list[str]) -> None:
    """Whoever forgets --server shall not fold here unawares."""
    save(conv_net(), tmp_path / "m.onnx")

    found = run("fold", "m.onnx", *words, cwd=tmp_path)

    assert found.returncode == 2
    assert "need --server" in found.stderr
    assert list(contents(tmp_path)) == ["m.onnx"]


def nothing(call: Call) -> Iterator[dict[str, Any]]:
    return iter(())


@pytest.mark.parametrize("by", ["file", "variable"])
def test_a_token_is_from_a_file_or_a_variable(tmp_path: Path, by: str) -> None:
    """Never from the command line, which others can read."""
    save(conv_net(), tmp_path / "m.onnx")
    (tmp_path / "token").write_text("secret\n")
    words = ["--token-file", "token"] if by == "file" else []
    environment = os.environ | {"FOLD_MODEL_TOKEN": "other" if by == "file" else "secret"}

    with faked(nothing) as fake:
        run("explain", "m.onnx", "--server", fake.target, *words, cwd=tmp_path, env=environment)

    assert ("authorization", "Bearer secret") in fake.calls[0].context.invocation_metadata()


def test_who_has_no_token_is_told_how_the_command_takes_one(tmp_path: Path) -> None:
    """Whatever other clients do."""
    save(conv_net(), tmp_path / "m.onnx")
    (tmp_path / "tokens").touch(0o600)
    environment = {name: os.environ[name] for name in os.environ if name != "FOLD_MODEL_TOKEN"}

    with serving(tmp_path, "--tokens", str(tmp_path / "tokens"), ready=False) as server:
        words = "explain", "m.onnx", "--server", server.target
        found = run(*words, cwd=tmp_path, env=environment)

    assert found.returncode == 2
    assert WORKING.sub("", found.stderr) == (
        "fold-model: there is no token; "
        "give the token with --token-file, or in the variable FOLD_MODEL_TOKEN.\n"
    )


def test_a_file_of_a_token_that_is_not_there_is_2(tmp_path: Path) -> None:
    """It is named."""
    save(conv_net(), tmp_path / "m.onnx")

    found = run("explain", "m.onnx", "--server", "unix:s", "--token-file", "nowhere", cwd=tmp_path)

    assert found.returncode == 2
    assert "cannot read 'nowhere'" in found.stderr


@needs_openssl
def test_files_that_are_no_keys_are_2_and_one_sentence(tmp_path: Path) -> None:
    """They are named, and nobody is called."""
    save(conv_net(), tmp_path / "m.onnx")
    authority(tmp_path)
    authority(tmp_path, "other")
    (tmp_path / "junk.pem").write_text("junk")
    for words, said in (
        (["--tls-ca", "junk.pem"], "junk.pem cannot be used for TLS: "),
        (["--tls-ca", "nowhere"], "nowhere cannot be used for TLS: No such file"),
        (["--tls-cert", "ca.pem", "--tls-key", "other.key"], "ca.pem and other.key cannot be used"),
        (["--tls-cert", "ca.pem"], "a key and a certificate belong together"),
    ):
        found = run("explain", "m.onnx", "--server", "localhost:1", *words, cwd=tmp_path)

        assert found.returncode == 2
        assert found.stderr.startswith(f"fold-model: {said}")
        assert len(found.stderr.splitlines()) == 1


def test_certificates_may_come_through_a_pipe(tmp_path: Path) -> None:
    """Which can be read only once, so that they are not tried before."""
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as pool:
        written = pool.submit((tmp_path / "pipe").write_bytes, b"some")
        assert read_authority(tmp_path / "pipe") == b"some"
        assert written.result() == 4


def waiting(call: Call) -> Iterator[dict[str, Any]]:
    """Says that the job is queued, until the client has gone."""
    yield call.accepted()
    call.take()
    yield {"progress": {"stage": "queued"}}
    while call.context.is_active():
        time.sleep(0.02)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_130_and_the_server_hears_of_it(
    tmp_path: Path, sent: signal.Signals
) -> None:
    """Nothing is half-written."""
    save(conv_net(), tmp_path / "m.onnx")
    with faked(waiting) as fake:
        words = command("fold", "m.onnx", "--server", fake.target)
        process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE)
        end = time.monotonic() + 30
        while not (fake.calls and fake.calls[0].received) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(sent)
        _, errors = process.communicate(timeout=20)
        assert fake.ended.wait(5)

    assert process.returncode == 130
    assert b"interrupted; no incomplete file was written" in errors
    assert list(contents(tmp_path)) == ["m.onnx"]


WITHOUT_GRPC = """
import sys
sys.modules["grpc"] = None
from folding.__main__ import main
main()
"""


def test_without_grpcio_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    """Those who fold here need none of it."""
    save(conv_net(), tmp_path / "m.onnx")

    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_GRPC, "explain", "m.onnx", "--server", "unix:s"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert found.returncode == 2
    assert found.stderr == (
        "fold-model: what --server needs is not installed; "
        "install it: pip install 'fold-model[server]'.\n"
    )
