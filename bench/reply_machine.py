"""Runs other packages over replies, for `bench.split_replies`: JSON in, JSON out; it uses the packages that it finds."""

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

LANGUAGES = ["en", "de", "da", "es", "fr", "it", "ja", "ko", "nl", "pl", "sv", "cs", "zh", "david", "he"]
NODE = """
const parsers = {};
for (const name of ["email-reply-parser", "planer"]) { try { parsers[name] = require(name); } catch {} }
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
const out = {};
const run = (name, split) => { if (parsers[name]) out[name + " (npm)"] = given.map((one) => { try { return split(one.text); } catch { return "\\u0000"; } }); };
run("email-reply-parser", (text) => new (parsers["email-reply-parser"].default || parsers["email-reply-parser"])().read(text).getVisibleText());
run("planer", (text) => parsers["planer"].extractFrom(text, "text/plain"));
console.log(JSON.stringify(out));
"""


def main() -> None:
    """Print what each package gives for each reply."""
    given: list[dict[str, Any]] = json.load(sys.stdin)
    found = {name: [_tried(run, one) for one in given] for name, run in _packages().items()}
    if node := shutil.which("node"):
        done = subprocess.run(  # noqa: S603 - our own program
            [node, "-e", NODE], input=json.dumps(given), capture_output=True, text=True, check=True
        )
        found.update(json.loads(done.stdout))
    print(json.dumps(found))


def _tried(run: Callable[[dict[str, Any]], str], one: dict[str, Any]) -> str:
    try:
        return run(one) or ""
    except Exception:
        return "\0"


def _packages() -> dict[str, Callable[[dict[str, Any]], str]]:
    makers = {
        "mailparser_reply": _mail_parser_reply, "email_reply_parser": _email_reply_parser, "quotequail": _quotequail,
        "talon": _talon, "email_reply_extractor": _extractor,
    }  # fmt: skip
    found = {}
    for name, make in makers.items():
        try:
            found[name] = make(importlib.import_module(name))
        except ImportError as exc:
            sys.stderr.write(f"{name}: {exc}\n")
    return found


def _mail_parser_reply(module: Any) -> Callable[[dict[str, Any]], str]:
    codes = [code for code in LANGUAGES if code not in ("zh", "he")]
    parser = module.EmailReplyParser(languages=codes)
    return lambda one: str(parser.read(one["text"]).replies[0].body)


def _email_reply_parser(module: Any) -> Callable[[dict[str, Any]], str]:
    return lambda one: str(module.EmailReplyParser.parse_reply(one["text"]))


def _quotequail(module: Any) -> Callable[[dict[str, Any]], str]:
    def run(one: dict[str, Any]) -> str:
        shown = module.quote(one["text"], quote_intro_line=True)
        return "\n".join(text for is_shown, text in shown if is_shown)

    return run


def _talon(_module: Any) -> Callable[[dict[str, Any]], str]:
    quotations = importlib.import_module("talon.quotations")
    return lambda one: str(quotations.extract_from_plain(one["text"]))


def _extractor(module: Any) -> Callable[[dict[str, Any]], str]:
    return lambda one: str(module.extract_new_text(one["text"]).text)


if __name__ == "__main__":
    main()
