"""Fragments of HTML in Chromium: whether a reader sees the word in them, and how it stands out from its ground."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
WORD = "Ghost"
# Every fragment gets a page of its own, so that no style reaches another one.
_SCRIPT = """
function judge(page, word) {
  const view = page.defaultView, walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  const found = {seen: false, contrast: 0};
  for (let node; (node = walker.nextNode());) {
    if (!node.data.includes(word)) continue;
    const range = page.createRange(); range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      if (box.width < 2 || box.height < 2) continue;
      const x = box.left + box.width / 2, y = box.top + box.height / 2;
      const hit = page.elementFromPoint(x, y), owner = node.parentElement;
      let holder = owner;
      while (view.getComputedStyle(holder).display === 'contents') holder = holder.parentElement;
      if (!hit || !holder.contains(hit)) continue;
      if (!owner.checkVisibility({opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true}))
        continue;
      if (faint(owner, view) || parseFloat(view.getComputedStyle(owner).fontSize) < 2) continue;
      found.contrast = Math.max(found.contrast, contrastOf(owner, view, [255, 255, 255]));
      if (contrastOf(owner, view, null) >= 1.05) found.seen = true;
    }
  }
  return found;
}
function faint(owner, view) {
  let share = 1;
  for (let e = owner; e; e = e.parentElement) {
    const style = view.getComputedStyle(e), filter = /opacity\\(([\\d.]+)/.exec(style.filter);
    share *= parseFloat(style.opacity) * (filter ? parseFloat(filter[1]) : 1);
  }
  return share < 0.02;
}
const pen = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
function rgba(text) {
  const numbers = (text.match(/[\\d.]+/g) || []).map(Number);
  if (text.startsWith('rgb')) return [numbers[0], numbers[1], numbers[2], numbers.length > 3 ? numbers[3] : 1];
  pen.clearRect(0, 0, 1, 1); pen.fillStyle = text; pen.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}
function light(colour) {
  const [r, g, b] = colour.map(part => part / 255)
    .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrastOf(owner, view, page) {  // the ground of the page, null when it is the program's choice
  const ink = rgba(view.getComputedStyle(owner).webkitTextFillColor);
  if (!ink || ink[3] < 0.02) return 1;
  let ground = page;
  for (let e = owner; e; e = e.parentElement) {
    const style = view.getComputedStyle(e);
    if (style.backgroundImage !== 'none') return 21;
    const own = rgba(style.backgroundColor);
    if (own && own[3] > 0.5) { ground = own.slice(0, 3); break; }
  }
  if (!ground) return 21;
  const [a, b] = [light(ink.slice(0, 3)), light(ground)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}
async function judgeAll(fragments, word) {
  const found = [];
  for (const fragment of fragments) {
    const frame = document.createElement('iframe');
    Object.assign(frame, {width: 1200, height: 300, srcdoc: '<!doctype html>' + fragment});
    frame.setAttribute('sandbox', 'allow-same-origin');
    const loaded = new Promise(resolve => { frame.onload = resolve; });
    document.body.append(frame);
    await loaded;
    found.push(judge(frame.contentDocument, word));
    frame.remove();
  }
  document.body.textContent = '@@' + JSON.stringify(found) + '@@';
}
"""


def judged(fragments: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """Show each fragment in Chromium, 1,200 pixels wide; return whether the word is seen, and its best contrast.

    Args:
        fragments: Bodies of pages, without scripts.
        folder: An empty folder for the page and for the browser's files.
    """
    page = folder / "page.html"
    given = json.dumps(list(fragments)).replace("<", "\\u003c")
    page.write_text(
        f"<!doctype html><meta charset=utf-8><body><script>{_SCRIPT}\njudgeAll({given}, {WORD!r});</script></body>"
    )
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1300,900",
         f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=100000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    answer = re.search(r"@@(\[.*\])@@", done.stdout)
    assert answer, done.stderr[-2000:]
    return list(json.loads(html.unescape(answer[1])))
